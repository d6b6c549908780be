"""Targets that no one would deploy: each becomes a graph or is refused with its reason."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import workbench
from tests.hostile import limited
from tests.hostile.places import PLACES, TARGETS
from tests.hostile.values import VALUES
from workbench.adapters import ray_graph
from workbench.core.graph import Graph


def judged(target: Any) -> str:
    """Whether it is a graph, or why it is none; anything else raises."""
    try:
        with limited():
            graph = ray_graph.graph_of(target, {})
            ray_graph.target_name(target)
    except workbench.WorkbenchError as refused:
        assert str(refused)
        return type(refused).__name__
    assert isinstance(graph, Graph)
    return "graph"


@pytest.mark.parametrize("what", TARGETS)
def test_a_strange_target_is_taken_or_refused(what: str) -> None:
    """With a reason, in a moment, and without leaving Python."""
    assert judged(TARGETS[what]()) in ("graph", "PlanError")


@pytest.mark.parametrize("value", VALUES)
def test_a_strange_value_is_taken_or_refused_wherever_it_is(value: str) -> None:
    """In a closure, an instance, an argument, a route, a default."""
    for place, put in PLACES.items():
        try:
            target = put(VALUES[value]())
        except (Exception, SystemExit):
            continue  # Serve's own `bind`
        assert judged(target) in ("graph", "PlanError"), place


def test_looking_for_the_cause_leaves_the_streams_alone() -> None:
    """Ray's search for it wraps them in colours, once more each time, until nothing prints."""
    streams = sys.stdout, sys.stderr
    assert judged(PLACES["closure"](VALUES["lock"]())) == "graph"
    assert judged(PLACES["closure"](VALUES["socket"]())) == "PlanError"

    assert (sys.stdout, sys.stderr) == streams


@pytest.mark.parametrize("place", ["closure", "instance", "argument"])
def test_code_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """With what makes it so where that can be told; the history could not keep it."""
    monkeypatch.setattr(ray_graph, "LARGEST_BYTES", 10_000_000)
    with pytest.raises(workbench.PlanError, match=r"holds 0\.02 GB") as refused:
        ray_graph.graph_of(PLACES[place](bytes(20_000_000)), {})

    assert "load it in the constructor" in str(refused.value)
    assert ("'value' has 0.02 GB" in str(refused.value)) == (place == "closure")
