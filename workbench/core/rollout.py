"""How far a rollout is, judged from what Serve reports. Pure: facts in, verdict out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .capacity import Room, waiting_for
from .graph import Graph, Node
from .status import ProgressLine, word

FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
NODE_DIED = "The actor died because its node has died"
STAMP = "graceful_shutdown_timeout_s"  # it shows of which revision Serve has the options
REPORT = "Error:\n"
TRACEBACK = "Traceback (most recent call last):"
WRAPPED = f"RuntimeError: {TRACEBACK}"


@dataclass(frozen=True)
class Before:
    """What ran before the rollout began.

    Attributes:
        replicas: ids of the replicas by deployment.
        messages: Serve's message by deployment, which may tell of an older failure.
        route_prefix: path of the ingress, or None when nothing ran.
    """

    replicas: Mapping[str, frozenset[str]]
    messages: Mapping[str, str]
    route_prefix: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The state of a rollout at one moment.

    Attributes:
        lines: one line of progress per deployment.
        ready: every deployment has all its new replicas and none of the old takes requests.
        failure: Serve's report of a replica that could not start, or "".
        lingers: a replaced replica of the ingress has not ended yet. A client that keeps its
            connection through HAProxy open would still be answered by it, once.
    """

    lines: tuple[ProgressLine, ...]
    ready: bool
    failure: str
    lingers: bool = False


def before_of(details: Mapping[str, Any] | None) -> Before:
    """Remember what runs, from Serve's details of the application or None."""
    deployments = (details or {}).get("deployments", {})
    return Before(
        {
            name: frozenset(r["replica_id"] for r in d["replicas"])
            for name, d in deployments.items()
        },
        {name: d["message"] for name, d in deployments.items()},
        (details or {}).get("route_prefix"),
    )


@dataclass(frozen=True)
class Wanted:
    """What a rollout shall bring about.

    Attributes:
        graph: the deployments.
        fresh: names of those that get new processes.
        stamps: the shutdown timeout by which Serve shows that it knows the new options.
    """

    graph: Graph
    fresh: frozenset[str]
    stamps: Mapping[str, float]


def judge(
    wanted: Wanted,
    details: Mapping[str, Any] | None,
    before: Before,
    room: Room | None,
    elapsed_s: float,
) -> Verdict:
    """Judge a rollout.

    Args:
        wanted: what it shall bring about.
        details: Serve's details of the application, or None while it does not know it.
        before: what ran when the rollout began.
        room: resources of the cluster, to say why a replica waits; None leaves that out.
        elapsed_s: seconds since the rollout began.

    Returns:
        The verdict.
    """
    deployments = (details or {}).get("deployments", {})
    lines = tuple(
        _line(node, wanted, deployments.get(node.name), before, room, elapsed_s)
        for node in wanted.graph.nodes
    )
    ready = all(line.state == "ready" for line in lines)
    lingers = _lingers(wanted, deployments, before)
    return Verdict(lines, ready, "" if ready else _failure(deployments, before), lingers)


def _lingers(wanted: Wanted, deployments: Mapping[str, Any], before: Before) -> bool:
    name = wanted.graph.ingress.name
    here = {r["replica_id"] for r in deployments.get(name, {}).get("replicas", ())}
    return name in wanted.fresh and bool(here & before.replicas.get(name, frozenset()))


def _line(
    node: Node,
    wanted: Wanted,
    found: Mapping[str, Any] | None,
    before: Before,
    room: Room | None,
    elapsed_s: float,
) -> ProgressLine:
    fresh = node.name in wanted.fresh
    old = before.replicas.get(node.name, frozenset()) if fresh else frozenset()
    replicas = [] if found is None else found["replicas"]
    new = [r for r in replicas if r["replica_id"] not in old]
    running = sum(word(r["state"]) == "RUNNING" for r in new)
    leaving = sum(word(r["state"]) == "RUNNING" for r in replicas if r["replica_id"] in old)
    done = _stamp(found) == wanted.stamps[node.name] and running >= node.replicas and not leaving
    if not fresh and found is not None:
        done = done and word(found["status"]) == "HEALTHY" and _as_many(node, running)
    placed = all(r.get("pid") for r in new) and bool(new)
    detail = "" if done or placed or room is None else waiting_for(node.need, room)
    state = "ready" if done else "waiting" if detail else "starting"
    return ProgressLine(node.name, state, running, node.replicas, elapsed_s, detail)


def _as_many(node: Node, running: int) -> bool:
    return node.autoscaling or running == node.replicas


def _stamp(found: Mapping[str, Any] | None) -> float | None:
    if found is None:
        return None
    stamp: float | None = found["deployment_config"].get(STAMP)
    return stamp


def _failure(deployments: Mapping[str, Any], before: Before) -> str:
    for name, found in deployments.items():
        message = found["message"]
        if message == before.messages.get(name) or NODE_DIED in message:
            continue  # an older failure, or none of the code's: Serve starts it elsewhere
        if "failed to start" in message or word(found["status"]) in FAILED:
            return f"{name}: {_own_words(message.split(REPORT, 1)[-1])}"
    return ""


def _own_words(report: str) -> str:
    """The replica's traceback without the error in which Serve wraps its text."""
    _, wrapped, own = report.partition(WRAPPED)
    return TRACEBACK + own if wrapped else report
