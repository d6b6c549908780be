"""Faults under load: what is killed, and which requests failed, stalled or met older code."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

import workbench
from workbench.adapters import cluster, processes

from .figures import Bench, rounded
from .load import Answer, Load, failed, stale, timed, worst_ms
from .services import ANSWERING, Cell, replicas, wait_until

SEED = 20
BACK_S = 60.0
ONE = ("num_replicas=2, ", "num_replicas=1, health_check_period_s=0.5, ")
QUIET_S = 2.0
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


def controller(bench: Bench) -> None:
    """Kill -9 of Serve's controller; a swap right after it waits for the new one."""
    cell, deploys = _deployed(), []
    with Load(f"{bench.url}/faults/answer") as load:
        time.sleep(1)
        _kill("ServeController")
        time.sleep(0.5)
        target = cell.run(1)
        deploys.append(timed(1, lambda: workbench.deploy(target, name="faults")))
        time.sleep(QUIET_S)
    _told(bench, "controller killed", load)
    bench.figure(
        "controller killed: older code after a swap", len(stale(load.answers, deploys)), "", "== 0"
    )
    told = {a.revision for a in load.answers[-8:]}
    bench.figure("controller killed: the swap that followed serves", float(told == {1}), "", "== 1")


def proxy(bench: Bench) -> None:
    """Kill -9 of what stands at the ingress's port: HAProxy, or Serve's own proxy."""
    _deployed()
    name = "haproxy" if cluster.known_head().data_path == "fast" else "ProxyActor"  # type: ignore[union-attr]  # it runs
    _kill(name)
    away_s = wait_until(lambda: _answers(bench), BACK_S, "the ingress's port")
    with Load(f"{bench.url}/faults/answer") as load:
        time.sleep(QUIET_S)
    bench.figure(f"{name} killed: answers again after", away_s, "s", f"<= {BACK_S / 2:g}")
    bench.figure(f"{name} killed: failed afterwards", len(failed(load.answers)), "", "== 0")


def only(bench: Bench) -> None:
    """Kill -9 of the only replica: until when requests fail or wait."""
    began = time.monotonic()
    _deployed(ONE)
    start_s = time.monotonic() - began
    with Load(f"{bench.url}/faults/answer", every_s=0.2) as load:
        time.sleep(1)
        [victim] = replicas("faults")["Answering"]
        os.kill(victim, signal.SIGKILL)
        killed_ns = time.time_ns()
        wait_until(lambda: bool(replicas("faults")["Answering"] - {victim}), BACK_S, "a replica")
        time.sleep(QUIET_S)
    after = [a for a in load.answers if a.ok and a.done_ns > killed_ns and a.pid != victim]
    away_s = (min(a.done_ns for a in after) - killed_ns) / 1e9
    bench.figure(
        "only replica killed: serves again after",
        away_s,
        "s",
        f"<= {start_s + 2:.1f}",
        start_s=round(start_s, 1),
        failed=len(failed(load.answers)),
        requests=len(load.answers),
    )


def kernel(bench: Bench) -> None:
    """Kill -9 of a kernel in the middle of swaps, of tunes and of a deploy that replaces."""
    chosen = random.Random(SEED)
    for what, work in DEATHS.items():
        waits = [chosen.uniform(0.05, 1.5) for _ in range(bench.rounds(4, 1))]
        cell = _deployed()
        with Load(f"{bench.url}/faults/answer") as load:
            for wait_s in waits:
                _killed_at_work(work, wait_s)
            time.sleep(LEASE_S)
            app = workbench.connect("faults")
            target = cell.run(10_000)
            last = timed(10_000, lambda t=target: workbench.deploy(t, name="faults"))
            time.sleep(QUIET_S)
        _told(bench, f"kernel killed in a {what}", load, after_s=rounded(waits, 2))
        late = len(stale(load.answers, [last]))
        bench.figure(
            f"kernel killed in a {what}: older code after the next deploy", late, "", "== 0"
        )
        states = [d.state for d in app.status().deployments]
        bench.figure(
            f"kernel killed in a {what}: the next deploy serves",
            float(set(states) == {"HEALTHY"}),
            "",
            "== 1",
            states=states,
        )


def kernels(bench: Bench) -> None:
    """Two kernels that deploy the same application at once, ten times each."""
    _deployed()
    count = bench.rounds(10, 3)
    with Load(f"{bench.url}/faults/answer") as load:
        both = [_kernel(DEPLOYS.format(first=first, count=count)) for first in (100, 200)]
        ended = [each.wait(240) for each in both]
        time.sleep(QUIET_S)
    app = workbench.connect("faults")
    outcomes = [each.outcome for each in app.history()]
    _told(bench, "two kernels at once", load, ended=ended)
    bench.figure(
        "two kernels at once: deploys that served",
        sum(o == "served" for o in outcomes),
        "",
        f">= {2 * count}",
    )


def _deployed(*edits: tuple[str, str]) -> Cell:
    cell = Cell(ANSWERING, "Answering", *edits)
    workbench.deploy(cell.run(0), name="faults")
    return cell


def _told(bench: Bench, what: str, load: Load, **facts: Any) -> None:
    bad = failed(load.answers)
    facts |= {"requests": len(load.answers), "said": sorted({_said(each) for each in bad})[:3]}
    bench.figure(f"{what}: failed", len(bad), "requests", "== 0", **facts)
    bench.figure(f"{what}: worst request", worst_ms(load.answers), "ms")


def _said(answer: Answer) -> str:
    return f"{answer.status} {answer.text}"[:200]


def _kill(name: str) -> None:
    """Kill -9 of the cluster's process of that name."""
    head = cluster.known_head()
    assert head is not None
    for each in processes.marked(head.cluster_id):
        with contextlib.suppress(psutil.Error):
            if name in each.name() or name in " ".join(each.cmdline()[:1]):
                each.kill()
                return
    raise LookupError(f"no process named {name}")


def _answers(bench: Bench) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{bench.url}/faults/answer", timeout=2).status_code == 200
    return False


def _kernel(code: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True
    )


def _killed_at_work(work: str, wait_s: float) -> None:
    with _kernel(KERNEL.format(work=work)) as process:
        _until(process, "GO")
        time.sleep(wait_s)
        process.kill()


def _until(process: subprocess.Popen[str], word: str) -> None:
    for line in _lines(process):
        if word in line:
            return
    raise RuntimeError(f"the other kernel ended before it said {word}")


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    yield from process.stdout
