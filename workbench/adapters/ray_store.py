"""The store of the newest code, as the notebook's process uses it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle

from workbench.core.fingerprint import Fingerprint
from workbench.core.snapshots import Counts, Look, Snapshot
from workbench.errors import ClusterError
from workbench.replica.link import find_store
from workbench.replica.package import PLAIN, Package
from workbench.replica.store import NAME, NAMESPACE, Answers, Store

from .ray_serve import dumped, pickled
from .ray_workers import HEAD_NODE

OWNER = secrets.token_hex(8)  # this process, whatever its id was used for before
ANSWER_S = 30.0  # a store that is being started included


@dataclass(frozen=True)
class Generation:
    """The newest code of one deployment.

    Attributes:
        version: name of the generation of processes that runs it.
        revision: number of the revision that it belongs to.
        fingerprint: what it is made of.
    """

    version: str
    revision: int
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Reports:
    """Figures that came to the store.

    Attributes:
        now_s: the store's time now, to go on from.
        snapshots: what replicas reported, in the order in which it came.
        looks: what waits in Serve's routers, at some moments.
    """

    now_s: float
    snapshots: list[Snapshot]
    looks: list[Look]


class CodeStore:
    """Talks to the store's actor; starts it on a cluster that has none."""

    def __init__(self) -> None:
        self._actor = find_store() or _started()
        self._guarding: Any = None

    def committed_soon(self, app: str) -> Callable[[], dict[str, Generation]]:
        """Ask for the newest code of each deployment; what is returned waits for the answer.

        It is empty when the store knows nothing of the application.
        """
        reply = self._actor.committed.remote(app)
        return lambda: self._generations(self._answered(reply))

    def _generations(self, found: dict[str, Any]) -> dict[str, Generation]:
        return {
            deployment: Generation(version, revision, Fingerprint(**digests))
            for deployment, (version, revision, digests) in found.items()
            if digests
        }

    def settle(self, app: str, shipped: Mapping[str, Package], release: bytes = b"") -> None:
        """From now on this code serves; `release` is all of it, or b"" when it did before."""
        generations = {name: (p.version, p.revision, p.digests) for name, p in shipped.items()}
        self._ask("settle", app, generations, release)

    def release(self, app: str) -> bytes:
        """The release that serves, as `settle` was given it; b"" where none is known."""
        return bytes(self._ask("release", app))

    def revert(self, app: str) -> None:
        """Exchange back what was exchanged since the last `settle`."""
        self._ask("revert", app)

    def forget(self, app: str) -> None:
        """The application was deleted."""
        self._ask("settle", app, {})

    def prepare(self, app: str, packages: Mapping[str, Package], wait_s: float) -> Answers:
        """Have every replica prepare new code, and exchange it when all have within `wait_s`.

        Args:
            app: application name.
            packages: new code by deployment, callees before callers.
            wait_s: seconds to wait for answers.

        Returns:
            Replicas that have not answered yet, errors by replica, and whether all is exchanged.
        """
        return self._answers("prepare", app, _blobs(app, packages), wait_s)

    def exchange(self, app: str, wait_s: float) -> Answers:
        """Have every replica exchange its code for what it prepared."""
        return self._answers("exchange", app, wait_s)

    def answers(self, app: str, wait_s: float) -> Answers:
        """Wait on for answers."""
        return self._answers("answers", app, wait_s)

    def drop(self, app: str, replicas: list[str]) -> None:
        """These replicas are gone."""
        self._ask("drop", app, replicas)

    def cancel(self, app: str) -> None:
        """Give the change up; what was exchanged is exchanged back."""
        self._ask("cancel", app)

    def figures(self, app: str, after_s: float) -> Reports:
        """What the replicas of an application reported, and who waits for them.

        Args:
            app: application name.
            after_s: reports that came after this moment, in the store's seconds since the epoch;
                0 or less counts back from now.
        """
        now_s, rows, looks = self._ask("figures", app, after_s)
        return Reports(
            float(now_s), [_snapshot(*row) for row in rows], [Look(*each) for each in looks]
        )

    def guard(
        self, app: str, application: Any, route_prefix: str, back: Mapping[str, Package]
    ) -> None:
        """Have all this put back if this process dies before `unguard`.

        Args:
            app: application name.
            application: the Serve application that serves now, or None.
            route_prefix: path of its ingress.
            back: the code that served before, where new code was exchanged for it already.
        """
        blob = b"" if application is None else dumped(application)
        self._guarding = self._actor.guard.remote(app, blob, route_prefix, _blobs(app, back), OWNER)

    def heard_of(self, app: str) -> bool:
        """Say that this process lives; False when it was taken for dead and its work undone."""
        self._answered(self._guarding)  # an async actor may take up calls in another order
        return bool(self._ask("heard_of", app))

    def alone_soon(self, app: str) -> Callable[[], str]:
        """Ask to be the only one who changes an application; see `Store.alone`."""
        reply = self._actor.alone.remote(app, OWNER)
        return lambda: str(self._answered(reply))

    def unguard(self, app: str) -> None:
        """The change is over, well or not."""
        self._answered(self._guarding)
        self._ask("unguard", app)

    def _answers(self, method: str, *args: Any) -> Answers:
        pending, errors, complete = self._ask(method, *args)
        return list(pending), dict(errors), bool(complete)

    def _ask(self, method: str, *args: Any) -> Any:
        return self._answered(getattr(self._actor, method).remote(*args))

    def _answered(self, reply: Any) -> Any:
        try:
            return ray.get(reply, timeout=ANSWER_S)
        except ray.exceptions.RayTaskError:
            raise  # our own mistake: show it
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"the store of the newest code does not answer: {type(error).__name__}",
                "run the cell again; if that does not help: workbench.stop()",
            ) from error


def revisions(app: str) -> dict[str, int]:
    """Number of the revision that each deployment's code belongs to; empty without a store."""
    if find_store() is None:
        return {}
    return {name: each.revision for name, each in CodeStore().committed_soon(app)().items()}


def speaks_asgi(app: str, deployment: str) -> bool:
    """Whether a deployment's own `__call__` is Serve's ASGI entry, not the user's."""
    known = CodeStore().committed_soon(app)() if find_store() is not None else {}
    return deployment in known and known[deployment].fingerprint.kind.split()[0] != PLAIN


def _snapshot(at_s: float, deployment: str, replica: str, blob: bytes) -> Snapshot:
    told = json.loads(blob)
    counts = {name: told.pop(name) for name in COUNTED}
    latency_ms = dict(map(tuple, told.pop("latency_ms")))
    return Snapshot(
        at_s, deployment, replica, counts=Counts(latency_ms=latency_ms, **counts), **told
    )


COUNTED = ("requests", "errors", "batches", "batched", "batch_wait_s", "cpu_s")


def _blobs(app: str, packages: Mapping[str, Package]) -> dict[Any, Any]:
    return {
        (app, name, p.version): (pickled(p), p.revision, p.digests) for name, p in packages.items()
    }


def _started() -> Any:
    plain = cloudpickle.loads(cloudpickle.dumps(Store))  # by value: its node may lack workbench
    options = {
        "name": NAME,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "resources": {HEAD_NODE: 0.001},  # the node that is there as long as the cluster
        "max_restarts": -1,
        "max_task_retries": -1,  # a question that meets a restart is asked again
        "max_concurrency": 10_000,  # each replica waits in one call
    }
    return ray.remote(plain).options(**options).remote()
