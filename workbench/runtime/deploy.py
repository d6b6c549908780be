"""`deploy()`, `plan()` and `rollback()`: from an object to a service that answers."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from workbench.adapters import cells, history, ray_graph, ray_serve, state
from workbench.core.graph import Graph
from workbench.core.plan import ADD, REPLACE, Action, Plan
from workbench.core.revision import FAILED, INTERRUPTED, DeploymentRecord
from workbench.core.rollout import Wanted, before_of
from workbench.errors import DeployError, PlanError, WorkbenchError
from workbench.replica import package as packages
from workbench.replica.keys import digest_of
from workbench.replica.package import Package

from . import cluster, rollout
from .exchange import Exchange
from .lease import Lease
from .request import Look, Request, name_of
from .rollout import Good, Progress, RolloutFailed
from .threads import in_background

ANY_REPLICA = (
    "requests go to any replica, whichever multiplexed model it has; "
    'a cluster of workbench.start(data_path="python") sends them where the model is'
)
AUTOSCALING = "autoscaling_config"
ADVICE = "mend the code and deploy again; app.logs() shows what the replicas wrote"


def plan(
    target: Any,
    *,
    name: str | None = None,
    route_prefix: str | None = None,
    mode: str = "auto",
    require_key: bool = False,
    **options: Any,
) -> Plan:
    """Say what `deploy()` would do with the same arguments, and why; see `workbench.plan`."""
    look = Look(name_of(target, name))
    request = Request(look, _graph(target, options, require_key), route_prefix, mode)
    request.check_capacity(surge=True)
    return request.plan


def deploy(
    target: Any,
    progress: Progress,
    *,
    name: str | None = None,
    route_prefix: str | None = None,
    wait: bool = True,
    timeout_s: float = 300.0,
    note: str = "",
    mode: str = "auto",
    allow_downtime: bool = False,
    require_key: bool = False,
    **options: Any,
) -> Request:
    """Deploy a target; see `workbench.deploy`. Returns what was asked for and is true now."""
    began_s = time.monotonic()
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or timeout_s <= 0:
        raise PlanError(f"timeout_s={timeout_s!r} is not positive", "give seconds, such as 300")
    checked = name_of(target, name)
    with held(checked, progress):
        look = Look(checked, alone=True)  # Serve answers while the graph is pickled
        graph = _graph(target, options, require_key, look.fingerprints)
        request = Request(look, graph, route_prefix, mode)
        if graph.ingress.multiplexes and request.cluster.facts.data_path == "fast":
            progress.say(f"{graph.ingress.name}: {ANY_REPLICA}")
        run = Run(request, note, timeout_s, surge=not allow_downtime, began_s=began_s)
        run.carry_out(progress, wait)
    return request


def _graph(target: Any, options: dict[str, Any], require_key: bool, *live: Any) -> Graph:
    graph = ray_graph.graph_of(target, options, *live)
    if not require_key:
        return graph
    if graph.ingress.kind == packages.PLAIN:
        raise PlanError(
            f"require_key: requests to {graph.ingress.name!r} go to its own __call__",
            "give it a FastAPI ingress, or look at the header X-API-Key in its __call__",
        )
    return graph.keyed(digest_of(state.ingress_key(make=True)))


def held(name: str, progress: Progress) -> AbstractContextManager[None]:
    """The right to change an application; another notebook that has it is waited for."""
    return state.lock(f"deploy-{name}", progress.say)


def rollback(name: str, to: int | None, progress: Progress, timeout_s: float) -> None:
    """Put an earlier revision back by the same way; see `App.rollback`."""
    began_s = time.monotonic()
    past = history.here()
    serving = past.serving(name)
    if to is None:
        to = _before(past.revisions(name), serving)
    if past.revision(name, to) is None:
        known = [each.number for each in past.revisions(name)]
        raise PlanError(f"{name!r} has no revision {to!r}", f"its revisions are {known}")
    good = rollout.good_of(past.graph(name, to), name, to)
    with held(name, progress):
        request = Request(Look(name, alone=True), good.graph, good.route_prefix, carries=False)
        run = Run(request, f"back to revision {to}", timeout_s, surge=True, began_s=began_s)
        run.carry_out(progress, wait=True)


def restore(show: Callable[[], Progress], timeout_s: float = 300.0) -> tuple[str, ...]:
    """Deploy the revision that served last of every application that does not run any more.

    Args:
        show: makes the display of one deploy.
        timeout_s: seconds that each may take.

    Returns:
        Names of the applications that were deployed.

    Raises:
        WorkbenchError: one could not be deployed; those before it serve.
    """
    cluster.attached()
    past, running = history.here(), ray_serve.details()
    gone = [each for each in map(past.serving, past.apps()) if each and each.app not in running]
    for each in gone:
        rollback(each.app, each.number, show(), timeout_s)
    return tuple(each.app for each in gone)


def _before(revisions: Any, serving: Any) -> int:
    served = [r.number for r in revisions if r.outcome == "served" and r != serving]
    if not served:
        raise PlanError("there is no earlier revision that served", "see app.history()")
    return int(served[-1])


class Run:
    """One revision on its way.

    Args:
        request: what was asked for.
        note: what to remember about it.
        timeout_s: seconds before it is undone.
        surge: new replicas start before old ones stop.
        began_s: when the user asked, on the monotonic clock.
        good: the revision that serves; read from the history when None.

    Attributes:
        number: number of the revision; 0 until it begins.
    """

    def __init__(
        self,
        request: Request,
        note: str,
        timeout_s: float,
        surge: bool,
        began_s: float,
        good: Good | None = None,
    ) -> None:
        self._request, self._note, self._timeout_s = request, note, timeout_s
        self._surge, self._began_s = surge, began_s
        self.number = 0
        self._known_good, self._good_is_known = good, good is not None
        self._lease: Lease | None = None
        self._handed_over = threading.Event()
        self._took_ms: dict[str, float] = {}

    def carry_out(self, progress: Progress, wait: bool) -> None:
        """Bring the revision up, or undo it.

        Raises:
            DeployError: it did not become healthy.
            KeyboardInterrupt: the cell was interrupted; the last good revision serves.
        """
        asked = self._request
        asked.check_capacity(self._surge)
        self._begin()
        if wait:
            self._undone_if_it_fails(progress)
        else:
            in_background(self._quietly, f"workbench-deploy-{asked.name}")
            self._handed_over.wait()

    def _quietly(self) -> None:
        try:
            self._undone_if_it_fails(rollout.Silent())
        except WorkbenchError:
            return  # recorded in the history; app.status() and the next deploy tell
        finally:
            self._handed_over.set()

    def _begin(self) -> None:
        asked = self._request
        known = [each.revision for each in asked.live.generations.values()]
        self.number = asked.history.begin(
            asked.name, asked.route_prefix, self._note, cells.kernel(), max(known, default=0)
        )
        token = secrets.token_hex(4)
        self._actions = {each.deployment: each for each in asked.plan.actions}
        self._shipped = {n.name: self._package(n, token) for n in asked.graph.nodes}
        self._stamps = {n.name: self._stamp(n) for n in asked.graph.nodes}

    def _good(self) -> Good | None:
        """The revision that serves; read when part of it stays, or it is to be put back."""
        if not self._good_is_known:
            asked, self._good_is_known = self._request, True
            if asked.live.details:
                self._known_good = rollout.last_good(asked.name, asked.history)
        return self._known_good

    def _package(self, node: Any, token: str) -> Package:
        action, live = self._actions[node.name], self._request.live.generations.get(node.name)
        if action.kind in (REPLACE, ADD) or live is None:
            version = f"workbench-{self.number}-{token}"
            return ray_serve.package_of(node, self._request.name, self.number, version)
        revision = self.number if action.exchanges else live.revision
        return ray_serve.package_of(node, self._request.name, revision, live.version)

    def _stamp(self, node: Any) -> float:
        action = self._actions[node.name]
        changes = action.options or action.exchanges
        good = None if changes else self._good()
        if good is not None and node.name in good.stamps:
            return good.stamps[node.name]
        return ray_serve.stamp_of(node, self.number, node.name == self._request.graph.ingress.name)

    def _undone_if_it_fails(self, progress: Progress) -> None:
        asked = self._request
        since = before_of(asked.live.details)
        done: list[str] = []
        try:
            self._bring_about(since, progress, done)
        except RolloutFailed as failed:
            serving = self._undo(done, str(failed), FAILED)
            progress.fail(f"{asked.name} revision {self.number} failed")
            raise DeployError(asked.name, self.number, serving, str(failed), ADVICE) from None
        except BaseException:
            self._undo(done, "interrupted", INTERRUPTED)
            progress.fail(f"{asked.name} revision {self.number} was interrupted and undone")
            raise
        finally:
            if self._lease is not None:
                self._lease.end()
        self._record()
        progress.finish(self._summary())
        if asked.plan.of(REPLACE, ADD):
            cluster.keep_worker()

    def _bring_about(self, since: Any, progress: Progress, done: list[str]) -> None:
        asked = self._request
        exchanged = [a.deployment for a in asked.plan.actions if a.exchanges]
        told = (
            any(a.options for a in asked.plan.actions)
            or asked.route_prefix != asked.live.route_prefix
            or asked.live.updating
        )
        first = self._before_serve() if told else set(exchanged)
        self._exchange([n for n in exchanged if n in first], done)
        if told:
            self._guard(done)
            done.append("")  # Serve was told
            self._tell_serve()
            self._handed_over.set()
            fresh = frozenset(asked.plan.of(REPLACE, ADD))
            goal = Wanted(asked.graph, fresh, self._stamps)
            rollout.follow(asked.name, goal, since, self._timeout_s, progress, self._lost)
            for name in (*fresh, *asked.plan.of("tune")):
                self._took_ms[name] = self._elapsed_ms()
        self._exchange([n for n in exchanged if n not in first], done)
        if exchanged and not told:
            done.append("")
            self._tell_serve()  # for the replicas that it will start
        asked.store.settle(asked.name, self._shipped)

    def _before_serve(self) -> set[str]:
        """Those that must have the new code before Serve starts any process.

        New processes may call them, or are replicas of theirs, which come with the new code.
        """
        asked = self._request
        scaled = {a.deployment for a in asked.plan.actions if a.exchanges and a.options}
        return asked.callees_of_replaced() | scaled

    def _exchange(self, names: list[str], done: list[str]) -> None:
        packages = {name: self._shipped[name] for name in names}
        done += names  # before: an interrupt may come when all is exchanged
        try:
            Exchange(self._request.store, self._request.name, packages, self._timeout_s).run()
        except RolloutFailed:
            del done[len(done) - len(names) :]
            raise
        self._took_ms |= dict.fromkeys(names, self._elapsed_ms())

    def _guard(self, done: list[str]) -> None:
        """Have the last good revision put back if this kernel dies from here on."""
        asked, good = self._request, self._good()
        if good is None:
            if asked.live.details:
                return  # what serves is not known here: nothing could be put back
            asked.store.guard(asked.name, None, asked.route_prefix, {})
        else:
            back = {n: good.shipped[n] for n in done if n in good.shipped}
            asked.store.guard(asked.name, rollout.application(good), good.route_prefix, back)
        self._lease = Lease(asked.store, asked.name)

    def _lost(self) -> bool:
        return self._lease is not None and self._lease.lost

    def _tell_serve(self) -> None:
        asked = self._request
        application = ray_serve.application_of(
            asked.graph, self._shipped, self._stamps, self._surge, self._scaled_as_they_are()
        )
        ray_serve.run(application, asked.name, asked.route_prefix)

    def _scaled_as_they_are(self) -> set[str]:
        """Deployments that keep as many processes as they have: nobody asked for other limits."""
        nodes, live = self._request.graph.nodes, self._request.live.generations
        return {
            node.name
            for node in nodes
            if self._actions[node.name].kind not in (REPLACE, ADD)
            and node.name in live
            and node.fingerprint.light.get(AUTOSCALING)
            == live[node.name].fingerprint.light.get(AUTOSCALING)
        }

    def _undo(self, done: list[str], reason: str, outcome: str) -> int | None:
        asked, good = self._request, self._good()
        asked.history.failed(asked.name, self.number, reason, outcome, self._records())
        if good is None:
            if done:
                rollout.remove(asked.name)
                asked.store.forget(asked.name)
            return None
        back = {n: good.shipped[n] for n in done if n and n in good.shipped}
        Exchange(asked.store, asked.name, back, self._timeout_s).run()
        if "" in done:
            rollout.put_back(asked.name, good)
        asked.store.settle(asked.name, good.shipped)
        return good.number

    def _record(self) -> None:
        asked = self._request
        good = Good(self.number, asked.graph, self._shipped, self._stamps, asked.route_prefix)
        asked.history.served(
            asked.name, self.number, rollout.dumped(good), self._elapsed_ms(), self._records()
        )

    def _records(self) -> tuple[DeploymentRecord, ...]:
        nodes = {node.name: node for node in self._request.graph.nodes}
        return tuple(self._recorded(nodes.get(a.deployment), a) for a in self._actions.values())

    def _recorded(self, node: Any, action: Action) -> DeploymentRecord:
        return DeploymentRecord(
            name=action.deployment,
            source="" if node is None else node.source,
            fingerprint={} if node is None else node.fingerprint.summary(),
            options={} if node is None else node.options,
            action=action.kind,
            reason=action.reason,
            took_ms=self._took_ms.get(action.deployment),
        )

    def _elapsed_ms(self) -> float:
        return (time.monotonic() - self._began_s) * 1e3

    def _summary(self) -> str:
        asked = self._request
        if not asked.live.details:
            names = ", ".join(node.name for node in reversed(asked.graph.nodes))
            return f"{asked.name} revision {self.number} deployed: {names}"
        lines = [f"{asked.name} revision {self.number} serves"]
        for action in reversed(asked.plan.actions):
            took = self._took_ms.get(action.deployment)
            time_text = "" if took is None else f" in {took:.0f} ms"
            lines.append(f"  {action.deployment}: {action.kind}{time_text} ({action.reason})")
        return "\n".join(lines)
