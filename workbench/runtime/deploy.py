"""`deploy()` and `plan()`: from an object in the notebook to a service that answers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any

from workbench.adapters import cluster as ray_cluster
from workbench.adapters import ray_handles, ray_serve, state
from workbench.adapters.history import Revision
from workbench.core.capacity import shortage
from workbench.core.graph import Graph, checked_name, checked_prefix
from workbench.core.plan import Plan, make_plan
from workbench.errors import CapacityError, DeployError, PlanError

from . import cluster, rollout
from .app import App
from .apps import history
from .rollout import Progress, RolloutFailed


class _Request:
    """One deploy, checked: nothing has been changed yet."""

    def __init__(
        self, target: Any, name: str | None, route_prefix: str | None, options: dict[str, Any]
    ) -> None:
        self.cluster = cluster.current()
        self.name = checked_name(ray_serve.target_name(target) if name is None else name)
        self.graph = ray_serve.graph_of(target, options)
        self.live = ray_serve.details()
        self.history = history()
        self.last_good = self._last_good()
        serving = self.last_good.route_prefix if self.last_good else None
        wanted = route_prefix if route_prefix is not None else serving
        self.route_prefix = checked_prefix(wanted, self.name)
        self._check_name()
        self._check_prefix()

    def _last_good(self) -> Revision | None:
        return self.history.serving(self.name) if self.name in self.live else None

    def _check_name(self) -> None:
        if self.name in self.live and not _is_ours(self.name, self.live[self.name]):
            raise PlanError(
                f"the name {self.name!r} belongs to an application that workbench did not deploy",
                f"choose another name=..., or delete it first: serve.delete({self.name!r})",
            )

    def _check_prefix(self) -> None:
        for other, found in self.live.items():
            if other != self.name and found["route_prefix"] == self.route_prefix:
                raise PlanError(
                    f"the route prefix {self.route_prefix!r} is in use by application {other!r}",
                    f"choose another route_prefix=..., or workbench.connect({other!r}).delete()",
                )

    def check_capacity(self, surge: bool) -> None:
        """Refuse what cannot fit.

        Raises:
            CapacityError: the arithmetic and what to do.
        """
        room = ray_cluster.room()
        found = self.live.get(self.name, {}).get("deployments", {})
        running = {name: len(d["replicas"]) for name, d in found.items()}
        short = shortage(self.graph.nodes, room, running, surge)
        if not short:
            return
        advice = "book less in ray_actor_options, or start the cluster with more: "
        advice += "workbench.stop(); workbench.start(num_cpus=..., num_gpus=...)"
        if running and not shortage(self.graph.nodes, room, running, surge=False):
            advice += "; or pass allow_downtime=True to stop the old replicas first"
        raise CapacityError(f"{self.name!r} does not fit: {short}", advice)


def plan(
    target: Any, *, name: str | None = None, route_prefix: str | None = None, **options: Any
) -> Plan:
    """Say what `deploy()` would do with the same arguments, and why. Changes nothing.

    Raises:
        PlanError: the target, name, route prefix or options cannot be deployed.
        CapacityError: the cluster is too small.
    """
    request = _Request(target, name, route_prefix, options)
    request.check_capacity(surge=True)
    return _plan(request)


def _plan(request: _Request) -> Plan:
    live = list(request.live.get(request.name, {}).get("deployments", {}))
    wanted = [node.name for node in request.graph.nodes]
    return make_plan(request.name, request.route_prefix, wanted, live)


def deploy(
    target: Any,
    progress: Progress,
    *,
    name: str | None = None,
    route_prefix: str | None = None,
    wait: bool = True,
    timeout_s: float = 300.0,
    note: str = "",
    allow_downtime: bool = False,
    **options: Any,
) -> App:
    """Deploy a target; see `workbench.deploy`."""
    if timeout_s <= 0:
        raise PlanError(f"timeout_s={timeout_s!r} is not positive", "give seconds, such as 300")
    request = _Request(target, name, route_prefix, options)
    with state.lock(f"deploy-{request.name}"):
        request.live, request.last_good = ray_serve.details(), request._last_good()
        request.check_capacity(surge=not allow_downtime)
        run = _Run(request, note, surge=not allow_downtime)
        run.begin()
        if wait:
            run.follow(timeout_s, progress)
    if not wait:
        rollout.in_background(lambda: _quietly(run, timeout_s), f"workbench-deploy-{request.name}")
    return App(request.name, request.route_prefix, request.cluster, request.history)


class _Run:
    """One revision on its way."""

    def __init__(self, request: _Request, note: str, surge: bool) -> None:
        self._request, self._note, self._surge = request, note, surge
        self._since = rollout.before(request.name)
        self._began_s = time.monotonic()
        self._number = 0
        self._blob = b""

    def begin(self) -> None:
        """Hand the revision to Serve."""
        asked = self._request
        self._number = asked.history.begin(asked.name, asked.route_prefix, self._note)
        version = f"workbench-{self._number}-{secrets.token_hex(4)}"
        try:
            application = ray_serve.application_of(
                asked.graph, asked.name, self._number, version, self._surge
            )
            self._blob = ray_serve.dumped(application)
            ray_serve.run(application, asked.name, asked.route_prefix)
        except BaseException as error:
            self._fail(f"{type(error).__name__}: {error}")
            raise

    def follow(self, timeout_s: float, progress: Progress) -> None:
        """Wait until it serves, or undo it.

        Raises:
            DeployError: it did not become healthy.
            KeyboardInterrupt: the cell was interrupted; the last good revision serves.
        """
        asked = self._request
        try:
            rollout.follow(asked.name, asked.graph, self._since, timeout_s, progress)
        except RolloutFailed as failed:
            serving = self._fail(str(failed))
            error = DeployError(asked.name, self._number, serving, str(failed), ADVICE)
            progress.fail(f"{asked.name} revision {self._number} failed")
            raise error from None
        except BaseException:
            self._fail("interrupted")
            progress.fail(f"{asked.name} revision {self._number} was interrupted and undone")
            raise
        took_s = time.monotonic() - self._began_s
        asked.history.served(asked.name, self._number, self._blob, took_s)
        progress.finish(_summary(asked.name, self._number, asked.graph, asked.live))

    def _fail(self, reason: str) -> int | None:
        asked = self._request
        asked.history.failed(asked.name, self._number, reason)
        return rollout.undo(asked.name, asked.last_good)


ADVICE = "mend the code and deploy again; app.logs() shows what the replicas wrote"


def _quietly(run: _Run, timeout_s: float) -> None:
    try:
        run.follow(timeout_s, rollout.Silent())
    except DeployError:
        return  # recorded in the history; app.status() and the next deploy tell


def _summary(app: str, number: int, graph: Graph, live: Iterable[str]) -> str:
    what = "deployed" if app not in live else "deployed again"
    names = ", ".join(node.name for node in reversed(graph.nodes))
    return f"{app} revision {number} {what}: {names}"


def _is_ours(app: str, found: dict[str, Any]) -> bool:
    """Whether an application runs in our hosts: any live replica knows our question."""
    for name, deployment in found["deployments"].items():
        if any(replica["state"] == "RUNNING" for replica in deployment["replicas"]):
            return ray_handles.is_hosted(app, name)
    return True  # nothing of it runs: it is being deleted or never came up
