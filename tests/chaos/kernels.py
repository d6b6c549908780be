"""Kernels that die while they change the service, and kernels that change it at once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import workbench
from tests.bench.redeploy.figures import Bench, rounded
from tests.bench.redeploy.load import Load

from .common import NAME, QUIET_S, deploy, deployed, healthy, told, url

SEED = 20
LEASE_S = 12.0  # after which others undo what a dead kernel began
# What another kernel does: it says when it begins, and is killed before it ends.
KERNEL = """
import time
import workbench
from tests.bench.redeploy.services import ANSWERING, Cell
workbench.start()
cell = Cell(ANSWERING, "Answering")
app = workbench.connect("faults")
print("GO", flush=True)
while True:
    {work}
"""
DEATHS = {
    "swap": 'workbench.deploy(cell.run(app.history().serving + 1), name="faults")',
    "tune": 'app.tune("Answering", max_ongoing_requests=5 + time.time_ns() % 9)',
    "replace": 'workbench.deploy(cell.run(9999), name="faults", mode="replace")',
}
DEPLOYS = """
import workbench
from tests.bench.redeploy.services import ANSWERING, Cell
workbench.start()
cell = Cell(ANSWERING, "Answering")
for number in range({first}, {first} + {count}):
    workbench.deploy(cell.run(number), name="faults")
"""
ROOT = Path(__file__).parents[2]


def kernel(bench: Bench) -> None:
    """Kill -9 of a kernel in the middle of swaps, of tunes and of a deploy that replaces."""
    chosen = random.Random(SEED)
    for what, work in DEATHS.items():
        waits = [chosen.uniform(0.05, 1.5) for _ in range(bench.rounds(4, 1))]
        cell = deployed()
        with Load(url(bench)) as load:
            for wait_s in waits:
                _killed_at_work(work, wait_s)
            time.sleep(LEASE_S)
            deploys = [deploy(cell, 10_000)]
            time.sleep(QUIET_S)
        told(bench, f"kernel killed in a {what}", load, deploys, after_s=rounded(waits, 2))
        bench.figure(f"kernel killed in a {what}: healthy afterwards", healthy(), "", "== 1")


def kernels(bench: Bench) -> None:
    """Two kernels that deploy the same application at once, ten times each."""
    cell, count = deployed(), bench.rounds(10, 3)
    with Load(url(bench)) as load:
        both = [_kernel(DEPLOYS.format(first=first, count=count)) for first in (100, 200)]
        ended = [each.wait(240) for each in both]
        deploys = [deploy(cell, 300)]
        time.sleep(QUIET_S)
    outcomes = [each.outcome for each in workbench.connect(NAME).history()]
    told(bench, "two kernels at once", load, deploys, ended=ended)
    served = sum(each == "served" for each in outcomes)
    bench.figure("two kernels at once: deploys that served", served, "", f">= {2 * count}")


def _kernel(code: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True
    )


def _killed_at_work(work: str, wait_s: float) -> None:
    with _kernel(KERNEL.format(work=work)) as process:
        assert process.stdout is not None
        if not any("GO" in line for line in process.stdout):
            raise RuntimeError("the other kernel ended before it began")
        time.sleep(wait_s)
        process.kill()
