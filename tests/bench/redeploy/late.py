"""Replicas that start right after a swap: one was killed, or more were asked for."""

from __future__ import annotations

import os
import signal
import time

import workbench

from .figures import Bench
from .load import Deploy, Load, failed, stale, timed
from .services import ANSWERING, Cell, kinds, replicas, wait_until

DECORATOR = "@serve.deployment(num_replicas=2, "
WATCHED = (DECORATOR, f"{DECORATOR}health_check_period_s=0.5, ")
START_S = 60.0
LOOK_S = 1.0


def killed(bench: Bench) -> None:
    """Kill -9 of one of two replicas as soon as a swap has returned."""
    cell, deploys, rounds = Cell(ANSWERING, "Answering", WATCHED), [], bench.rounds(5, 2)
    workbench.deploy(cell.run(0), name="killed")
    fresh: list[tuple[int, int]] = []
    with Load(f"{bench.url}/killed/answer") as load:
        for revision in range(1, rounds + 1):
            target = cell.run(revision)
            deploys.append(timed(revision, lambda t=target: workbench.deploy(t, name="killed")))
            victim, *others = replicas("killed")["Answering"]
            os.kill(victim, signal.SIGKILL)
            known = {victim, *others}
            wait_until(lambda k=known: _joined("killed", k), START_S, "a replica after kill -9")
            fresh += [(pid, revision) for pid in replicas("killed")["Answering"] - known]
            time.sleep(LOOK_S)
    _figures(bench, f"killed after {rounds} swaps", load, deploys, fresh)


def _joined(app: str, known: set[int]) -> bool:
    running = replicas(app)["Answering"]
    return len(running) == 2 and bool(running - known)


def scaled(bench: Bench) -> None:
    """From 1 to 3 replicas as soon as a swap has returned."""
    cell, deploys, rounds = Cell(ANSWERING, "Answering"), [], bench.rounds(5, 1)
    planned, fresh = [], []
    workbench.deploy(cell.run(0).options(num_replicas=1), name="scaled")
    with Load(f"{bench.url}/scaled/answer") as load:
        for revision in range(1, rounds + 1):
            one = cell.run(revision)
            single = one.options(num_replicas=1)
            deploys.append(timed(revision, lambda t=single: workbench.deploy(t, name="scaled")))
            known = replicas("scaled")["Answering"]
            three = one.options(num_replicas=3)
            workbench.deploy(three, name="scaled")
            wait_until(lambda: len(replicas("scaled")["Answering"]) == 3, START_S, "3 replicas")
            fresh += [(pid, revision) for pid in replicas("scaled")["Answering"] - known]
            time.sleep(LOOK_S)
            planned.append(kinds(single, "scaled"))
            workbench.deploy(single, name="scaled")
    _figures(bench, f"scaled 1 to 3 after {rounds} swaps", load, deploys, fresh, planned=planned)


def _figures(
    bench: Bench,
    what: str,
    load: Load,
    deploys: list[Deploy],
    fresh: list[tuple[int, int]],
    **facts: object,
) -> None:
    late = stale(load.answers, deploys)
    seen = {(each.pid, each.revision) for each in load.answers}
    silent = [each for each in fresh if each not in seen]
    facts |= {"requests": len(load.answers), "failed": len(failed(load.answers))}
    bench.figure(f"{what}: answers of older code", len(late), "", "== 0", **facts)
    bench.figure(
        f"{what}: new replicas that never answered", len(silent), "", "== 0", fresh=len(fresh)
    )
