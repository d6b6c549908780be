"""A kernel's word that it lives, for as long as it changes a service."""

from __future__ import annotations

import contextlib
import threading

from workbench.adapters.ray_store import CodeStore
from workbench.errors import ClusterError

from .threads import in_background

EVERY_S = 1.0


class Lease:
    """Tells the store every second that this kernel lives; else it would undo the change.

    A thread of its own, since a question to the cluster can take long where a node was lost.

    Args:
        store: hands the code out, and guards the change.
        app: application name.

    Attributes:
        lost: the store took this kernel for dead, and undid the change.
    """

    def __init__(self, store: CodeStore, app: str) -> None:
        self.lost = self._left = False
        self._store, self._app = store, app
        self._over = threading.Event()
        in_background(self._tell, f"workbench-lease-{app}")

    def holds(self) -> bool:
        """Ask the store whether this kernel may go on; it may not when its work was undone."""
        self.lost = self.lost or not self._store.heard_of(self._app)
        return not self.lost

    def leave(self) -> None:
        """Say no more: the store undoes the change in its own time."""
        self._over.set()
        self._left = True

    def end(self) -> None:
        """The change is over, unless it was left to the store."""
        self._over.set()
        if self._left:
            return
        with contextlib.suppress(Exception):  # what was settled or put back, it does not touch
            self._store.unguard(self._app)

    def _tell(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                self.lost = not self._store.heard_of(self._app)
            except ClusterError:
                continue  # the change itself meets that too
            if self.lost:
                return
