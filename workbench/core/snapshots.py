"""From what replicas report to one sample per second of every deployment. Pure.

Replicas report counters that only grow. What happened between two reports is spread evenly over
the time between them, and each second of a deployment gets its share of every replica, so that
nothing is counted twice and nothing lost, whenever the reports come in.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .metrics import DeploymentSample, ReplicaSample, Sample

PERIOD_S = 1.0  # between two reports of a replica
NEAR_S = 2.0  # within this, a look into the routers stands for a moment
SILENT_S = 2.5  # a replica that reported nothing for so long holds no sample back


@dataclass(frozen=True)
class Counts:
    """What a replica has counted since it began, or over some time: then parts of requests too.

    Attributes:
        requests: requests that ended.
        errors: those that ended in an error.
        latency_ms: how many requests took about so many milliseconds.
        batches: batches that ran.
        batched: requests in them.
        batch_wait_s: seconds that those requests waited, added up.
        cpu_s: CPU seconds.
    """

    requests: float = 0
    errors: float = 0
    latency_ms: Mapping[float, float] = field(default_factory=dict)
    batches: float = 0
    batched: float = 0
    batch_wait_s: float = 0.0
    cpu_s: float = 0.0

    def since(self, before: Counts) -> Counts | None:
        """What was counted after `before`; None when this is no continuation of it."""
        latency = {ms: n - before.latency_ms.get(ms, 0) for ms, n in self.latency_ms.items()}
        gained = Counts(
            requests=self.requests - before.requests,
            errors=self.errors - before.errors,
            latency_ms={ms: n for ms, n in latency.items() if n},
            batches=self.batches - before.batches,
            batched=self.batched - before.batched,
            batch_wait_s=self.batch_wait_s - before.batch_wait_s,
            cpu_s=self.cpu_s - before.cpu_s,
        )
        plain = (gained.requests, gained.errors, gained.batches, gained.batched)
        timed = (gained.batch_wait_s, gained.cpu_s)
        return None if min(*plain, *timed, *latency.values(), 0) < 0 else gained


@dataclass(frozen=True)
class Snapshot:
    """What one replica reported.

    Attributes:
        at_s: when it came in, on the store's clock, in seconds since the epoch.
        deployment: deployment name.
        replica: Serve's id of it.
        pid: its process.
        clock_s: seconds since it began to count, on its own clock.
        counts: what it has counted since then.
        ongoing: requests that it works on.
        queued: requests in its batch queues.
        memory_bytes: resident memory.
        gpu_memory_bytes: memory that it holds on its GPU, or None.
        gpu_percent: how busy that GPU is, or None.
    """

    at_s: float
    deployment: str
    replica: str
    pid: int
    clock_s: float
    counts: Counts
    ongoing: int = 0
    queued: int = 0
    memory_bytes: int = 0
    gpu_memory_bytes: int | None = None
    gpu_percent: float | None = None


@dataclass(frozen=True)
class Look:
    """What waited in Serve's routers at one moment.

    Attributes:
        at_s: when, on the store's clock.
        waiting: requests that waited for a replica, by deployment.
    """

    at_s: float
    waiting: Mapping[str, int]


@dataclass(frozen=True)
class Span:
    """What one replica did between two reports, placed on the store's clock.

    Attributes:
        begin_s: when it began.
        end_s: when it ended, after `begin_s`.
        gained: what was counted meanwhile.
        last: the report at its end.
    """

    begin_s: float
    end_s: float
    gained: Counts
    last: Snapshot


class Share:
    """Parts of what some spans counted, added up."""

    def __init__(self) -> None:
        self.requests = self.errors = self.batches = self.batched = 0.0
        self.batch_wait_s = self.cpu_s = self.seconds = 0.0
        self.latency_ms: dict[float, float] = defaultdict(float)
        self.last: Snapshot | None = None

    def add(self, span: Span, part: float) -> None:
        """Add a part of a span, 1 for all of it; spans come in the order of their time."""
        gained, self.last = span.gained, span.last
        self.seconds += part * (span.end_s - span.begin_s)
        self.requests += part * gained.requests
        self.errors += part * gained.errors
        self.batches += part * gained.batches
        self.batched += part * gained.batched
        self.batch_wait_s += part * gained.batch_wait_s
        self.cpu_s += part * gained.cpu_s
        for ms, n in gained.latency_ms.items():
            self.latency_ms[ms] += part * n


def samples(
    app: str,
    snapshots: Iterable[Snapshot],
    order: Sequence[str],
    after_s: float,
    until_s: float,
    looks: Sequence[Look] = (),
) -> list[Sample]:
    """One sample for each whole second that ends in a stretch of time.

    Args:
        app: application name.
        snapshots: reports of its replicas, in any order; some from before the stretch.
        order: deployments, callers before callees. Others that reported follow by name.
        after_s: where the stretch begins, exclusive, on the store's clock.
        until_s: where it ends, inclusive; see `complete_until`.
        looks: into Serve's routers, oldest first.
    """
    seconds = range(math.floor(after_s) + 1, math.floor(until_s) + 1)
    shares: dict[int, dict[str, dict[str, Share]]] = {second: {} for second in seconds}
    for span in spans(snapshots):
        for second, part in _parts(span, seconds):
            replicas = shares[second].setdefault(span.last.deployment, {})
            replicas.setdefault(span.last.replica, Share()).add(span, part)
    return [
        Sample(app, float(at), _deployments(shares[at], order, _waiting(looks, at)))
        for at in seconds
    ]


def complete_until(snapshots: Iterable[Snapshot], now_s: float) -> float:
    """Up to when every replica that still reports has reported.

    Args:
        snapshots: reports, in any order.
        now_s: the store's time.
    """
    tracks = [track for track in _tracks(snapshots) if track[-1].at_s > now_s - SILENT_S]
    return min((_offset(track) + track[-1].clock_s for track in tracks), default=now_s)


def spans(snapshots: Iterable[Snapshot]) -> list[Span]:
    """Turn reports into what happened between them, in the order of their time.

    A report's moment is taken from the replica's own clock, set by the report that came fastest:
    so neither a late message nor the clocks of other nodes bend a rate.
    """
    found = [span for track in _tracks(snapshots) for span in _track_spans(track)]
    return sorted(found, key=lambda span: span.end_s)


def percentile(latency_ms: Mapping[float, float], percent: float) -> float | None:
    """The latency that so many percent of the requests do not exceed; None without requests.

    Source:
        The nearest-rank percentile, on a histogram.
    """
    wanted, seen = sum(latency_ms.values()) * percent / 100, 0.0
    slack = 1e-9 * wanted  # parts of requests do not add up to the last digit
    for ms, n in sorted(latency_ms.items()):
        seen += n
        if n > 0 and seen >= wanted - slack:
            return ms
    return None


def _tracks(snapshots: Iterable[Snapshot]) -> list[list[Snapshot]]:
    """Reports by process, each in the order in which they were made."""
    tracks: dict[tuple[str, str, int], list[Snapshot]] = defaultdict(list)
    for each in snapshots:
        tracks[each.deployment, each.replica, each.pid].append(each)
    return [sorted(track, key=lambda each: each.clock_s) for track in tracks.values()]


def _offset(track: Sequence[Snapshot]) -> float:
    """What the store's clock showed when the replica's showed 0, by the fastest report."""
    return min(each.at_s - each.clock_s for each in track)


def _track_spans(track: Sequence[Snapshot]) -> Iterator[Span]:
    offset, first = _offset(track), track[0]
    if 0 < first.clock_s <= PERIOD_S + SILENT_S:  # it began to count a moment ago, with zeros
        yield Span(offset, offset + first.clock_s, first.counts, first)
    for before, last in pairwise(track):
        if last.clock_s > before.clock_s:
            gained = last.counts.since(before.counts) or last.counts
            yield Span(offset + before.clock_s, offset + last.clock_s, gained, last)


def _parts(span: Span, seconds: range) -> Iterator[tuple[int, float]]:
    """The seconds that a span touches, by their ends, and the part of it that lies in each."""
    first = max(math.floor(span.begin_s) + 1, seconds.start)
    for second in range(first, min(math.ceil(span.end_s) + 1, seconds.stop)):
        overlap = min(span.end_s, second) - max(span.begin_s, second - 1)
        if overlap > 0:
            yield second, overlap / (span.end_s - span.begin_s)


def _waiting(looks: Sequence[Look], at: int) -> Mapping[str, int]:
    """What the look that is nearest in time saw; nothing when none is near."""
    near = [each for each in looks if abs(each.at_s - at) <= NEAR_S]
    return min(near, key=lambda each: abs(each.at_s - at)).waiting if near else {}


def _deployments(
    shares: Mapping[str, Mapping[str, Share]], order: Sequence[str], waiting: Mapping[str, int]
) -> dict[str, DeploymentSample]:
    names = [*order, *sorted(set(shares) - set(order))]
    return {name: _deployment(shares.get(name, {}), waiting.get(name, 0)) for name in names}


def _deployment(replicas: Mapping[str, Share], waiting: int) -> DeploymentSample:
    latency: dict[float, float] = defaultdict(float)
    for share in replicas.values():
        for ms, n in share.latency_ms.items():
            latency[ms] += n
    every = replicas.values()
    batches, batched = sum(s.batches for s in every), sum(s.batched for s in every)
    wait_s, last = sum(s.batch_wait_s for s in every), [s.last for s in every if s.last]
    return DeploymentSample(
        requests_per_s=sum(s.requests for s in every),
        errors_per_s=sum(s.errors for s in every),
        p50_ms=percentile(latency, 50),
        p95_ms=percentile(latency, 95),
        p99_ms=percentile(latency, 99),
        ongoing=sum(each.ongoing for each in last),
        queued=waiting + sum(each.queued for each in last),
        batch_size=batched / batches if batches else None,
        batch_wait_ms=1000 * wait_s / batched if batched else None,
        replicas=tuple(_replica(share) for _, share in sorted(replicas.items())),
    )


def _replica(share: Share) -> ReplicaSample:
    assert share.last is not None  # a share begins with a span
    return ReplicaSample(
        replica=share.last.replica,
        pid=share.last.pid,
        requests_per_s=share.requests,
        cpu_percent=100 * share.cpu_s / share.seconds,
        memory_bytes=share.last.memory_bytes,
        gpu_memory_bytes=share.last.gpu_memory_bytes,
        gpu_percent=share.last.gpu_percent,
    )
