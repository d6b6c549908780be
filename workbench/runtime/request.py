"""What a deploy was asked for, checked against what runs. Nothing has been changed yet."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench.adapters import haproxy, history, ray_graph, ray_handles, ray_knobs, ray_serve
from workbench.adapters.ray_store import CodeStore, Generation
from workbench.core.capacity import shortage
from workbench.core.fingerprint import Fingerprint
from workbench.core.graph import Graph, Node, checked_name, checked_prefix
from workbench.core.plan import ADD, REPLACE, Plan, make_plan
from workbench.core.status import word
from workbench.errors import CapacityError, PlanError
from workbench.replica.store import BUSY

from . import cluster
from .serving import OnRay, Serving

RETOLD_S = 3.0
ANSWERING = {"RUNNING", "UPDATING", "RECOVERING", "PENDING_MIGRATION"}  # states of a replica
SHM_ADVICE = "remove what fills it (ls -l /dev/shm), and deploy again"


@dataclass(frozen=True)
class Live:
    """What runs of one application, at one moment.

    Attributes:
        details: Serve's details of it; empty when it does not run.
        generations: the newest code of each deployment, where it is known.
        route_prefix: path of its ingress, or None.
    """

    details: Mapping[str, Any]
    generations: Mapping[str, Generation]

    @property
    def route_prefix(self) -> str | None:
        """Path of the ingress, or None when nothing runs."""
        return self.details.get("route_prefix")

    @property
    def deployments(self) -> dict[str, Any]:
        """Serve's details by deployment."""
        return dict(self.details.get("deployments", {}))

    @property
    def serves(self) -> bool:
        """Whether anything of it may answer: also at zero replicas that grow when asked."""
        states = {word(r["state"]) for d in self.deployments.values() for r in d["replicas"]}
        return bool(states & ANSWERING) or word(self.details.get("status")) in (
            "RUNNING",
            "DEPLOYING",
        )

    @property
    def updating(self) -> bool:
        """Whether processes of other code still run, as after a kernel that died half-way."""
        return any(word(each["status"]) == "UPDATING" for each in self.deployments.values())


class Look:
    """A question about what runs of an application, asked at once and answered later.

    Args:
        name: of the application.
        alone: whether it is to be changed: what a kernel that died began is undone first.
    """

    def __init__(self, name: str, alone: bool = False) -> None:
        self.cluster = cluster.current()
        self.name, self.store = name, CodeStore()
        self.serving: Serving = OnRay()
        self._alone = self.store.alone_soon(name) if alone else lambda: ""
        self._ask()

    def _ask(self) -> None:
        self._every = functools.cache(ray_serve.details_soon())
        self._code = functools.cache(self.store.committed_soon(self.name))

    def fingerprints(self) -> dict[str, Fingerprint]:
        """What each deployment that runs is made of, where it is known."""
        if self.name not in self._every():
            return {}  # a new store need not be waited for
        return {name: each.fingerprint for name, each in self._code().items()}

    def answer(self) -> tuple[Mapping[str, Any], Live]:
        """Serve's details of every application, and what runs of this one.

        Raises:
            PlanError: another kernel is changing it, with another state folder than this one's.
        """
        waited = self._alone()
        if waited == BUSY:
            raise PlanError(f"another kernel is changing {self.name!r}", "try again later")
        if waited:
            self._ask()
        every = self._every()
        if self.name not in every:
            return every, Live({}, {})  # as above
        return every, Live(every[self.name], self._code())

    def again(self, live: Live) -> Live:
        """The same with what the store knows now; a store that was restarted is being told."""
        until = time.monotonic() + RETOLD_S
        while set(live.deployments) - set(live.generations) and time.monotonic() < until:
            time.sleep(0.1)
            live = replace(live, generations=self.store.committed_soon(self.name)())
        return live


