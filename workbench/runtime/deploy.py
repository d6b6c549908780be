"""`deploy()` and `plan()`: from an object to a service that answers."""

from __future__ import annotations

import secrets
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from workbench.adapters import cells, ray_graph, ray_serve, state
from workbench.core.graph import Graph
from workbench.core.plan import ADD, KEEP, REPLACE, Plan
from workbench.core.revision import FAILED, INTERRUPTED, DeploymentRecord
from workbench.core.rollout import STAMP, Wanted, before_of
from workbench.errors import AdvisedError, DeployError, PlanError, WorkbenchError
from workbench.replica import package as packages
from workbench.replica.keys import digest_of
from workbench.replica.package import Package

from . import releases, rollout
from .boundary import explained
from .exchange import Exchange
from .lease import Lease
from .request import Look, Request, name_of
from .rollout import Good, Progress, RolloutFailed
from .threads import in_background, uninterrupted
from .undo import Done, Undo

ANY_REPLICA = (
    "requests go to any replica, whichever multiplexed model it has; "
    'a cluster of workbench.start(data_path="python") sends them where the model is'
)
AUTOSCALING = "autoscaling_config"
ADVICE = "fix the code and deploy again; app.logs() shows what the replicas wrote"
CLUSTER_ADVICE = "`workbench doctor` looks at the cluster; then deploy again"
UNDO_ADVICE = "`workbench doctor` looks at the cluster; app.rollback() or a deploy puts it right"


@explained("plan")
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


