"""`app.tune()`: knobs of the running service, by the same engine as a deploy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from workbench.adapters import ray_knobs, ray_serve
from workbench.core import knobs
from workbench.core.graph import Graph, Node
from workbench.core.knobs import Knobs, Tuned
from workbench.core.nearest import suggestion
from workbench.core.plan import KEEP, REPLACE
from workbench.core.status import word
from workbench.errors import PlanError, TuneError

from . import releases
from .boundary import explained
from .deploy import Run, held
from .request import Look, Request
from .rollout import Good, Progress


@explained("tune")
def listed(name: str, deployment: str | None = None) -> Knobs:
    """The knobs of one deployment of an application, or of all, callers before callees.

    Raises:
        TuneError: there is no such deployment.
    """
    look = Look(name)
    graph = _checked(name, look, releases.latest(look)).graph
    nodes = reversed(graph.nodes) if deployment is None else [_node(graph, name, deployment, {})]
    return Knobs(knob for n in nodes for knob in knobs.knobs_of(ray_knobs.tunable_of(n)))


@explained("tune")
def tune(
    name: str,
    deployment: str | None,
    asked: Mapping[str, Any],
    progress: Progress,
    timeout_s: float,
    allow_downtime: bool,
) -> Tuned:
    """Set knobs of one deployment; see `App.tune`."""
    began_s = time.monotonic()
    with held(name, progress):
        look = Look(name, alone=True)  # answered while the history is read
        good = _checked(name, look, releases.known(look, progress.say))
        node = _node(good.graph, name, deployment, asked)
        here = ray_knobs.tunable_of(node)
        change = knobs.checked(asked, here)
        new = ray_knobs.with_settings(node, knobs.with_change(here, change))
        graph = Graph(tuple(new if n is node else n for n in good.graph.nodes))
        request = Request(look, graph, good.route_prefix, carries=False)
        _check_ours(request, node.name)
        run = Run(request, _note(node, asked), timeout_s, not allow_downtime, began_s, good)
        run.carry_out(progress, wait=True)
        took_ms = (time.monotonic() - began_s) * 1e3
        return Tuned(
            app=name,
            deployment=node.name,
            asked=dict(asked),
            values=change.values,
            replicas=_running(name, node.name),
            took_ms=took_ms,
            kept_processes=not request.plan.of(REPLACE),
            revision=run.number,
            notes=change.notes,
        )


def _checked(name: str, look: Look, good: Good | None) -> Good:
    if good is None and name not in look.answer()[0]:
        raise PlanError(f"no application {name!r} runs on the cluster", "deploy it again")
    if good is None:
        raise PlanError(
            f"which revision of {name!r} serves is not known: the history here does not have it, "
            "nor does the cluster",
            "deploy it again; what serves goes on meanwhile",
        )
    return good


def _node(graph: Graph, app: str, deployment: str | None, asked: Mapping[str, Any]) -> Node:
    """The deployment that is meant: without a name, the only one that has all these knobs."""
    known = {node.name: node for node in reversed(graph.nodes)}
    if deployment is None:
        having = [n for n in known.values() if set(asked) <= set(ray_knobs.tunable_of(n).values)]
        if len(known) > 1 and len(having) != 1:
            names = ", ".join(map(repr, known))
            raise TuneError(f"{app!r} has several deployments", f"name one of them first: {names}")
        return having[0] if len(having) == 1 else next(iter(known.values()))
    if deployment not in known:
        raise TuneError(f"{app!r} has no deployment {deployment!r}", suggestion(deployment, known))
    return known[deployment]


def _check_ours(request: Request, tuned: str) -> None:
    others = [a for a in request.plan.actions if a.kind != KEEP and a.deployment != tuned]
    if others or not request.live.deployments:
        raise PlanError(
            f"what runs of {request.name!r} is not what was deployed last with this state folder"
            if request.live.deployments
            else f"no application {request.name!r} runs on the cluster",
            "deploy it again",
        )


def _note(node: Node, asked: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name}={value!r}" for name, value in asked.items())
    return f"tune {node.name}: {said}"


def _running(app: str, deployment: str) -> int:
    found = ray_serve.details()[app]["deployments"][deployment]
    return sum(word(each["state"]) == "RUNNING" for each in found["replicas"])