class Request:
    """One deploy, checked.

    Args:
        look: at what runs.
        graph: what is wanted.
        route_prefix: path of the ingress; what it is now, or `/<name>`, when None.
        mode: auto, swap or replace.
        carries: whether knobs that were set on what runs stay as they are.

    Raises:
        PlanError: the name or the route prefix is taken, or the mode is refused.
    """

    def __init__(
        self,
        look: Look,
        graph: Graph,
        route_prefix: str | None = None,
        mode: str = "auto",
        carries: bool = True,
    ) -> None:
        self.cluster, self.history = look.cluster, history.here()
        self.graph, self.name, self.store = graph, look.name, look.store
        self.serving = look.serving
        every, self.live = look.answer()
        prefix = route_prefix if route_prefix is not None else self.live.route_prefix
        self.route_prefix = checked_prefix(prefix, self.name)
        self._check_name()
        self._check_prefix(every)
        self.live = look.again(self.live)
        if carries:
            self.graph = Graph(tuple(map(self._tuned, graph.nodes)))
        self.plan = self._planned(mode)

    def _tuned(self, node: Node) -> Node:
        known = self.live.generations.get(node.name)
        return node if known is None else ray_knobs.with_carried(node, known.fingerprint.tuned)

    def _planned(self, mode: str) -> Plan:
        known = {name: each.fingerprint for name, each in self.live.generations.items()}
        live = {name: known.get(name) for name in self.live.deployments}
        wanted = {node.name: node.fingerprint for node in self.graph.nodes}
        return make_plan(self.name, self.route_prefix, wanted, live, mode)

    def _check_name(self) -> None:
        if self.live.deployments and not self.live.generations and not self._is_ours():
            raise PlanError(
                f"the name {self.name!r} belongs to an application that workbench did not deploy",
                f"choose another name=..., or delete it first: serve.delete({self.name!r})",
            )

    def _is_ours(self) -> bool:
        """Whether it runs in our hosts: any live replica knows our question."""
        for name, deployment in self.live.deployments.items():
            if any(replica["state"] == "RUNNING" for replica in deployment["replicas"]):
                return ray_handles.is_hosted(self.name, name)
        return True  # nothing of it runs: it is being deleted or never came up

    def _check_prefix(self, every: Mapping[str, Any]) -> None:
        for other, found in every.items():
            if other != self.name and found["route_prefix"] == self.route_prefix:
                raise PlanError(
                    f"the route prefix {self.route_prefix!r} is in use by application {other!r}",
                    f"choose another route_prefix=..., or workbench.delete({other!r})",
                )

    def check_capacity(self, surge: bool) -> None:
        """Refuse what cannot fit.

        Raises:
            CapacityError: the arithmetic and what to do.
        """
        if not any(action.options for action in self.plan.actions):
            return
        starved = haproxy.starved() if self.cluster.facts.data_path == "fast" else ""
        if starved:
            raise CapacityError(f"{self.name!r} cannot change its replicas: {starved}", SHM_ADVICE)
        running = {name: len(d["replicas"]) for name, d in self.live.deployments.items()}
        beside = self.plan.of(REPLACE) if surge else []
        nodes, room = self.graph.nodes, self.serving.room()
        short = shortage(nodes, room, running, beside)
        if not short:
            return
        advice = "book less in ray_actor_options, or start the cluster with more: "
        advice += "workbench.stop(); workbench.start(num_cpus=..., num_gpus=...)"
        if beside and not shortage(nodes, room, running, ()):
            advice += "; or pass allow_downtime=True to stop the old replicas first"
        raise CapacityError(f"{self.name!r} does not fit: {short}", advice)

    def callees_of_replaced(self) -> set[str]:
        """Names of the deployments that new processes will call, directly or through others."""
        children = {node.name: node.children for node in self.graph.nodes}
        pending, found = self.plan.of(REPLACE, ADD), set[str]()
        while pending:
            for child in children[pending.pop()]:
                if child not in found:
                    found.add(child)
                    pending.append(child)
        return found


def name_of(target: Any, name: str | None) -> str:
    """The name under which a target is deployed.

    Raises:
        PlanError: it is no valid name.
    """
    return checked_name(ray_graph.target_name(target) if name is None else name)
