"""Memory of a replica that holds 200 MB: through swaps, and after it was replaced."""

from __future__ import annotations

import psutil

import workbench

from .figures import Bench
from .load import timed
from .services import Cell, replicas, run_raw, wait_until

SOURCE = """\
import os

import torch
from fastapi import FastAPI
from ray import serve

api = FastAPI()


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
@serve.ingress(api)
class Holding:
    def __init__(self):
        self.weights = torch.ones(50_000_000, dtype=torch.float32)

    @api.get("/answer")
    async def answer(self) -> dict:
        return {"revision": 0, "pid": os.getpid(), "first": float(self.weights[:10].sum())}
"""
OTHER = ("torch.ones", "2 * torch.ones")
GONE_TIMEOUT_S = 60.0


def memory(bench: Bench) -> None:
    """Resident memory over many swaps, and how soon a replaced process is gone."""
    cell, count = Cell(SOURCE, "Holding"), bench.rounds(100, 6)
    app = workbench.deploy(cell.run(0), name="memory")
    app.get("/answer")
    (first,) = replicas("memory")["Holding"]
    sizes = [_resident_bytes(first)]
    pids = {first}
    for revision in range(1, count + 1):
        workbench.deploy(cell.run(revision), name="memory")
        told = app.get("/answer").json()
        if told["revision"] != revision:
            raise AssertionError(f"{told} after deploying revision {revision}")
        pids.add(told["pid"])
        sizes.append(_resident_bytes(told["pid"]))
    bench.figure(
        f"memory after {count} swaps over memory at the start",
        sizes[-1] / sizes[0],
        "",
        "<= 1.05",
        start_mb=_mb(sizes[0]),
        after_5_mb=_mb(sizes[5]),
        end_mb=_mb(sizes[-1]),
        end_over_after_5=round(sizes[-1] / sizes[5], 4),
        worst_mb=_mb(max(sizes)),
    )
    bench.figure("memory: processes that served the swaps", len(pids), "", "== 1")
    (old,) = replicas("memory")["Holding"]
    workbench.deploy(cell.run(count + 1, OTHER), name="memory")
    app.get("/answer")
    gone_s = _gone_s(old)
    raw_s, call_s = raw_gone_s(cell)
    bench.figure(
        "memory: a replaced model's process gone after deploy()",
        gone_s,
        "s",
        "<= 2",
        raw_gone_s=round(raw_s, 2),
        raw_call_s=round(call_s, 2),
    )


def raw_gone_s(cell: Cell) -> tuple[float, float]:
    """Seconds from the return of raw `serve.run` until the old process is gone, and of the call."""
    run_raw(cell.run(0), "raw-memory")
    (old,) = replicas("raw-memory")["Holding"]
    target = cell.run(1)
    made = timed(1, lambda: run_raw(target, "raw-memory"))
    return _gone_s(old), made.ms / 1000


def _gone_s(pid: int) -> float:
    return wait_until(lambda: not psutil.pid_exists(pid), GONE_TIMEOUT_S, f"the end of {pid}")


def _resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def _mb(size_bytes: int) -> float:
    return round(size_bytes / 1e6, 1)
