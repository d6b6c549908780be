"""What a deploy was asked for, checked against what runs. Nothing has been changed yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.adapters import cluster as ray_cluster
from workbench.adapters import history, ray_graph, ray_handles, ray_serve
from workbench.adapters.ray_store import CodeStore, Generation
from workbench.core.capacity import shortage
from workbench.core.graph import Graph, checked_name, checked_prefix
from workbench.core.plan import ADD, REPLACE, Plan, make_plan
from workbench.errors import CapacityError, PlanError

from . import cluster


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


class Request:
    """One deploy, checked.

    Args:
        graph: what is wanted.
        name: application name.
        route_prefix: path of the ingress; what it is now, or `/<name>`, when None.
        mode: auto, swap or replace.

    Raises:
        PlanError: the name or the route prefix is taken, or the mode is refused.
    """

    def __init__(
        self, graph: Graph, name: str, route_prefix: str | None = None, mode: str = "auto"
    ) -> None:
        self.cluster, self.history = cluster.current(), history.here()
        self.store = CodeStore()
        self.graph, self.name = graph, name
        every = ray_serve.details()
        self.live = Live(every.get(name, {}), self.store.committed(name))
        prefix = route_prefix if route_prefix is not None else self.live.route_prefix
        self.route_prefix = checked_prefix(prefix, name)
        self._check_name()
        self._check_prefix(every)
        self.plan = self._planned(mode)

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
                    f"choose another route_prefix=..., or workbench.connect({other!r}).delete()",
                )

    def check_capacity(self, surge: bool) -> None:
        """Refuse what cannot fit.

        Raises:
            CapacityError: the arithmetic and what to do.
        """
        if not any(action.options for action in self.plan.actions):
            return
        running = {name: len(d["replicas"]) for name, d in self.live.deployments.items()}
        beside = self.plan.of(REPLACE) if surge else []
        nodes, room = self.graph.nodes, ray_cluster.room()
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


def wanted(target: Any, name: str | None, options: Mapping[str, Any]) -> tuple[Graph, str]:
    """The graph that a target is, and the name of its application.

    Raises:
        PlanError: the target, name or options cannot be deployed.
        ClusterError: no cluster can be started or reached.
    """
    checked = checked_name(ray_graph.target_name(target) if name is None else name)
    cluster.current()  # before the graph: it says that a cluster is gone
    return ray_graph.graph_of(target, options), checked
