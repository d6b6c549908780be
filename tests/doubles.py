"""An application without a cluster, for what is about threads and rendering alone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from workbench.core import knobs
from workbench.core.knobs import Knobs, Tunable, Tuned, checked, knobs_of
from workbench.core.metrics import DeploymentSample, ReplicaSample, Sample
from workbench.core.openapi import Operation, operations
from workbench.core.revision import DeploymentRecord, Revision, Revisions
from workbench.core.status import AppStatus, DeploymentStatus
from workbench.errors import CapacityError

VALUES = {
    knobs.REPLICAS: 2,
    knobs.MIN_REPLICAS: None,
    knobs.MAX_REPLICAS: None,
    knobs.TARGET_ONGOING: None,
    knobs.BATCH_SIZE: 4,
    knobs.BATCH_WAIT: 0.05,
    knobs.ONGOING: 16,
    "max_queued_requests": -1,
    "num_cpus": 0.1,
    knobs.GPUS: 0.5,
    knobs.GPU_MEMORY: 0.5,
    knobs.USER_CONFIG: {"threshold": 0.5},
}
DOCUMENT = {
    "paths": {
        "/chat": {
            "post": {
                "operationId": "chat_chat_post",
                "summary": "Answer a question.",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["query"],
                                "properties": {
                                    "query": {"type": "string"},
                                    "k": {"type": "integer", "default": 3},
                                    "brief": {"type": "boolean", "default": False},
                                    "style": {"enum": ["plain", "formal"], "default": "plain"},
                                },
                            }
                        }
                    },
                },
            }
        }
    }
}


class Service:
    """Stands for an `App`: two deployments whose knobs can be set.

    Args:
        names: deployments, callers first.
        most: replicas that fit.
        takes_s: how long a change takes.
    """

    name, route_prefix = "rag", "/rag"

    def __init__(
        self, names: Iterable[str] = ("RAG", "LLM"), most: int = 6, takes_s: float = 0.03
    ) -> None:
        self.tunables = {name: Tunable(name, dict(VALUES)) for name in names}
        self.most, self.takes_s = most, takes_s
        self.tuned: list[tuple[str, dict[str, Any]]] = []
        self.rolled_back: list[int] = []
        self.revisions = [self._revision(1, "first", "add")]
        self.lines: tuple[str, ...] = ("RAG | INFO ready",)
        self.call = self

    def _revision(self, number: int, note: str, action: str) -> Revision:
        records = tuple(
            DeploymentRecord(name, "", {}, {}, action, "", 30.0) for name in self.tunables
        )
        now_s = time.time()
        return Revision("rag", number, "/rag", now_s, note, "served", "", "pid 1", 30.0, records)

    def status(self) -> AppStatus:
        """What Serve would say."""
        found = tuple(
            DeploymentStatus(
                name,
                "HEALTHY",
                each.values[knobs.REPLICAS] or each.values[knobs.MIN_REPLICAS],
                each.values[knobs.REPLICAS] or each.values[knobs.MIN_REPLICAS],
                num_cpus=each.values["num_cpus"],
                num_gpus=each.values[knobs.GPUS],
                revision=1,
            )
            for name, each in self.tunables.items()
        )
        number = self.revisions[-1].number
        url = "http://127.0.0.1:8000/rag"
        return AppStatus("rag", "/rag", url, "RUNNING", number, "", found)

    def tune(self, deployment: str | None = None, **asked: Any) -> Knobs | Tuned:
        """Set knobs, or list them."""
        if deployment is None:
            return Knobs(knob for each in self.tunables.values() for knob in knobs_of(each))
        here = self.tunables[deployment]
        change = checked(asked, here)
        time.sleep(self.takes_s)
        if change.values.get(knobs.REPLICAS, 0) > self.most:
            raise CapacityError(f"needs {change.values[knobs.REPLICAS]} GPU", "ask for fewer")
        self.tuned.append((deployment, asked))
        self.set(deployment, **change.values)
        said = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        number = self.revisions[-1].number
        return (
            Tuned("rag", deployment, asked, change.values, 2, 30.0, True, number, change.notes)
            if said
            else self.tune()
        )

    def set(self, deployment: str, **values: Any) -> None:
        """Set knobs as another kernel would."""
        if knobs.REPLICAS in values:
            values |= dict.fromkeys(knobs.AUTOSCALING)
        elif knobs.MAX_REPLICAS in values:
            values = {knobs.REPLICAS: None, knobs.TARGET_ONGOING: 2.0, **values}
        here = self.tunables[deployment]
        self.tunables[deployment] = replace(here, values={**here.values, **values})
        note = f"tune {deployment}: " + ", ".join(f"{n}={v!r}" for n, v in values.items())
        self.revisions.append(self._revision(self.revisions[-1].number + 1, note, "tune"))

    def stamp(self) -> object:
        """Differs once a revision has changed."""
        return len(self.revisions)

    def history(self) -> Revisions:
        """The revisions."""
        return Revisions(self.revisions, serving=self.revisions[-1].number)

    def rollback(self, to: int) -> None:
        """Note it."""
        self.rolled_back.append(to)

    def operations(self) -> tuple[Operation, ...]:
        """The operations of the form."""
        return operations(DOCUMENT)

    def chat(self, **arguments: Any) -> Any:
        """The one operation."""
        return {"answer": arguments}

    def logs(self, deployment: str | None, tail: int) -> tuple[str, ...]:
        """The lines."""
        return self.lines

    def figures(self) -> list[Sample]:
        """One sample, as busy as they come: every figure differs from second to second."""
        return [self.sample(time.time())]

    def sample(self, at_s: float) -> Sample:
        """The sample of a moment."""
        return Sample("rag", at_s, {n: _busy(at_s + 9 * i) for i, n in enumerate(self.tunables)})


def _busy(at_s: float) -> DeploymentSample:
    wave = 1 + math.sin(at_s / 7)
    replicas = tuple(
        ReplicaSample(f"r{i}", i, 20 * wave, 35.0 + wave, 500_000_000 + int(at_s) % 9999)
        for i in range(2)
    )
    return DeploymentSample(
        requests_per_s=40.7 * wave,
        errors_per_s=0.3 * wave,
        p50_ms=8 + wave,
        p95_ms=20 + 9 * wave,
        p99_ms=31 + 15 * wave,
        ongoing=int(4 + 3 * wave),
        queued=int(2 * wave),
        batch_size=1.3 + wave,
        batch_wait_ms=4.0,
        replicas=replicas,
    )
