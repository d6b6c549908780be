"""Brings a graph up on Serve, watches it, and puts the last good revision back when it fails."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from workbench.adapters import cells, ray_serve
from workbench.core.graph import Graph
from workbench.core.rollout import Before, Verdict, Wanted, judge
from workbench.core.status import ProgressLine, word
from workbench.errors import AdvisedError, PlanError
from workbench.replica.failures import without_framework
from workbench.replica.package import Package

from .serving import Serving

POLL_S = 0.03
ROOM_EVERY_S = 1.0
PLACED_WITHIN_S = 5.0  # a process takes seconds to start after it is placed
LINGERS_S = 4.0  # a replaced replica ends within two, unless a stream holds it
UNDO_S = 30.0


class Progress(Protocol):
    """Where the lines of a deploy are shown."""

    def show(self, lines: Sequence[ProgressLine]) -> None:
        """Replace the lines."""

    def finish(self, summary: str) -> None:
        """End with success."""

    def fail(self, text: str) -> None:
        """End with a failure."""

    def say(self, text: str) -> None:
        """Show a line by the way."""


class Silent:
    """Shows nothing."""

    def show(self, lines: Sequence[ProgressLine]) -> None:
        """Drop the lines."""

    def finish(self, summary: str) -> None:
        """Drop the summary."""

    def fail(self, text: str) -> None:
        """Drop the text."""

    def say(self, text: str) -> None:
        """Drop the text."""


class RolloutFailed(Exception):
    """A revision did not become healthy; the text says why, cell lines resolved."""


@dataclass(frozen=True)
class Good:
    """A revision that served, with all that is needed to run it again.

    Attributes:
        number: of the revision.
        graph: its deployments.
        shipped: the package of each.
        stamps: the shutdown timeout of each, by which Serve tells revisions apart.
        route_prefix: path of its ingress.
    """

    number: int
    graph: Graph
    shipped: dict[str, Package]
    stamps: dict[str, float]
    route_prefix: str


def dumped(good: Good) -> bytes:
    """As bytes, for the history and the cluster. The user's classes are in the packages alone."""
    nodes = (replace(n, deployment=ray_serve.bare(n.deployment)) for n in good.graph.nodes)
    bare = replace(good, graph=Graph(tuple(nodes)))
    return zlib.compress(ray_serve.dumped(bare), level=1)


def good_of(blob: bytes, app: str, number: int | None = None) -> Good:
    """Undo `dumped`.

    Args:
        blob: what `dumped` made.
        app: application name.
        number: of the revision as the history has it; what it had when it served when None.

    Raises:
        PlanError: the revision never served, or this Python cannot load its code.
    """
    if not blob:
        raise PlanError(
            f"revision {number} of {app!r} never served, so there is nothing to go back to",
            "app.history() shows which did",
        )
    try:
        good = ray_serve.loaded(zlib.decompress(blob))
    except Exception as error:  # unpickling runs the user's code: anything may come
        what = f"{type(error).__name__}: {error}"
        raise PlanError(
            f"this Python cannot load revision {number} of {app!r}: {what}",
            "use the environment that deployed it, or deploy its source again: app.history()",
        ) from error
    return numbered(good, good.number if number is None else number)


def numbered(good: Good, number: int) -> Good:
    """The same under another number, as an object of this process's own class."""
    return Good(**{**vars(good), "number": number})


def reason_of(error: BaseException) -> str:
    """What to say of an error that ended a rollout: its own words, or its type with them."""
    if isinstance(error, RolloutFailed):
        return str(error)
    if isinstance(error, AdvisedError):
        return error.problem
    return readable(f"{type(error).__name__}: {error}")


def follow(
    app: str,
    wanted: Wanted,
    since: Before,
    timeout_s: float,
    progress: Progress,
    lost: Callable[[], bool],
    serving: Serving,
) -> None:
    """Wait until every deployment runs the new revision and only that.

    Args:
        app: application name.
        wanted: what was handed to Serve.
        since: what ran before.
        timeout_s: seconds to wait.
        progress: where the lines are shown.
        lost: whether others took this process for dead, and undid its work.
        serving: Serve.

    Raises:
        RolloutFailed: a replica could not start, or the time is over.
    """
    began, room, looked, ready = time.monotonic(), None, PLACED_WITHIN_S, 0.0
    while True:
        elapsed_s = time.monotonic() - began
        if elapsed_s - looked > ROOM_EVERY_S:
            room, looked = serving.room(), elapsed_s
        if lost():
            raise RolloutFailed(LOST)
        found = serving.details().get(app)
        verdict = judge(wanted, found, since, room, elapsed_s)
        progress.show(verdict.lines)
        if verdict.ready and found:
            ready = ready or elapsed_s
            ended = not verdict.lingers or elapsed_s - ready > LINGERS_S
            if ended and serving.routed(app, found["route_prefix"], _taking(found, wanted)):
                return
        if verdict.failure:
            raise RolloutFailed(readable(verdict.failure))
        if elapsed_s > timeout_s:
            raise RolloutFailed(_too_slow(verdict, timeout_s))
        time.sleep(POLL_S)


def _taking(found: Mapping[str, Any], wanted: Wanted) -> dict[str, bool]:
    """By id of each replica of the ingress, whether it takes requests."""
    replicas = found["deployments"][wanted.graph.ingress.name]["replicas"]
    return {each["replica_id"]: word(each["state"]) == "RUNNING" for each in replicas}


def readable(report: str) -> str:
    """A replica's report without the frameworks' frames, its cells by number."""
    return cells.resolve(without_framework(report))


LOST = "this kernel was silent for too long, so others undid it"
UNROUTED = "its replicas run, but requests do not reach the new ones; workbench doctor"


def _too_slow(verdict: Verdict, timeout_s: float) -> str:
    waiting = "; ".join(
        f"{line.deployment} has {line.running} of {line.target} replicas"
        + (f" and {line.detail}" if line.detail else ", its constructor has not returned")
        for line in verdict.lines
        if line.state != "ready"
    )
    return f"not ready after timeout_s={timeout_s:g}: {waiting or UNROUTED}"


def application(good: Good) -> Any:
    """The Serve application that a good revision is."""
    kept = good.shipped  # its processes run
    return ray_serve.application_of(good.graph, good.shipped, good.stamps, True, kept)


def put_back(app: str, good: Good, serving: Serving) -> None:
    """Put a good revision back.

    Its replicas still run, under the versions that they are pinned to, so Serve has nothing to
    start unless one of them died meanwhile.

    Raises:
        RolloutFailed: Serve does not call it running.
    """
    serving.run(application(good), app, good.route_prefix)
    if not _wait(lambda: _is_running(app, serving)):
        raise RolloutFailed(f"Serve does not report it as running after {UNDO_S:g} s")


def remove(app: str, serving: Serving) -> None:
    """Delete an application and wait until Serve has forgotten it.

    Raises:
        RolloutFailed: Serve still knows it.
    """
    serving.delete(app)
    if not _wait(lambda: app not in serving.details()):
        raise RolloutFailed(f"Serve has not forgotten it after {UNDO_S:g} s")


def _is_running(app: str, serving: Serving) -> bool:
    return word(serving.details().get(app, {}).get("status")) == "RUNNING"


def _wait(done: Callable[[], bool]) -> bool:
    until = time.monotonic() + UNDO_S
    while not (ready := done()) and time.monotonic() < until:
        time.sleep(POLL_S)
    return ready
