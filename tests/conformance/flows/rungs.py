"""The rung that a redeploy takes, decided as `deploy()` decides it, without a cluster."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from ray import serve

from workbench.adapters.ray_graph import graph_of
from workbench.core.graph import Graph
from workbench.core.plan import ADD, KEEP, REMOVE, REPLACE, SWAP, TUNE, Plan, make_plan

# Ray's pickler learns Starlette's types when a process attaches to a cluster, or here.
serve.ingress(FastAPI())(type("Any", (), {}))

LADDER = (KEEP, TUNE, SWAP, REPLACE, ADD, REMOVE)


def plan_of(before: Graph, after: Graph) -> Plan:
    """What a deploy of `after` does to `before`."""
    wanted = {node.name: node.fingerprint for node in after.nodes}
    return make_plan("flow", "/flow", wanted, {n.name: n.fingerprint for n in before.nodes})


def highest(kinds: list[str]) -> str:
    """The highest rung of some."""
    return max(kinds, key=LADDER.index)


def graph(target: Any) -> Graph:
    """The graph of what a notebook deploys, pickled and fingerprinted."""
    return graph_of(target, {})
