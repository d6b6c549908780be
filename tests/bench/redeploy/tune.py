"""Knobs of a running service: how fast they hold everywhere, and what requests notice."""

from __future__ import annotations

import time

import workbench

from .figures import Bench, median
from .load import Deploy, Load, all_settled_ms, failed, timed, worst_ms
from .services import ANSWERING, Cell, delete_all, replicas, run_raw

BATCHING = """\
import os

from fastapi import FastAPI
from ray import serve

api = FastAPI()


@serve.deployment(num_replicas=2, max_ongoing_requests=300, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(api)
class Batching:
    @serve.batch(max_batch_size=100, batch_wait_timeout_s=0.002)
    async def batched(self, items):
        return [type(self).batched._get_max_batch_size() - 100] * len(items)

    @api.get("/answer")
    async def answer(self) -> dict:
        return {"revision": 0 + await self.batched(1), "pid": os.getpid()}
"""
SETTLE_S = 0.3
REPLICAS = 2


def knob(bench: Bench) -> None:
    """The batch size, again and again, beside `serve.run` of a class with another one."""
    cell = Cell(BATCHING, "Batching")
    app = workbench.deploy(cell.run(0), name="knob")
    before, tunes = replicas("knob")["Batching"], []
    with Load(f"{bench.url}/knob/answer") as load:
        for number in range(1, bench.rounds(30, 5) + 1):
            tunes.append(timed(number, lambda n=number: app.tune(max_batch_size=100 + n)))
            time.sleep(SETTLE_S)
    took = all_settled_ms(load.answers, tunes, REPLICAS)
    kept = len(before & replicas("knob")["Batching"])
    raw = _raw_ms(bench)
    bench.figure(
        "knob: call to every replica batching by the new size, median",
        median(took),
        "ms",
        "<= 100",
        baseline=raw,
        tunes=len(took),
        worst_tune_ms=round(max(took), 1),
        tune_returned_ms=round(median([each.ms for each in tunes]), 1),
        requests=len(load.answers),
    )
    bench.figure("knob: processes kept", kept, "", f"== {REPLICAS}")
    bench.figure("knob: failed", len(failed(load.answers)), "requests", "== 0")
    bench.figure("knob: worst request", worst_ms(load.answers), "ms", "<= 100")


def _raw_ms(bench: Bench) -> float:
    delete_all()
    cell = Cell(BATCHING, "Batching")
    run_raw(cell.run(0), "raw-knob")
    edit = ("max_batch_size=100,", "max_batch_size=101,")
    with Load(f"{bench.url}/raw-knob/answer") as load:
        target = cell.run(0, edit)
        made = timed(1, lambda: run_raw(target, "raw-knob"))
        time.sleep(1)
    return all_settled_ms(load.answers, [made], REPLICAS)[0]


def wider(bench: Bench) -> None:
    """From 1 to 4 replicas under load."""
    cell = Cell(ANSWERING, "Answering", ("num_replicas=2", "num_replicas=1"))
    app = workbench.deploy(cell.run(1), name="wider")
    [first] = replicas("wider")["Answering"]
    with Load(f"{bench.url}/wider/answer") as load:
        made: Deploy = timed(1, lambda: app.tune(num_replicas=4))
        running = replicas("wider")["Answering"]
        time.sleep(2)
    after = {a.pid for a in load.answers if a.ok and a.sent_ns > made.returned_ns}
    facts = {"requests": len(load.answers), "tune_ms": round(made.ms)}
    bench.figure("wider: replicas when tune() returned", len(running), "", "== 4", **facts)
    bench.figure("wider: replicas that answered after it", len(after), "", "== 4")
    bench.figure("wider: the first one kept", int(first in running), "", "== 1")
    bench.figure("wider: failed", len(failed(load.answers)), "requests", "== 0")
