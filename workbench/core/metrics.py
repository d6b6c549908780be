"""Live figures as values: one sample per second of every deployment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
        queued: requests that wait: for a replica, or in a batch queue.
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


@dataclass(frozen=True)
class Sample:
    """One application at one moment.

    Attributes:
        app: application name.
        at_s: seconds since the epoch.
        deployments: by name, callers before callees.
    """

    app: str
    at_s: float
    deployments: Mapping[str, DeploymentSample]


class Series(tuple[Sample, ...]):
    """Samples of an application, oldest first, about one per second."""
