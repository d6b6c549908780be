"""The service that faults happen to, and what its clients tell afterwards."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import psutil

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Deploy, Load, failed, stale, timed, worst_ms
from tests.bench.redeploy.services import ANSWERING, Cell, Edit
from workbench.adapters import cluster, processes

NAME = "faults"
BACK_S = 60.0
QUIET_S = 2.0
DECORATOR = "num_replicas=2, "


def options(*chosen: str) -> Edit:
    """The edit that gives the service these options of its decorator."""
    return DECORATOR, "".join(f"{each}, " for each in chosen)


def deployed(*edits: Edit) -> Cell:
    """Deploy the service, its code answering 0."""
    cell = Cell(ANSWERING, "Answering", *edits)
    workbench.deploy(cell.run(0), name=NAME)
    return cell


def deploy(cell: Cell, revision: int, **options: Any) -> Deploy:
    """Deploy it with its code answering `revision`, which must succeed."""
    target = cell.run(revision)
    return timed(revision, lambda: workbench.deploy(target, name=NAME, **options))


def url(bench: Bench) -> str:
    """Where it answers."""
    return f"{bench.url}/{NAME}/answer"


def answers(bench: Bench) -> bool:
    """Whether it answers now."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url(bench), timeout=2).status_code == 200
    return False


def healthy() -> bool:
    """Whether all its deployments have their replicas."""
    return {d.state for d in workbench.connect(NAME).status().deployments} == {"HEALTHY"}


def told(
    bench: Bench, what: str, load: Load, deploys: list[Deploy], at_most: int = 0, **facts: Any
) -> None:
    """Report what failed, what was stale, the worst request, and that the last deploy serves."""
    bad = failed(load.answers)
    facts |= asked(load)
    limit = f"<= {at_most}" if at_most else "== 0"
    bench.figure(f"{what}: failed", len(bad), "requests", limit, **facts)
    bench.figure(f"{what}: worst request", worst_ms(load.answers), "ms")
    made = [each for each in deploys if each.error is None]
    if made:
        bench.figure(f"{what}: older code", len(stale(load.answers, made)), "answers", "== 0")
        last = {each.revision for each in load.answers[-8:] if each.ok}
        bench.figure(f"{what}: the last deploy serves", last == {made[-1].revision}, "", "== 1")


def asked(load: Load) -> dict[str, Any]:
    """How many requests there were, and what those that failed were told."""
    said = {f"{each.status} {each.text}"[:200] for each in failed(load.answers)}
    return {"requests": len(load.answers), "said": sorted(said)[:3]}


def processes_of(name: str) -> list[psutil.Process]:
    """The cluster's processes of that name.

    Raises:
        LookupError: there is none.
    """
    head, found = cluster.known_head(), []
    assert head is not None
    for each in processes.marked(head.cluster_id):
        with contextlib.suppress(psutil.Error):
            if name in each.name() or name in " ".join(each.cmdline()[:1]):
                found.append(each)
    if not found:
        raise LookupError(f"no process named {name}")
    return found
