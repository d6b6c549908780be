"""Live figures as values: one sample per second of every deployment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .aligned import aligned


@dataclass(frozen=True)
class ReplicaSample:
    """One replica at one moment.

    Attributes:
        replica: Serve's id of it.
        pid: its process.
        requests_per_s: requests that ended, per second.
        cpu_percent: of one core; 200 is two cores.
        memory_bytes: resident memory.
        gpu_memory_bytes: memory that it holds on its GPU, or None without one.
        gpu_percent: how busy that GPU is, everybody's work together, or None.
    """

    replica: str
    pid: int
    requests_per_s: float
    cpu_percent: float
    memory_bytes: int
    gpu_memory_bytes: int | None = None
    gpu_percent: float | None = None


@dataclass(frozen=True)
class DeploymentSample:
    """One deployment at one moment, all its replicas together.

    Attributes:
        requests_per_s: requests that ended, per second.
        errors_per_s: requests that ended in an error, per second.
        p50_ms: half of the requests that ended were faster; None when none ended.
        p95_ms: 95 of 100 were faster.
        p99_ms: 99 of 100 were faster.
        ongoing: requests that replicas work on.
        queued: requests that wait: in a batch queue, or for a replica. The latter come from Ray's
            metrics, looked at while somebody reads figures: 0 for the time before.
        batch_size: mean size of the batches that ran, or None when none ran.
        batch_wait_ms: mean time that a request waited for its batch, or None.
        replicas: what each replica does.
    """

    requests_per_s: float
    errors_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    ongoing: int
    queued: int
    batch_size: float | None = None
    batch_wait_ms: float | None = None
    replicas: tuple[ReplicaSample, ...] = ()


@dataclass(frozen=True, repr=False)
class Sample:
    """One application over one second.

    Attributes:
        app: application name.
        at_s: the end of that second, in seconds since the epoch.
        deployments: by name, callers before callees.
    """

    app: str
    at_s: float
    deployments: Mapping[str, DeploymentSample]

    def __repr__(self) -> str:  # without figures, so that a notebook's output stays the same
        return f"metrics of {self.app}: {', '.join(self.deployments)}"

    def __str__(self) -> str:
        return sample_text(self)


class Series(tuple[Sample, ...]):
    """Samples of an application, oldest first, one per second."""

    def __repr__(self) -> str:
        return f"series of {self[-1]!r}" if self else "series without samples"

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or repr(self)


HEAD = ("deployment", "req/s", "err/s", "p50", "p95", "p99", "ongoing", "queued", "batch", "wait")


def cells(name: str, each: DeploymentSample) -> tuple[str, ...]:
    """One deployment as texts under `HEAD`; latencies and waits in ms."""
    latencies = (each.p50_ms, each.p95_ms, each.p99_ms)
    return (
        name,
        f"{each.requests_per_s:.1f}",
        f"{each.errors_per_s:.1f}",
        *(f"{ms:.1f} ms" if ms is not None else "–" for ms in latencies),
        str(each.ongoing),
        str(each.queued),
        f"{each.batch_size:.1f}" if each.batch_size is not None else "–",
        f"{each.batch_wait_ms:.1f} ms" if each.batch_wait_ms is not None else "–",
    )


def sample_text(sample: Sample) -> str:
    """Render a sample as a plain table with one line per deployment."""
    rows = [HEAD, *(cells(name, each) for name, each in sample.deployments.items())]
    lines = [f"  {line}" for line in aligned(rows)]
    return "\n".join([f"{sample.app} at {time_of_day(sample.at_s)}", *lines])


def time_of_day(at_s: float) -> str:
    """Hours, minutes and seconds of a moment, where the reader is."""
    return datetime.fromtimestamp(at_s).strftime("%H:%M:%S")
