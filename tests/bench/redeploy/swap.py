"""Swaps under load: how fast the new code answers, with free slots and with none."""

from __future__ import annotations

import time
from collections.abc import Sequence

import workbench

from .figures import Bench, median, rounded
from .load import Answer, Deploy, Load, all_settled_ms, failed, stale, timed, worst_ms
from .services import ANSWERING, Cell, delete_all, kinds, run_raw

REPLICAS = 2
SETTLE_S = 0.3  # both replicas have answered several times by then
SLOTS = 4
FULL = 'num_replicas=2, max_ongoing_requests=4, ray_actor_options={"num_cpus": 0.1}'
NARROW = ('num_replicas=2, ray_actor_options={"num_cpus": 0.1}', FULL)
SLOW_S = 2.0
WAVE_S = 6.0  # two rounds of slow requests, and some air


def swap(bench: Bench) -> None:
    """Edits one by one beside raw `serve.run`, then swaps in a row."""
    cell = Cell(ANSWERING, "Answering")
    workbench.deploy(cell.run(0), name="swap")
    planned = kinds(cell.run(1), "swap")
    deploys = []
    with Load(f"{bench.url}/swap/answer") as load:
        for revision in range(1, bench.rounds(30, 4) + 1):
            target = cell.run(revision)
            deploys.append(timed(revision, lambda t=target: workbench.deploy(t, name="swap")))
            time.sleep(SETTLE_S)
    took = all_settled_ms(load.answers, deploys, REPLICAS)
    row = swaps_in_a_row(bench, cell, "swap", bench.rounds(200, 5), "<= 100")
    raw = raw_edits_ms(bench)
    ratio = bench.figure(
        "swap: call to every replica answering new code, median",
        median(took),
        "ms",
        "<= 60",
        baseline=median(raw),
        edits=len(took),
        worst_edit_ms=round(max(took), 1),
        deploy_returned_ms=round(median([each.ms for each in deploys]), 1),
        planned=planned,
        requests=len(load.answers),
        failed=len(failed(load.answers)),
        baseline_runs=rounded(raw),
    )
    bench.figure("swap: times faster than raw serve.run", ratio or 0, "", ">= 40")
    for figure in row:
        bench.figure(*figure)


def swaps_in_a_row(
    bench: Bench, cell: Cell, name: str, count: int, worst: str = ""
) -> list[tuple[str, float, str, str]]:
    """Swap after swap of that application without a pause; returns the figures.

    Args:
        bench: where it runs.
        cell: what is edited.
        name: of the application.
        count: how many swaps.
        worst: limit of the slowest request; the more of them, the more it tells of the machine.
    """
    first, deploys = 1000, []
    with Load(f"{bench.url}/{name}/answer") as load:
        for revision in range(first, first + count):
            target = cell.run(revision)
            deploys.append(timed(revision, lambda t=target: workbench.deploy(t, name=name)))
        time.sleep(SETTLE_S)
    what = f"{count} swaps in a row, {len(load.answers)} requests"
    return [
        (f"{what}: failed", len(failed(load.answers)), "requests", "== 0"),
        (f"{what}: older code after deploy()", len(stale(load.answers, deploys)), "", "== 0"),
        (f"{what}: worst request", worst_ms(load.answers), "ms", worst),
    ]


def raw_edits_ms(bench: Bench) -> list[float]:
    """The same edits by raw `serve.run` under the same load."""
    cell, deploys = Cell(ANSWERING, "Answering"), []
    delete_all()
    run_raw(cell.run(0), "raw-swap")
    with Load(f"{bench.url}/raw-swap/answer") as load:
        for revision in range(1, bench.rounds(5, 2) + 1):
            target = cell.run(revision)
            deploys.append(timed(revision, lambda t=target: run_raw(t, "raw-swap")))
            time.sleep(1)
    return all_settled_ms(load.answers, deploys, REPLICAS)


def saturated(bench: Bench) -> None:
    """Every slot is busy with a 2 s request, and more requests wait."""
    cell = Cell(ANSWERING, "Answering", NARROW)
    workbench.deploy(cell.run(0), name="saturated")
    deploys = []
    with _waves(bench, "saturated") as load:
        for revision in range(1, bench.rounds(10, 2) + 1):
            target = cell.run(revision)
            _wait_for_full_slots()
            deploys.append(timed(revision, lambda t=target: workbench.deploy(t, name="saturated")))
        time.sleep(2 * SLOW_S)
    begun = [each for each in load.answers if each.ok]
    busy = [_busy(begun, each) for each in deploys]
    older = sum(
        a.revision < d.revision for a in begun for d in deploys if a.began_ns > d.returned_ns
    )
    newer = sum(
        a.revision >= d.revision for a in begun for d in deploys if a.began_ns < d.called_ns
    )
    raw_ms, raw_busy = raw_saturated(bench)
    bench.figure(
        "saturated: deploy() with every slot busy, median",
        median([each.ms for each in deploys]),
        "ms",
        "<= 300",
        baseline=raw_ms,
        edits=len(deploys),
        worst_edit_ms=round(max(each.ms for each in deploys), 1),
        raw_busy_slots=raw_busy,
    )
    bench.figure(
        "saturated: slots busy at each call", min(busy), "slots", f">= {REPLICAS * SLOTS}", all=busy
    )
    bench.figure("saturated: began after deploy(), answered by older code", older, "", "== 0")
    bench.figure("saturated: began before deploy(), answered by newer code", newer, "", "== 0")
    bench.figure("saturated: failed", len(failed(load.answers)), "requests", "== 0")


def raw_saturated(bench: Bench) -> tuple[float, int]:
    """One edit by raw `serve.run` under the same load: milliseconds of the call, busy slots."""
    cell = Cell(ANSWERING, "Answering", NARROW)
    delete_all()
    run_raw(cell.run(0), "raw-saturated")
    with _waves(bench, "raw-saturated") as load:
        target = cell.run(1)
        _wait_for_full_slots()
        made = timed(1, lambda: run_raw(target, "raw-saturated"))
    return made.ms, _busy(load.answers, made)


def _waves(bench: Bench, name: str) -> Load:
    """Half as many requests again as there are slots, all at once: a third of them waits."""
    url = f"{bench.url}/{name}/slow"
    return Load(url, clients=REPLICAS * SLOTS * 3 // 2, every_s=WAVE_S)


def _wait_for_full_slots() -> None:
    """Sleep until the middle of the first requests of a wave."""
    time.sleep((SLOW_S / 2 - time.time()) % WAVE_S)


def _busy(answers: Sequence[Answer], deploy: Deploy) -> int:
    return sum(0 < each.began_ns < deploy.called_ns < each.done_ns for each in answers)
