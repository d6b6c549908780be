"""A replacement whose constructor takes three seconds, with one replica under load."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import workbench

from .figures import Bench
from .load import Deploy, Load, failed, stale, timed, worst_ms
from .services import ANSWERING, Cell, delete_all, kinds, run_raw

CONSTRUCTOR_S = 3
SINGLE = ("num_replicas=2", "num_replicas=1")
CONSTRUCTOR = "self.state = 0"


def replace(bench: Bench) -> None:
    """Edit the constructor; no request may fail or wait."""
    count = bench.rounds(3, 1)
    load, deploys, planned = _replaced(bench, "replace", count, _ours)
    delete_all()
    raw, raw_deploys, _ = _replaced(bench, "raw-replace", 1, run_raw)
    facts = {"replaces": count, "planned": planned, "requests": len(load.answers)}
    bench.figure(
        "replace: worst request while a 3 s constructor runs",
        worst_ms(load.answers) / 1000,
        "s",
        "<= 0.5",
        baseline=worst_ms(raw.answers) / 1000,
        **facts,
        deploy_s=round(max(each.ms for each in deploys) / 1000, 2),
        raw_deploy_s=round(raw_deploys[0].ms / 1000, 2),
    )
    bench.figure("replace: failed", len(failed(load.answers)), "requests", "== 0")
    late = stale(load.answers, deploys)
    bench.figure("replace: older code after deploy()", len(late), "", "== 0")


def _ours(target: Any, name: str) -> None:
    workbench.deploy(target, name=name)


def _edited(cell: Cell, revision: int) -> Any:
    slow = f"time.sleep({CONSTRUCTOR_S}); self.state = {revision}"
    return cell.run(revision, (CONSTRUCTOR, slow))


def _replaced(
    bench: Bench, name: str, count: int, run: Callable[[Any, str], None]
) -> tuple[Load, list[Deploy], str]:
    cell, deploys = Cell(ANSWERING, "Answering", SINGLE), []
    run(_edited(cell, 0), name)
    planned = kinds(_edited(cell, 1), name) if run is _ours else ""
    with Load(f"{bench.url}/{name}/answer") as load:
        for revision in range(1, count + 1):
            target = _edited(cell, revision)
            deploys.append(timed(revision, lambda t=target: run(t, name)))
            time.sleep(0.5)
    return load, deploys, planned
