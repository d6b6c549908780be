"""Each flow takes the lowest sound rung, and answers what a fresh deploy of its cells does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.core.plan import KEEP, REPLACE, TUNE

from .book import Flow, opened
from .replica import Replica, Server, shipped
from .rungs import graph, highest, plan_of
from .table import FLOWS, SAMPLE, params

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Forks replicas."""
    with Server() as address:
        yield address


@pytest.mark.parametrize("flow", params(FLOWS))
def test_a_flow_takes_the_lowest_sound_rung(
    flow: Flow, tmp_path: Path, record_property: Record
) -> None:
    """Neither a rung too high, which costs the user's loaded weights, nor one too low."""
    with opened(flow, tmp_path) as book:
        before = graph(book.target())
        for each in flow.edits:
            book.edit(each)
        plan = plan_of(before, graph(book.target()))

    kinds = [action.kind for action in plan.actions]
    record_property("rungs", flow.rung)
    assert highest(kinds) == flow.rung, plan


@pytest.mark.parametrize(
    "flow", params([f for f in FLOWS if not f.cluster], pytest.mark.conformance, short=SAMPLE)
)
def test_a_flow_answers_as_a_fresh_deploy(flow: Flow, tmp_path: Path, server: str) -> None:
    """Live code that was edited in place and code in a new process do the same."""
    with opened(flow, tmp_path) as book, Replica(server) as replica, Replica(server) as other:
        before = graph(book.target())
        replica.make(shipped(before.ingress))
        for ask in flow.asks:
            replica.ask(ask)
        for each in flow.edits:
            book.edit(each)
        after = graph(book.target())
        rung = highest([action.kind for action in plan_of(before, after).actions])
        live = other if rung == REPLACE else replica
        if rung == REPLACE:
            other.make(shipped(after.ingress))
        elif rung not in (KEEP, TUNE):
            replica.follow(shipped(after.ingress))
        hot = [live.ask(ask) for ask in flow.asks][-1]
    with opened(flow, tmp_path, edited=True) as book, Replica(server) as replica:
        replica.make(shipped(graph(book.target()).ingress))
        cold = [replica.ask(ask) for ask in flow.asks][-1]

    assert cold == (flow.answer if flow.fresh is None else flow.fresh)
    assert hot == flow.answer
