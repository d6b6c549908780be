"""Load on a service by wrk, which Debian has; every peer gets the same."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.bench.redeploy.load import Load

REQUEST = """
wrk.method = "POST"
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read
  local form = '{{"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f}}'
  io.stderr:write(string.format(form,
    summary.requests, summary.duration / 1e6, bad + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Measured:
    """What one run found.

    Attributes:
        rps: requests per second.
        p50_ms: median latency in milliseconds.
        p99_ms: 99th percentile in milliseconds.
        failed: requests that failed.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    failed: int


def wrk(url: str, body: Any, connections: int, seconds: int) -> Measured:
    """Keep `connections` busy with one request after the other."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.write_text(REQUEST.format(body=json.dumps(json.dumps(body))))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
        done = subprocess.run(
            [*command, "-s", str(script), url], capture_output=True, text=True, check=True
        )
    found = json.loads(re.search(r"\{.*\}", done.stderr)[0])
    return Measured(
        rps=found["requests"] / found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        failed=found["failed"],
    )


def counted(url: str, body: Any, connections: int, requests: int) -> Measured:
    """Like `wrk`, for requests that take seconds: a number of them, since a time cuts batches off.

    Nothing of it is under way afterwards, where wrk leaves what it has not waited for.
    """
    with httpx.Client(timeout=600) as client, ThreadPoolExecutor(connections) as pool:

        def ask(_: int) -> tuple[float, bool]:
            began_s = time.perf_counter()
            answer = client.post(url, json=body)
            return 1e3 * (time.perf_counter() - began_s), answer.status_code == 200

        began_s = time.perf_counter()
        answers = list(pool.map(ask, range(requests)))
        took_s = time.perf_counter() - began_s
    cuts = statistics.quantiles([ms for ms, _ in answers], n=100, method="inclusive")
    return Measured(requests / took_s, cuts[49], cuts[98], sum(not ok for _, ok in answers))


def open_loop(url: str, body: Any, rps: float, seconds: int) -> Measured:
    """Send at a fixed rate, however long answers take; latency counts from when each was due."""
    clients = max(2, min(32, round(2 * rps)))
    with Load(url, clients, clients / rps, body=body, spread=True) as load:
        time.sleep(seconds)
    good = [each.ms for each in load.answers if each.ok]
    cuts = statistics.quantiles(good, n=100, method="inclusive")
    return Measured(len(good) / seconds, cuts[49], cuts[98], len(load.answers) - len(good))
