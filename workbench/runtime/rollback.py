"""Puts earlier revisions back: `app.rollback()`, and `workbench up` after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from workbench.adapters import history, ray_serve
from workbench.errors import PlanError

from . import cluster, releases, rollout
from .boundary import explained
from .deploy import Run, held
from .request import Look, Request
from .rollout import Progress


@explained("rollback")
def rollback(name: str, to: int | None, progress: Progress, timeout_s: float) -> None:
    """Put an earlier revision back by the same way; see `App.rollback`."""
    began_s = time.monotonic()
    past = history.here()
    releases.known(Look(name), progress.say)  # recorded first, if the history lacks it
    serving = past.serving(name)
    if to is None:
        to = _before(past.revisions(name), serving)
    if past.revision(name, to) is None:
        known = [each.number for each in past.revisions(name)]
        raise PlanError(f"{name!r} has no revision {to!r}", f"its revisions are {known}")
    good = rollout.good_of(past.graph(name, to), name, to)
    with held(name, progress):
        request = Request(Look(name, alone=True), good.graph, good.route_prefix, carries=False)
        run = Run(request, f"back to revision {to}", timeout_s, surge=True, began_s=began_s)
        run.carry_out(progress, wait=True)


def restore(show: Callable[[], Progress], timeout_s: float = 300.0) -> tuple[str, ...]:
    """Deploy the revision that served last of every application that does not run any more.

    Args:
        show: makes the display of one deploy.
        timeout_s: seconds that each may take.

    Returns:
        Names of the applications that were deployed.

    Raises:
        WorkbenchError: one could not be deployed; those before it serve.
    """
    cluster.attached()
    past, running = history.here(), ray_serve.details()
    gone = [each for each in map(past.serving, past.apps()) if each and each.app not in running]
    for each in gone:
        rollback(each.app, each.number, show(), timeout_s)
    return tuple(each.app for each in gone)


def _before(revisions: Any, serving: Any) -> int:
    served = [r.number for r in revisions if r.outcome == "served" and r != serving]
    if not served:
        raise PlanError("there is no earlier revision that served", "see app.history()")
    return int(served[-1])
