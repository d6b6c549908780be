"""Carries wishes out, one at a time, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from workbench.core.wishes import APPLIED, APPLYING, PENDING, REFUSED, Report, Topic, Waiting, Wish
from workbench.errors import WorkbenchError

from .threads import ended, in_background

SETTLE_S = 0.15


class Wishes:
    """Takes wishes from any thread and carries the latest of each topic out once it has rested.

    Every report comes from the one thread, so what it writes has one writer.

    Args:
        carry_out: does what is wished; returns the text for "applied" and a result.
        tell: is told how each wish stands.
        settle_s: seconds for which a wish must not be replaced before it is carried out.
        name: name of the thread.
    """

    def __init__(
        self,
        carry_out: Callable[[Wish], tuple[str, object]],
        tell: Callable[[Report], None],
        settle_s: float = SETTLE_S,
        name: str = "workbench-wishes",
    ) -> None:
        self._carry_out, self._tell, self._settle_s = carry_out, tell, settle_s
        self._waiting, self._fresh = Waiting(), list[Wish]()
        self._applying: Topic | None = None
        self._closed, self._changed = False, threading.Condition()
        self._thread = in_background(self._run, name)

    def wish(self, wish: Wish) -> None:
        """Take a wish; returns at once."""
        with self._changed:
            self._waiting = self._waiting.adding(wish, time.monotonic() + self._settle_s)
            self._fresh.append(wish)
            self._changed.notify()

    def busy_with(self, topic: Topic) -> bool:
        """Whether a wish of a topic waits or is being carried out."""
        with self._changed:
            return self._applying == topic or self._waiting.has(topic)

    def close(self) -> None:
        """End the thread; wishes that were not begun are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; returns whether it ended."""
        return ended(self._thread, timeout_s)

    def _run(self) -> None:
        while not self._closed:
            fresh, wish = self._next()
            for each in fresh:
                self._tell(Report(each, PENDING))
            if wish is not None:
                self._do(wish)

    def _next(self) -> tuple[list[Wish], Wish | None]:
        """Wait for something to say or to do."""
        with self._changed:
            while not self._closed:
                fresh, self._fresh = self._fresh, []
                if fresh:
                    return fresh, None
                wish, self._waiting = self._waiting.taking(time.monotonic())
                if wish is not None:
                    self._applying = wish.topic
                    return [], wish
                self._changed.wait(self._waiting.rest_s(time.monotonic()))
        return [], None

    def _do(self, wish: Wish) -> None:
        self._tell(Report(wish, APPLYING))
        try:
            text, result = self._carry_out(wish)
            report = Report(wish, APPLIED, text, result)
        except WorkbenchError as error:
            report = Report(wish, REFUSED, str(error))
        except Exception as error:  # whatever it is, the user is told and the thread lives on
            report = Report(wish, REFUSED, f"{type(error).__name__}: {error}")
        with self._changed:
            self._applying = None
        self._tell(report)
