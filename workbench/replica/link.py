"""A replica's line to the store: a thread that waits for new code and exchanges it.

It is a thread of its own, so that neither a busy event loop nor full request slots delay it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import ray

from .failures import traceback_text
from .store import EXCHANGE, LEAVE, NAME, NAMESPACE, PREPARE, Key

RETRY_S = 0.5
HURRY_S = 0.0005  # how soon the busy threads of a replica let others run while code is exchanged


def find_store() -> Any:
    """The store's actor, or None while there is none."""
    try:
        return ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError:
        return None


class Link(threading.Thread):
    """Carries out the store's orders for one replica.

    Args:
        key: application, deployment and version.
        replica: id of the replica.
        held: gives revision, digests and pickled package of the code that runs.
        prepare: loads a pickled package beside what runs; raises when it cannot.
        exchange: makes a prepared package the current one.
        undo: goes back to what ran before, or forgets what was prepared.
        seen: number of the last order that this replica knows.
    """

    def __init__(
        self,
        key: Key,
        replica: str,
        held: Callable[[], tuple[int, dict[str, Any], bytes]],
        prepare: Callable[[bytes], None],
        exchange: Callable[[bytes], None],
        undo: Callable[[], None],
        seen: int,
    ) -> None:
        super().__init__(name="workbench-link", daemon=True)
        self._key, self._replica, self._held = key, replica, held
        self._prepare, self._exchange, self._undo = prepare, exchange, undo
        self._seen, self._usual_s = seen, sys.getswitchinterval()
        self._store: Any = None

    def run(self) -> None:
        """Wait for orders for as long as the replica lives."""
        done: str | None = None
        while True:
            try:
                self._store = self._store or find_store()
                if self._store is None:
                    time.sleep(RETRY_S)
                    continue
                order = self._ask(self._store.next_order, self._seen, done)
                done = None
                if order is not None and order[0] < 0:
                    self._enter_again()
                    order = None
            except ray.exceptions.RayError:
                self._store = None  # it is being restarted
                time.sleep(RETRY_S)
                continue
            if order is not None:
                self._seen, what, blob = order
                done = self._obey(what, blob)

    def _ask(self, method: Any, *args: Any) -> Any:
        return ray.get(method.remote(self._key, self._replica, *args))

    def _enter_again(self) -> None:
        newer, self._seen = self._ask(self._store.enter, self._held())
        if self._seen == LEAVE:
            os._exit(1)
        if newer:
            self._exchange_or_die(newer)
        else:
            ray.get(self._store.remember.remote(self._key))

    def _obey(self, what: str, blob: bytes) -> str:
        """Carry an order out; returns why that failed, or ""."""
        sys.setswitchinterval(HURRY_S)
        try:
            if what == PREPARE:
                self._prepare(blob)
            elif what == EXCHANGE:
                self._exchange(blob)
            else:
                self._undo()
        except BaseException as problem:
            return traceback_text(problem)
        finally:
            if what != PREPARE:  # after which another order comes within milliseconds
                sys.setswitchinterval(self._usual_s)
        return ""

    def _exchange_or_die(self, blob: bytes) -> None:
        """Take code that the others have; a replica that cannot must not go on with older code."""
        try:
            self._exchange(blob)
        except BaseException:
            os._exit(1)  # Serve starts another one, with the newest code from its beginning
