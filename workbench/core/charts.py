"""What the live charts show: windows of samples on a fixed grid, and marks of changes. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .metrics import DeploymentSample, Sample
from .revision import DELETED, PENDING, SERVED, Revision

SECONDS = 120
GRID = tuple(range(-SECONDS, 1))  # seconds ago, one point per second
HOLES = 2  # points without a sample between two that have one: the clocks beat, nothing is missing
NAN = math.nan
TALL = 100  # height of a path
DOWN = {d: f"l1{'' if d < 0 else ' '}{d}" for d in range(-TALL, TALL + 1)}  # a step, by its depth
NOTHING = -1
STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        name: short name.
        title: what it shows, with the unit.
        lines: attribute of a sample and its label, for each line.
    """

    name: str
    title: str
    lines: tuple[tuple[str, str], ...]


CHARTS = (
    Chart("rate", "requests/s", (("requests_per_s", "ended"), ("errors_per_s", "failed"))),
    Chart("latency", "latency, ms", (("p50_ms", "p50"), ("p95_ms", "p95"), ("p99_ms", "p99"))),
    Chart("queue", "requests now", (("ongoing", "in work"), ("queued", "waiting"))),
    Chart("batch", "batch size", (("batch_size", "mean"),)),
)


@dataclass(frozen=True)
class Mark:
    """A change, to be shown at its moment on every chart.

    Attributes:
        at_s: seconds since the epoch.
        label: a few characters, such as "r4".
        text: what happened, such as "r4 tune RAG: max_batch_size=8".
    """

    at_s: float
    label: str
    text: str


Window = tuple[DeploymentSample | None, ...]  # one per point of `GRID`


def window(samples: Sequence[Sample], deployment: str, now_s: float) -> Window:
    """One deployment's samples on `GRID`, None where nothing was measured.

    Args:
        samples: oldest first.
        deployment: whose figures.
        now_s: seconds since the epoch at the right end.
    """
    found: dict[int, DeploymentSample] = {}
    for sample in samples:
        place = SECONDS - round(now_s - sample.at_s)
        if 0 <= place <= SECONDS and deployment in sample.deployments:
            found[place] = sample.deployments[deployment]
    _bridge(found)
    return tuple(map(found.get, range(len(GRID))))


def rows(seen: Window, chart: Chart) -> list[list[float]]:
    """Values of each line of a chart, one per point of `GRID`; nan where nothing was measured."""
    return [
        [NAN if each is None else _number(getattr(each, name)) for each in seen]
        for name, _ in chart.lines
    ]


def _bridge(found: dict[int, DeploymentSample]) -> None:
    """Let short holes have the value before them."""
    places = sorted(found)
    for left, right in itertools.pairwise(places):
        if right - left - 1 <= HOLES:
            for place in range(left + 1, right):
                found[place] = found[left]


def _number(value: float | None) -> float:
    return NAN if value is None else float(value)


def top(rows: Iterable[Iterable[float]]) -> float:
    """The round number at the top of an axis from 0 that holds all values; 1 without any."""
    highest = max((v for row in rows for v in row if math.isfinite(v)), default=0.0)
    if highest <= 1.0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(highest))
    return next(step * size for step in STEPS if highest <= step * size * (1 + 1e-9))


def path(values: Sequence[float], highest: float) -> str:
    """A line as an SVG path: 1 to the right per second, `TALL` high, 0 at the top, holes left out.

    Relative steps of whole numbers, and one step for a stretch that stays level: a tick sends
    this for every line.

    Args:
        values: one per point of `GRID`; nan where nothing was measured.
        highest: value at the top.
    """
    parts: list[str] = []
    share, before, level = TALL / highest, NOTHING, NOTHING
    for place, value in enumerate(values):
        height = NOTHING if math.isnan(value) else round(TALL - value * share)
        if height == before:
            level = max(level, 0) + 1  # one more of a stretch that stays level, or of a hole
            continue
        if before != NOTHING and level != NOTHING:
            parts.append(f"h{level}")
        if before == NOTHING:
            parts.append(f"M{place} {height}")
        elif height != NOTHING:
            parts.append(DOWN[height - before])
        level = 0 if before == NOTHING else NOTHING  # "h0" is a dot, if nothing follows
        before = height
    if before != NOTHING and level != NOTHING:
        parts.append(f"h{level}")
    return "".join(parts)


def marks(revisions: Iterable[Revision], now_s: float) -> tuple[Mark, ...]:
    """The changes of the last two minutes, oldest first."""
    recent = (r for r in revisions if r.created_s > now_s - 2 * SECONDS and r.outcome != PENDING)
    found = (_mark(each) for each in recent)
    return tuple(each for each in found if now_s - SECONDS <= each.at_s)


def _mark(revision: Revision) -> Mark:
    at_s = revision.created_s + (revision.took_ms or 0.0) / 1e3
    went = "" if revision.outcome in (SERVED, DELETED) else f" ({revision.outcome})"
    said = " ".join(revision.note.split()) or revision.actions
    label = f"r{revision.number}" + ("!" if went else "")
    return Mark(at_s, label, f"r{revision.number} {said}{went}")