@explained("deploy")
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
        self._say: Callable[[str], None] = rollout.Silent().say
        self._lease: Lease | None = None
        self._handed_over = threading.Event()
        self._took_ms: dict[str, float] = {}
        self._release = b""

    def carry_out(self, progress: Progress, wait: bool) -> None:
        """Bring the revision up, or undo it.

        Raises:
            DeployError: it did not become healthy; whatever went wrong.
            KeyboardInterrupt: the cell was interrupted; the last good revision serves.
        """
        asked = self._request
        asked.check_capacity(self._surge)
        self._say = progress.say
        self._begin()
        if wait:
            self._undone_if_it_fails(progress)
        else:
            self._say = rollout.Silent().say
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
        if asked.live.details and asked.history.serving(asked.name) is None:
            self._good_if_any()  # recorded first, so that one can go back to it
        self.number = asked.history.begin(
            asked.name, asked.route_prefix, self._note, cells.kernel(), max(known, default=0)
        )
        self._actions = {each.deployment: each for each in asked.plan.actions}

    def _pack(self) -> None:
        asked, token = self._request, secrets.token_hex(4)
        self._shipped = {n.name: self._package(n, token) for n in asked.graph.nodes}
        self._stamps = {n.name: self._stamp(n) for n in asked.graph.nodes}

    def _good(self) -> Good | None:
        """The revision that serves; read when part of it stays, or it is to be put back."""
        if not self._good_is_known:
            asked = self._request
            if asked.live.details:
                found = (asked.live, asked.history, asked.store, self._say)
                self._known_good = releases.serving(asked.name, *found)
            self._good_is_known = True
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
        asked, done, interrupt = self._request, Done(), None
        try:
            self._pack()
            self._bring_about(before_of(asked.live.details), progress, done)
        except BaseException as error:
            with uninterrupted():
                if not self._is_settled():
                    self._fail(error, done, progress)
            interrupt = None if isinstance(error, Exception) else error
        finally:
            if self._lease is not None:
                self._lease.end()
        self._record()
        progress.finish(self._summary())
        if asked.plan.of(REPLACE, ADD):
            asked.serving.keep_worker()
        if interrupt is not None:
            raise interrupt  # it came too late to stop anything

    def _is_settled(self) -> bool:
        """Whether the revision serves already, and only the answer was lost."""
        asked = self._request
        if not self._release:
            return False  # `settle` was not called yet
        try:
            return asked.store.release(asked.name) == self._release
        except Exception:
            return False

    def _fail(self, error: BaseException, done: Done, progress: Progress) -> NoReturn:
        failed = self._undone(done, error)
        if not isinstance(error, Exception):
            progress.fail(f"{self._request.name} revision {self.number} was interrupted and undone")
            if failed.state:
                progress.say(failed.state)
            raise error
        progress.fail(f"{self._request.name} revision {self.number} failed")
        raise failed from (None if isinstance(error, RolloutFailed) else error)

    def _bring_about(self, since: Any, progress: Progress, done: Done) -> None:
        asked = self._request
        exchanged = [a.deployment for a in asked.plan.actions if a.exchanges]
        told = (
            any(a.options for a in asked.plan.actions)
            or asked.route_prefix != asked.live.route_prefix
            or asked.live.updating
            or self._drifted()
        )
        first = self._before_serve() if told else set(exchanged)
        self._exchange([n for n in exchanged if n in first], done)
        if told:
            self._guard(done)
            self._tell_serve(done)
            self._handed_over.set()
            fresh = frozenset(asked.plan.of(REPLACE, ADD))
            goal = Wanted(asked.graph, fresh, self._stamps)
            rollout.follow(
                asked.name, goal, since, self._timeout_s, progress, self._lost, asked.serving
            )
            for name in (*fresh, *asked.plan.of("tune")):
                self._took_ms[name] = self._elapsed_ms()
        self._exchange([n for n in exchanged if n not in first], done)
        if exchanged and not told:
            self._tell_serve(done)  # for the replicas that it will start
        made = Good(self.number, asked.graph, self._shipped, self._stamps, asked.route_prefix)
        if self._lease is not None and not self._lease.holds():
            raise RolloutFailed(rollout.LOST)
        self._release = rollout.dumped(made)
        asked.store.settle(asked.name, self._shipped, self._release)

    def _drifted(self) -> bool:
        """Whether Serve has other options for what is kept, as after an undo that failed."""
        live = self._request.live.deployments
        marks = {n: (d.get("deployment_config") or {}).get(STAMP) for n, d in live.items()}
        kept = self._request.plan.of(KEEP)
        return any(marks[name] != self._stamps[name] for name in kept)

    def _before_serve(self) -> set[str]:
        """Those that must have the new code before Serve starts any process.

        New processes may call them, or are replicas of theirs, which come with the new code.
        """
        asked = self._request
        scaled = {a.deployment for a in asked.plan.actions if a.exchanges and a.options}
        return asked.callees_of_replaced() | scaled

    def _exchange(self, names: list[str], done: Done) -> None:
        asked, packages = self._request, {name: self._shipped[name] for name in names}
        done.exchanged += names  # before: an interrupt may come when all is exchanged
        try:
            Exchange(asked.store, asked.name, packages, self._timeout_s, asked.serving).run()
        except RolloutFailed:
            del done.exchanged[len(done.exchanged) - len(names) :]
            raise
        self._took_ms |= dict.fromkeys(names, self._elapsed_ms())

    def _guard(self, done: Done) -> None:
        """Have the last good revision put back if this kernel dies from here on."""
        asked, good = self._request, self._good()
        if good is None:
            if asked.live.serves:
                return  # what serves is not known here: nothing could be put back
            asked.store.guard(asked.name, None, asked.route_prefix, {})
        else:
            back = {n: good.shipped[n] for n in done.exchanged if n in good.shipped}
            asked.store.guard(asked.name, rollout.application(good), good.route_prefix, back)
        self._lease = Lease(asked.store, asked.name)

    def _lost(self) -> bool:
        return self._lease is not None and self._lease.lost

    def _tell_serve(self, done: Done) -> None:
        asked = self._request
        application = ray_serve.application_of(
            asked.graph, self._shipped, self._stamps, self._surge, self._scaled_as_they_are()
        )
        done.told = True  # before: an interrupt may come when Serve has it
        asked.serving.run(application, asked.name, asked.route_prefix)

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

    def _undone(self, done: Done, error: BaseException) -> DeployError:
        """Undo, note why, and say what serves now."""
        asked, interrupted = self._request, not isinstance(error, Exception)
        reason = "interrupted" if interrupted else rollout.reason_of(error)
        undo = Undo(asked.name, asked.store, asked.serving, asked.live, self._good_if_any())
        undone = undo.run(done)
        advice = _advice(error)
        if undone.problem and self._lease is not None:
            self._lease.leave()
        if undone.problem:
            reason, advice = f"{reason}\nThe undo failed: {undone.problem}", UNDO_ADVICE
        try:
            outcome = INTERRUPTED if interrupted else FAILED
            asked.history.failed(asked.name, self.number, reason, outcome, self._records())
        except WorkbenchError as unwritten:
            reason = f"{reason}\n{unwritten}"
        return DeployError(asked.name, self.number, undone.serving, reason, advice, undone.state)

    def _good_if_any(self) -> Good | None:
        try:
            return self._good()
        except Exception:  # the history and the cluster may both be out of reach
            return None

    def _record(self) -> None:
        asked = self._request
        try:
            asked.history.served(
                asked.name, self.number, self._release, self._elapsed_ms(), self._records()
            )
        except WorkbenchError as error:
            warnings.warn(f"revision {self.number} serves, but {error}", stacklevel=2)

    def _records(self) -> tuple[DeploymentRecord, ...]:
        nodes = {node.name: node for node in self._request.graph.nodes}
        return tuple(
            releases.record_of(n, nodes.get(n), a.kind, a.reason, self._took_ms.get(n))
            for n, a in self._actions.items()
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


def _advice(error: BaseException) -> str:
    if isinstance(error, RolloutFailed):
        return ADVICE
    return error.advice if isinstance(error, AdvisedError) and error.advice else CLUSTER_ADVICE
