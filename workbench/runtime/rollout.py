"""Brings a graph up on Serve, watches it, and puts the last good revision back when it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from workbench.adapters import cells, ray_serve
from workbench.adapters import cluster as ray_cluster
from workbench.adapters.history import Revision
from workbench.core.graph import Graph
from workbench.core.rollout import Before, Verdict, before_of, judge
from workbench.core.status import ProgressLine, word
from workbench.replica.failures import without_framework

POLL_S = 0.03
ROOM_EVERY_S = 1.0
PLACED_WITHIN_S = 5.0  # a process takes seconds to start after it is placed
UNDO_S = 30.0


class Progress(Protocol):
    """Where the lines of a deploy are shown."""

    def show(self, lines: Sequence[ProgressLine]) -> None:
        """Replace the lines."""

    def finish(self, summary: str) -> None:
        """End with success."""

    def fail(self, text: str) -> None:
        """End with a failure."""


class Silent:
    """Shows nothing."""

    def show(self, lines: Sequence[ProgressLine]) -> None:
        """Drop the lines."""

    def finish(self, summary: str) -> None:
        """Drop the summary."""

    def fail(self, text: str) -> None:
        """Drop the text."""


class RolloutFailed(Exception):
    """A revision did not become healthy; the text says why, cell lines resolved."""


def before(app: str) -> Before:
    """Remember what runs under that name."""
    return before_of(ray_serve.details().get(app))


def follow(app: str, graph: Graph, since: Before, timeout_s: float, progress: Progress) -> None:
    """Wait until every deployment runs the new revision and only that.

    Args:
        app: application name.
        graph: what was handed to Serve.
        since: what ran before.
        timeout_s: seconds to wait.
        progress: where the lines are shown.

    Raises:
        RolloutFailed: a replica could not start, or the time is over.
    """
    began, room, looked = time.monotonic(), None, PLACED_WITHIN_S
    while True:
        elapsed_s = time.monotonic() - began
        if elapsed_s - looked > ROOM_EVERY_S:
            room, looked = ray_cluster.room(), elapsed_s
        verdict = judge(graph, ray_serve.details().get(app), since, room, elapsed_s)
        progress.show(verdict.lines)
        if verdict.ready:
            return
        if verdict.failure:
            raise RolloutFailed(readable(verdict.failure))
        if elapsed_s > timeout_s:
            raise RolloutFailed(_too_slow(verdict, timeout_s))
        time.sleep(POLL_S)


def readable(report: str) -> str:
    """A replica's report without the frameworks' frames, its cells by number."""
    return cells.resolve(without_framework(report))


def _too_slow(verdict: Verdict, timeout_s: float) -> str:
    waiting = "; ".join(
        f"{line.deployment} has {line.running} of {line.target} replicas"
        + (f" and {line.detail}" if line.detail else ", its constructor has not returned")
        for line in verdict.lines
        if line.state != "ready"
    )
    return f"not ready after timeout_s={timeout_s:g}: {waiting}"


def undo(app: str, last_good: Revision | None) -> int | None:
    """Put the last good revision back, or delete the application when there is none.

    Its replicas still run, under the version that the revision is pinned to, so Serve has nothing
    to start unless one of them died meanwhile.

    Returns:
        Number of the revision that serves, or None.
    """
    if last_good is None or not last_good.application:
        remove(app)
        return None
    ray_serve.run(ray_serve.loaded(last_good.application), app, last_good.route_prefix)
    _wait(lambda: _is_running(app))
    return last_good.number


def remove(app: str) -> None:
    """Delete an application and wait until Serve has forgotten it."""
    ray_serve.delete(app)
    _wait(lambda: app not in ray_serve.details())


def _is_running(app: str) -> bool:
    return word(ray_serve.details().get(app, {}).get("status")) == "RUNNING"


def _wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + UNDO_S
    while not done() and time.monotonic() < until:
        time.sleep(POLL_S)


def in_background(work: Callable[[], None], name: str) -> threading.Thread:
    """Run `work` in a daemon thread of that name."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
