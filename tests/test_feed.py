"""How often an application is looked at, and for how much."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from workbench.core.status import AppStatus
from workbench.errors import ClusterError
from workbench.runtime.feed import Beat, Feed

from .doubles import Service


class Asked(Service):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.broken = False

    def status(self) -> AppStatus:
        self.count["status"] += 1
        if self.broken:
            raise ClusterError("gone")
        return super().status()

    def tune(self, deployment: str | None = None, **asked: Any) -> Any:
        self.count["knobs"] += 1
        return super().tune(deployment, **asked)


def test_an_application_at_rest_is_asked_once() -> None:
    """Figures come every second; the rest stays as it is."""
    service = Asked()
    feed = Feed(service, service.figures)
    views = [feed.look() for _ in range(5)]

    assert service.count == {"status": 1, "knobs": 1}
    assert [len(each.samples) for each in views] == [1, 2, 3, 4, 5]


def test_a_revision_that_somebody_writes_is_seen_at_once() -> None:
    """A slider follows a cell within a second."""
    service = Asked()
    feed = Feed(service, service.figures)
    feed.look()
    service.set("RAG", max_batch_size=9)
    view = feed.look()

    assert {k.value for k in view.knobs if k.name == "max_batch_size"} == {9, 4}
    assert len(view.revisions) == 2


def test_what_fails_is_asked_again_and_figures_go_on() -> None:
    """A moment without the cluster leaves no hole in what can still be read."""
    service = Asked()
    feed = Feed(service, service.figures)
    feed.look()
    service.broken = True
    feed.forget()
    bad, worse = feed.look(), feed.look()
    service.broken = False
    good = feed.look()

    assert (bad.problem, worse.problem, good.problem) == ("gone", "gone", "")
    assert bad.status is None and good.status is not None
    assert len(good.samples) == 4
    assert service.count["status"] == 4


def test_a_beat_can_be_woken_and_ends() -> None:
    """It sleeps for the rest of its period, not longer than it must."""
    calls = threading.Semaphore(0)
    beat = Beat(lambda: calls.release(), 3600, "workbench-test")
    first = calls.acquire(timeout=5)
    beat.wake()
    second = calls.acquire(timeout=5)
    beat.close()

    assert first and second
    assert beat.join(5)
