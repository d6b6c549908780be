"""Sends a replica's figures to the store once a second, and to Ray's own metrics."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.util.metrics import Counter, Gauge

from .figures import Figures
from .link import find_store
from .store import Key
from .usage import Usage

PERIOD_S = 1.0
ANSWER_S = 5.0
TAGS = ("application", "deployment", "replica")
GAUGES = {
    "workbench_cpu_percent": "CPU use of the replica; 100 is one core.",
    "workbench_memory_bytes": "Resident memory of the replica.",
    "workbench_gpu_memory_bytes": "Memory that the replica holds on its GPU.",
    "workbench_batch_queue_length": "Requests that wait in batch queues.",
    "workbench_batch_wait_ms": "Mean wait of a request for its batch, over the last second.",
    "workbench_batch_size": "Mean size of the batches, over the last second.",
}
COUNTERS = {
    "workbench_requests": "Requests that ended.",
    "workbench_errors": "Requests that ended in an error.",
}


class Pulse(threading.Thread):
    """Reports a replica's figures for as long as its process lives; never disturbs it.

    Args:
        figures: what is counted.
        key: application, deployment and version.
        replica: id of the replica.
    """

    def __init__(self, figures: Figures, key: Key, replica: str) -> None:
        super().__init__(name="workbench-figures", daemon=True)
        self._figures, self._key, self._replica = figures, key, replica
        self._began_s = time.monotonic()
        self._store: Any = None

    def run(self) -> None:
        """Report once a second, at moments that do not drift."""
        usage, exports = Usage(_gpus()), Exports(dict(zip(TAGS, self._names(), strict=True)))
        due_s = self._began_s
        while True:
            try:
                content = self._content(usage)
                exports.show(content)
                self._send(json.dumps(content, separators=(",", ":")).encode())
            except Exception:  # the store is being restarted, or Ray goes down with this process
                self._store = None
            due_s = max(due_s + PERIOD_S, time.monotonic())  # what was missed is not caught up
            time.sleep(max(due_s - time.monotonic(), 0.0))

    def _names(self) -> tuple[str, str, str]:
        return self._key[0], self._key[1], self._replica

    def _content(self, usage: Usage) -> dict[str, Any]:
        clock_s = time.monotonic() - self._began_s
        return {"pid": os.getpid(), "clock_s": clock_s, **self._figures.values(), **usage.values()}

    def _send(self, blob: bytes) -> None:
        self._store = self._store or find_store()
        if self._store is not None:
            ray.get(self._store.figure.remote(*self._names(), blob), timeout=ANSWER_S)


class Exports:
    """Shows figures in Ray's metrics, beside those that Serve exports.

    Args:
        tags: application, deployment and replica.
    """

    def __init__(self, tags: dict[str, str]) -> None:
        self._gauges = {
            name: Gauge(name, text, TAGS).set_default_tags(tags) for name, text in GAUGES.items()
        }
        self._counters = {
            name: Counter(name, text, TAGS).set_default_tags(tags)
            for name, text in COUNTERS.items()
        }
        self._before: Mapping[str, Any] | None = None

    def show(self, content: Mapping[str, Any]) -> None:
        """Bring the metrics up to these figures."""
        for name, value in gauges(self._before, content).items():
            self._gauges[name].set(value)
        for name, counter in self._counters.items():
            field = name.removeprefix("workbench_")
            gained = content[field] - (self._before[field] if self._before else 0)
            if gained > 0:
                counter.inc(gained)
        self._before = content


def gauges(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, float]:
    """What the gauges show after a second; what nothing was measured of is left out."""
    shown = {
        "workbench_memory_bytes": now["memory_bytes"],
        "workbench_batch_queue_length": now["queued"],
    }
    if now["gpu_memory_bytes"] is not None:
        shown["workbench_gpu_memory_bytes"] = now["gpu_memory_bytes"]
    if before is None:
        return shown
    gained = {n: now[n] - before[n] for n in ("clock_s", "cpu_s", *BATCHING)}
    if gained["clock_s"] > 0:
        shown["workbench_cpu_percent"] = 100 * gained["cpu_s"] / gained["clock_s"]
    if gained["batches"] > 0 and gained["batched"] > 0:
        shown["workbench_batch_wait_ms"] = 1000 * gained["batch_wait_s"] / gained["batched"]
        shown["workbench_batch_size"] = gained["batched"] / gained["batches"]
    return shown


BATCHING = ("batches", "batched", "batch_wait_s")


def _gpus() -> list[str]:
    """Ids of the GPUs that Ray gave to this process."""
    try:
        return [str(each) for each in ray.get_runtime_context().get_accelerator_ids()["GPU"]]
    except Exception:  # outside an actor, or another Ray
        return []
