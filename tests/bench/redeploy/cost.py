"""What the host costs each request: the same class by workbench and by raw Serve, in turns."""

from __future__ import annotations

import time

import workbench

from .figures import Bench, median, rounded
from .load import Load, failed
from .services import ANSWERING, Cell, run_raw

CONNECTIONS = 16
WINDOW_S = 3.0
SINGLE = (
    'num_replicas=2, ray_actor_options={"num_cpus": 0.1}',
    'num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1}',
)


def cost(bench: Bench) -> None:
    """Throughput of both in turns, first the one and then the other first."""
    workbench.deploy(Cell(ANSWERING, "Answering", SINGLE).run(0), name="cost")
    run_raw(Cell(ANSWERING, "Answering", SINGLE).run(0), "raw-cost")
    for name in ("cost", "raw-cost"):
        _rps(bench, name)  # both are warm before anything counts
    ours, raw = [], []
    for number in range(bench.rounds(16, 4)):
        order = (("cost", ours), ("raw-cost", raw))
        for name, found in order if number % 2 else reversed(order):
            found.append(_rps(bench, name))
    ratios = [mine / theirs for mine, theirs in zip(ours, raw, strict=True)]
    bench.figure(
        "cost: throughput over the same class by raw Serve, median of rounds",
        median(ratios),
        "",
        ">= 0.97",
        rounds=len(ratios),
        ratios=rounded(ratios, 3),
        ratio_of_medians=round(median(ours) / median(raw), 3),
        rps=round(median(ours)),
        raw_rps=round(median(raw)),
    )


def _rps(bench: Bench, name: str) -> float:
    with Load(f"{bench.url}/{name}/answer", clients=CONNECTIONS) as load:
        began = time.time_ns()
        time.sleep(WINDOW_S)
        until = time.time_ns()
    if failed(load.answers):
        raise AssertionError(f"{name}: {failed(load.answers)[0].text}")
    return sum(began <= each.done_ns < until for each in load.answers) / ((until - began) / 1e9)
