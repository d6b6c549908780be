"""What counting costs each request: one replica, its figures on and off in turns.

    python tests/bench/bench_metrics.py [--quick]

One JSON line; the exit status is 1 when the limit is missed. Beside the throughput stands what a
request costs the replica in CPU time. The baseline is the same process: two processes of the same
code differ by more than what is measured here.

Figures cannot be turned off in the product: the switch is put here into the host that is shipped
to the replica, and the service gets an endpoint that turns it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psutil
from redeploy.figures import kept, median
from redeploy.load import Load, failed
from redeploy.services import ANSWERING, Cell, replicas

import workbench
from workbench.adapters import ray_serve
from workbench.adapters.processes import free_ports
from workbench.replica import figures, host, pulse

CONNECTIONS = 16
WINDOW_S = 0.5
TURN_S = 0.05  # what was asked for before the switch was turned has been answered by then
BLOCK = 60  # windows of one load, after those that only warm up
WARM_UPS = 4
LIMIT = ">= 0.98"
CELL = (
    ANSWERING.replace("import os\n", "import os\nimport sys\n")
    + """
    @api.post("/figures/{on}")
    async def figures(self, on: bool) -> None:
        sys.workbench_counts = on
"""
)
ONE = (
    'num_replicas=2, ray_actor_options={"num_cpus": 0.1}',
    'num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1}',
)


HTTP = figures.Figures.http


class Unwatched(figures.Uncounted):
    """A request that nobody counts."""

    __slots__ = ()

    def watched(self, send: Any) -> Any:
        """As it is."""
        return send


def http(self: Any, scope: Any) -> Any:
    """`Figures.http` with a switch."""
    if getattr(sys, "workbench_counts", True):
        return HTTP(self, scope)
    return Unwatched()


class Pulse(pulse.Pulse):
    """A pulse with a switch."""

    def _content(self, usage: Any) -> dict[str, Any]:
        while not getattr(sys, "workbench_counts", True):
            time.sleep(TURN_S)
        return super()._content(usage)


@contextlib.contextmanager
def switched() -> Iterator[None]:
    """What is shipped meanwhile has the switch."""
    with mock.patch.object(figures.Figures, "http", http), mock.patch.object(host, "Pulse", Pulse):
        ray_serve._host.cache_clear()
        yield
    ray_serve._host.cache_clear()


class Window:
    """Answers per second, and CPU milliseconds of each, while figures were on or off."""

    def __init__(self, url: str, process: psutil.Process, on: bool) -> None:
        turn(url, on)
        self.on, cpu_s = on, _cpu_s(process)
        self._began = time.time_ns()
        time.sleep(WINDOW_S)
        self._until, self._used_s = time.time_ns(), _cpu_s(process) - cpu_s

    def read(self, done_ns: list[int]) -> None:
        """Learn what was answered in it."""
        answered = sum(self._began <= each < self._until for each in done_ns)
        self.rps = answered / ((self._until - self._began) / 1e9)
        self.cpu_ms = 1000 * self._used_s / answered


def _cpu_s(process: psutil.Process) -> float:
    """CPU seconds of all its threads, from the scheduler; psutil's are in steps of 10 ms."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in tasks) / 1e9


def block(url: str, process: psutil.Process) -> list[Window]:
    """Windows in turns, in pairs of which first the one and then the other has figures first."""
    with Load(f"{url}/answer", clients=CONNECTIONS) as load:
        found = [Window(url, process, on=n % 4 in (0, 3)) for n in range(BLOCK + WARM_UPS)]
    if failed(load.answers):
        raise AssertionError(f"{url}: {failed(load.answers)[0].text}")
    done_ns = [each.done_ns for each in load.answers]
    for each in found:
        each.read(done_ns)
    return found[WARM_UPS:]


def measured(http_url: str, blocks: int) -> dict[str, Any]:
    """Throughput with figures over without, pair by pair."""
    with switched():
        workbench.deploy(Cell(CELL, "Answering", ONE).run(0), name="counted")
    url = f"{http_url}/counted"
    check(url)
    [pid] = replicas("counted")["Answering"]
    every = [each for _ in range(blocks) for each in block(url, psutil.Process(pid))]
    on, off = ([each for each in every if each.on is which] for which in (True, False))
    ratios = [a.rps / b.rps for a, b in zip(on, off, strict=True)]
    value = median(ratios)
    return {
        "name": "metrics: throughput with figures over without, median of pairs",
        "value": round(value, 4),
        "limit": LIMIT,
        "ok": kept(value, LIMIT),
        "pairs": len(ratios),
        "quartiles": [round(each, 4) for each in statistics.quantiles(ratios)],
        "ratio_of_medians": round(_rps(on) / _rps(off), 4),
        "rps": round(_rps(on)),
        "plain_rps": round(_rps(off)),
        "cpu_ms": round(median([each.cpu_ms for each in on]), 4),
        "plain_cpu_ms": round(median([each.cpu_ms for each in off]), 4),
        "cpu_ratio": round(median([b.cpu_ms / a.cpu_ms for a, b in zip(on, off, strict=True)]), 4),
    }


def _rps(windows: list[Window]) -> float:
    return float(median([each.rps for each in windows]))


def check(url: str) -> None:
    """Make sure that the switch does what it says: only what is counted is remembered.

    Raises:
        AssertionError: it does not.
    """
    app, seen = workbench.connect("counted"), {}
    for on in (False, True):
        turn(url, on)
        before = app.logs(access=True)
        httpx.get(f"{url}/answer").raise_for_status()
        seen[on] = app.logs(access=True) != before
    if seen != {False: False, True: True}:
        raise AssertionError(f"the switch does not switch: {seen}")


def turn(url: str, on: bool) -> None:
    """Turn the figures on or off."""
    httpx.post(f"{url}/figures/{str(on).lower()}").raise_for_status()
    time.sleep(TURN_S)


def main() -> int:
    """Start a private cluster, measure, stop it; returns the exit status."""
    home = Path(tempfile.mkdtemp(prefix="workbench-bench-"))
    os.environ["WORKBENCH_HOME"] = str(home / "home")
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(home / "ray" / "auth_token")
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # deploy() tells progress
            stack.callback(workbench.stop)
            cluster = workbench.start(num_cpus=4, http_port=free_ports(1)[0])
            found = measured(cluster.http_url, 1 if "--quick" in sys.argv else 6)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(found))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
