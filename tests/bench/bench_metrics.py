"""What counting costs each request: the same class with figures and without, in turns.

    python tests/bench/bench_metrics.py [--quick]

One JSON line; the exit status is 1 when the limit is missed. Beside the throughput stands what a
request costs the replica in CPU time, which other work on the machine disturbs less.

Figures cannot be turned off in the product: the copy without them is made here, in the host that
is shipped to its replica.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
from redeploy.figures import kept, median, rounded
from redeploy.load import Load, failed
from redeploy.services import ANSWERING, Cell, replicas

import workbench
from workbench.adapters import ray_serve
from workbench.adapters.processes import free_ports
from workbench.replica import figures, host, live

CONNECTIONS = 16
WINDOW_S = 3.0
LIMIT = ">= 0.98"
WARM_UPS = 2
ONE = (
    'num_replicas=2, ray_actor_options={"num_cpus": 0.1}',
    'num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1}',
)


class Unwatched(figures.Uncounted):
    """A request that nobody counts."""

    __slots__ = ()

    def watched(self, send: Any) -> Any:
        """As it is."""
        return send


class Silent:
    """A pulse that does not beat."""

    def __init__(self, *what: Any) -> None:
        pass

    def start(self) -> None:
        """Nothing."""


@contextlib.contextmanager
def without_figures() -> Iterator[None]:
    """What is shipped meanwhile counts nothing."""
    with (
        mock.patch.object(figures.Figures, "http", lambda self, scope: Unwatched()),
        mock.patch.object(host, "Pulse", Silent),
        mock.patch.object(figures.Figures, "counting", lambda self, name: figures.Uncounted),
        mock.patch.object(live, "counted", lambda target, figures: target),
    ):
        ray_serve._host.cache_clear()
        yield
    ray_serve._host.cache_clear()


class Copy:
    """One of the two that are compared.

    Args:
        name: application name.
        http_url: where the cluster's ingresses answer.
    """

    def __init__(self, name: str, http_url: str) -> None:
        [pid] = replicas(name)["Answering"]
        self._url, self._process = f"{http_url}/{name}/answer", psutil.Process(pid)
        self.rps: list[float] = []
        self.cpu_ms: list[float] = []

    def measure(self) -> None:
        """Answers per second, and CPU milliseconds of each, over a few seconds."""
        with Load(self._url, clients=CONNECTIONS) as load:
            began, cpu_s = time.time_ns(), self._cpu_s()
            time.sleep(WINDOW_S)
            until, used_s = time.time_ns(), self._cpu_s() - cpu_s
        if failed(load.answers):
            raise AssertionError(f"{self._url}: {failed(load.answers)[0].text}")
        answered = sum(began <= each.done_ns < until for each in load.answers)
        self.rps.append(answered / ((until - began) / 1e9))
        self.cpu_ms.append(1000 * used_s / answered)

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def measured(http_url: str, rounds: int) -> dict[str, Any]:
    """Throughput of both in turns, first the one and then the other first."""
    workbench.deploy(Cell(ANSWERING, "Answering", ONE).run(0), name="counted")
    with without_figures():
        workbench.deploy(Cell(ANSWERING, "Answering", ONE).run(0), name="plain")
    for name in ("counted", "plain") * WARM_UPS:
        Copy(name, http_url).measure()  # both are warm before anything counts
    ours, plain = Copy("counted", http_url), Copy("plain", http_url)
    for number in range(rounds):
        for each in (ours, plain) if number % 2 else (plain, ours):
            each.measure()
    check()
    ratios = [a / b for a, b in zip(ours.rps, plain.rps, strict=True)]
    value = median(ratios)
    return {
        "name": "metrics: throughput with figures over without, median of rounds",
        "value": round(value, 4),
        "limit": LIMIT,
        "ok": kept(value, LIMIT),
        "rounds": rounds,
        "ratios": rounded(ratios, 3),
        "ratio_of_medians": round(median(ours.rps) / median(plain.rps), 4),
        "rps": round(median(ours.rps)),
        "plain_rps": round(median(plain.rps)),
        "cpu_ms": round(median(ours.cpu_ms), 4),
        "plain_cpu_ms": round(median(plain.cpu_ms), 4),
    }


def check() -> None:
    """Make sure that it was as it should be: the one counted, the other did not."""
    counts = {}
    for name in ("counted", "plain"):
        series = workbench.connect(name).metrics(window_s=60)
        counts[name] = sum(s.deployments["Answering"].requests_per_s for s in series)
    if not counts["counted"] > 0 == counts["plain"]:
        raise AssertionError(f"not what was to be compared: {counts}")


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
            found = measured(cluster.http_url, 4 if "--quick" in sys.argv else 24)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(found))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
