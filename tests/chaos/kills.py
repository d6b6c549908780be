"""Processes of the cluster that are killed or stopped: Serve's controller, the proxy, replicas."""

from __future__ import annotations

import os
import signal
import time

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Load, failed, tried
from tests.bench.redeploy.services import replicas, wait_until
from workbench.adapters import cluster

from .common import (
    BACK_S,
    NAME,
    QUIET_S,
    answers,
    deploy,
    deployed,
    healthy,
    options,
    processes_of,
    told,
    url,
)

WATCHED = ("health_check_period_s=0.5", "health_check_timeout_s=2")
CLIENTS = 4
STANDS_IN_S = 1.0


def controller(bench: Bench) -> None:
    """Kill -9 of Serve's controller; a swap right after it waits for the new one."""
    cell = deployed()
    with Load(url(bench)) as load:
        time.sleep(1)
        processes_of("ServeController")[0].kill()
        time.sleep(0.5)
        deploys = [deploy(cell, 1)]
        time.sleep(QUIET_S)
    told(bench, "controller killed", load, deploys, swap_ms=round(deploys[0].ms))


def proxy(bench: Bench) -> None:
    """Kill -9 of what stands at the ingress's port: HAProxy, or Serve's own proxy."""
    deployed()
    head = cluster.known_head()
    assert head is not None
    fast = head.data_path == "fast"
    name = "haproxy" if fast else "ProxyActor"
    for each in processes_of(name):
        each.kill()
    away_s = wait_until(lambda: answers(bench), BACK_S, "the ingress's port")
    stand_in = _pids(name)
    with Load(url(bench)) as load:
        if fast:
            wait_until(lambda: not stand_in & _pids(name), BACK_S, "Serve's own HAProxy")
        time.sleep(QUIET_S)
    bench.figure(
        f"{name} killed: answers again after", away_s, "s", f"<= {STANDS_IN_S if fast else 10}"
    )
    bench.figure(f"{name} killed: failed afterwards", len(failed(load.answers)), "", "== 0")


def _pids(name: str) -> set[int]:
    return {each.pid for each in processes_of(name)}


def only(bench: Bench) -> None:
    """Kill -9 of the only replica: until when requests fail or wait."""
    began = time.monotonic()
    deployed(options("num_replicas=1", *WATCHED))
    start_s = time.monotonic() - began
    with Load(url(bench), every_s=0.2) as load:
        time.sleep(1)
        [victim] = replicas(NAME)["Answering"]
        os.kill(victim, signal.SIGKILL)
        killed_ns = time.time_ns()
        wait_until(lambda: bool(replicas(NAME)["Answering"] - {victim}), BACK_S, "a replica")
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


def hung(bench: Bench) -> None:
    """One of two replicas stops (SIGSTOP): a swap is refused or served, and others take over."""
    cell = deployed(options("num_replicas=2", *WATCHED))
    with Load(url(bench)) as load:
        time.sleep(1)
        victim = min(replicas(NAME)["Answering"])
        os.kill(victim, signal.SIGSTOP)
        target = cell.run(1)
        first = tried(1, lambda: workbench.deploy(target, name=NAME))
        replaced_s = wait_until(lambda: victim not in _alive() and healthy(), BACK_S, "a replica")
        deploys = [first, deploy(cell, 2)]
        time.sleep(QUIET_S)
    if first.error is not None and not isinstance(first.error, workbench.WorkbenchError):
        raise first.error
    facts = {"swap": repr(first.error)[:300], "swap_s": round(first.ms / 1000, 1)}
    facts["replaced_s"] = round(replaced_s, 1)
    told(bench, "replica hung", load, deploys, CLIENTS, **facts)


def _alive() -> set[int]:
    return replicas(NAME)["Answering"]
