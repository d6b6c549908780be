"""A kernel's word that it lives, for as long as it changes a service."""

from __future__ import annotations

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
        self.lost = False
        self._store, self._app = store, app
        self._over = threading.Event()
        in_background(self._tell, f"workbench-lease-{app}")

    def end(self) -> None:
        """The change is over."""
        self._over.set()
        self._store.unguard(self._app)

    def _tell(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                self.lost = not self._store.heard_of(self._app)
            except ClusterError:
                continue  # the change itself meets that too
            if self.lost:
                return
