"""Exchanges code in live replicas: all of them or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from workbench.adapters import cells
from workbench.adapters.ray_store import CodeStore
from workbench.replica.package import Package
from workbench.replica.store import Answers

from .rollout import RolloutFailed
from .serving import Serving

WAIT_S = 0.25  # then the replicas that are gone are looked for


class Exchange:
    """New code for some deployments of one application.

    Args:
        store: hands the code out.
        app: application name.
        packages: new code by deployment, callees before callers.
        timeout_s: seconds that the replicas may take.
        serving: Serve, which knows the replicas that are gone.
    """

    def __init__(
        self,
        store: CodeStore,
        app: str,
        packages: Mapping[str, Package],
        timeout_s: float,
        serving: Serving,
    ) -> None:
        self._store, self._app, self._packages = store, app, packages
        self._timeout_s, self._serving = timeout_s, serving

    def run(self) -> None:
        """Have every replica prepare the code, then exchange it.

        Raises:
            RolloutFailed: a replica refused it or did not answer; every replica has the old code.
        """
        if not self._packages:
            return
        try:
            if not self._all(lambda: self._store.prepare(self._app, self._packages, WAIT_S)):
                self._all(lambda: self._store.exchange(self._app, WAIT_S))
        except BaseException:
            self._store.cancel(self._app)
            raise

    def _all(self, ask: Callable[[], Answers]) -> bool:
        """Wait until every replica has done what it was asked; whether all is exchanged."""
        until = time.monotonic() + self._timeout_s
        pending, errors, complete = ask()
        while pending and not errors and time.monotonic() < until:
            gone = [each for each in pending if each and each not in self._running()]
            if gone:
                self._store.drop(self._app, gone)
            pending, errors, complete = self._store.answers(self._app, WAIT_S)
        if errors:
            raise RolloutFailed(cells.resolve(next(iter(errors.values()))))
        if pending:
            raise RolloutFailed(f"replicas did not answer within {self._timeout_s:g} s: {pending}")
        return complete

    def _running(self) -> set[str]:
        deployments = self._serving.details().get(self._app, {}).get("deployments", {})
        return {r["replica_id"] for d in deployments.values() for r in d["replicas"]}
