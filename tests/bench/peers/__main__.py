"""The same services by workbench and by its peers: requests per second and latencies.

    python -m tests.bench.peers [--quick] [echo hops stream embed images generate start]

Prints a table, and a JSON line per figure to stdout; all of them go to artefacts/peers.json too,
and charts and a table for the README to artefacts/peers.md.
Needs wrk. BENCH_THREADS sets the models' threads, else there is one for each core. The exit
status is 1 when a ratio misses its limit.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import peers
from .load import Measured, counted, open_loop, wrk
from .starting import starting

TEXT = "Ray Serve answers requests, and a notebook changes the service while it runs."
LONG = "The capital of France is a city that many people visit each year because it has " * 2
PHOTO = base64.b64encode(Path("data/photos/chelsea.jpg").read_bytes()).decode()
ALL = (peers.UVICORN, peers.RAW, peers.PYTHON, peers.FAST, peers.LITSERVE, peers.BENTOML)
# Requests a second that every peer can take: at these, latencies are compared.
RATES = {"echo": 50, "hops": 30, "embed": 20, "images": 5, "generate": 0.5}
TURNS = 3  # that the peers take: the machine's speed changes by minutes
COUNTS = {"generate": (8, 32, 4)}  # requests that take seconds: to warm, of a run, of one client
SECONDS = (12, 8, 8)  # others: to warm, since Ray's daemons are busy after a start, and so on
QUICK = (3, 3, 3)
OPEN_S = 24  # of a fixed rate below one a second
SETTLE_S = 1
FASTER = 6.67  # times, with one connection, than Ray Serve's default
GAIN = 0.85  # of what batches gain in the model alone
# Workload: text, connections, peers, limits as (peer, peer, least ratio of requests/s).
WORKLOADS: dict[str, Any] = {
    "echo": (TEXT, 16, ALL, [("workbench", "Ray Serve", 7), ("workbench", "uvicorn", 0.33)]),
    "hops": (TEXT, 16, (peers.RAW, peers.PYTHON, peers.FAST), [("workbench", "Ray Serve", 3)]),
    "stream": (TEXT, 16, ALL, []),
    "embed": (
        TEXT,
        16,
        (peers.UVICORN, peers.FAST, peers.LITSERVE, peers.BENTOML),
        [("workbench", "LitServe", 1), ("workbench", "BentoML", 1)],
    ),
    "images": (PHOTO, 16, (peers.UVICORN, peers.FAST, peers.LITSERVE, peers.BENTOML), []),
    "generate": (
        LONG,
        16,
        (peers.UVICORN, peers.FAST, peers.LITSERVE, peers.BENTOML),
        [("workbench", "LitServe", 1), ("workbench", "BentoML", 1)],
    ),
}


def main() -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--quick", action="store_true", help="one short round")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed; on Debian: apt-get install wrk")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    found: list[dict[str, Any]] = []
    ok = True
    for name in arguments.workloads or [*WORKLOADS, "start"]:
        if name == "start":
            found.append(starting(1 if arguments.quick else 3))
            print(json.dumps(found[-1]), flush=True)
            ok &= found[-1]["cold / raw"] <= 1 and found[-1]["attached / raw"] <= 0.3
        else:
            ok &= _workload(name, arguments.quick, found)
        _write(found)
    return 0 if ok else 1


def _write(found: list[dict[str, Any]]) -> None:
    out = Path("artefacts")
    out.mkdir(exist_ok=True)
    machine = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    (out / "peers.json").write_text(json.dumps({"machine": machine, "figures": found}, indent=1))
    charts = map(_chart, WORKLOADS, itertools.repeat(found))
    (out / "peers.md").write_text("\n".join([*charts, _table(found)]))


def _workload(name: str, quick: bool, found: list[dict[str, Any]]) -> bool:
    text, connections, all_peers, limits = WORKLOADS[name]
    measure, (warm, run, lone) = wrk, QUICK if quick else SECONDS
    if name in COUNTS:
        measure, (warm, run, lone) = counted, COUNTS[name]
    print(f"{name}: {connections} connections", file=sys.stderr)
    runs: dict[str, list[Measured]] = {peer.name: [] for peer in all_peers}
    single: dict[str, list[Measured]] = {peer.name: [] for peer in all_peers}
    fixed: dict[str, Measured] = {}
    for turn in range(1 if quick else TURNS):
        for peer in all_peers[:: 1 - 2 * (turn % 2)]:
            body = peers.body_of(peer, name, text)
            with peers.serving(peer, name, text) as url:
                measure(url, body, connections, warm)
                runs[peer.name].append(measure(url, body, connections, run))
                time.sleep(SETTLE_S)  # what wrk has not waited for
                single[peer.name].append(measure(url, body, 1, lone))
                if turn == 0 and name in RATES:
                    seconds = OPEN_S if name in COUNTS else run
                    fixed[peer.name] = open_loop(url, body, RATES[name], seconds)
    for peer in all_peers:
        found.append(
            _figure(name, peer.name, runs[peer.name], single[peer.name], fixed.get(peer.name))
        )
        print(json.dumps(found[-1]), flush=True)
        row = found[-1]
        print(
            f"  {peer.name:24} {row['rps']:9.1f}/s  p50 {row['p50_ms']:8.2f} ms  "
            f"p99 {row['p99_ms']:8.2f} ms  alone p50 {row['single_p50_ms']:7.2f} ms  "
            f"failed {row['failed']}  open loop {row['open_loop']}",
            file=sys.stderr,
        )
    kept = [
        _judged(name, f"{ours} / {theirs}", _ratios(name, ours, theirs, found), least, found)
        for ours, theirs, least in limits
    ]
    if name == "echo":
        raw, ours = (_of(name, each, found)["single_p50_ms"] for each in ("Ray Serve", "workbench"))
        kept.append(_judged(name, "p50 alone, Ray Serve / workbench", [raw / ours], FASTER, found))
    if name == "generate":
        kept.append(_gain(name, text, found))
    return all(kept)


def _chart(name: str, found: list[dict[str, Any]]) -> str:
    """A workload's requests per second as a Mermaid chart, the fastest first."""
    rows = [each for each in found if each["workload"] == name and "rps" in each]
    if not rows:
        return ""
    rows.sort(key=lambda each: -each["rps"])
    names = ", ".join(f'"{each["peer"]}"' for each in rows)
    values = ", ".join(f"{each['rps']:g}" for each in rows)
    title = f"{name}: requests per second, {WORKLOADS[name][1]} connections"
    return (
        f'```mermaid\nxychart-beta\n  title "{title}"\n  x-axis [{names}]\n  bar [{values}]\n```\n'
    )


HEAD = ("workload", "served by", "requests/s", "p50 ms", "p99 ms", "one connection: p50 ms")
AT = ("at a fixed rate", "p50 ms", "p99 ms")


def _table(found: list[dict[str, Any]]) -> str:
    """Every figure as a Markdown table."""
    rows = [_row(each) for each in found if "rps" in each]
    lines = ([*HEAD, *AT], ["---"] * len(HEAD + AT), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _row(each: dict[str, Any]) -> list[str]:
    numbers = [_number(each[key]) for key in ("p50_ms", "p99_ms", "single_p50_ms")]
    rate = each["open_loop"]
    rps = "{} ({} to {})".format(*map(_number, (each["rps"], *each["spread"])))
    at = [""] * len(AT)
    if rate:
        at = [f"{rate['at_rps']:g}/s", _number(rate["p50_ms"]), _number(rate["p99_ms"])]
    return [each["workload"], each["peer"], rps, *numbers, *at]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _figure(
    name: str,
    peer: str,
    runs: list[Measured],
    single: list[Measured],
    fixed: Measured | None,
) -> dict[str, Any]:
    rps = [run.rps for run in runs]
    open_loop = {} if fixed is None else {"at_rps": RATES[name], **asdict(fixed)}
    return {
        "workload": name,
        "peer": peer,
        "rps": round(statistics.median(rps), 2),
        "spread": [round(min(rps), 2), round(max(rps), 2)],
        "runs": [round(each, 2) for each in rps],
        "p50_ms": round(statistics.median(run.p50_ms for run in runs), 3),
        "p99_ms": round(statistics.median(run.p99_ms for run in runs), 3),
        "single_p50_ms": round(statistics.median(run.p50_ms for run in single), 3),
        "single_rps": round(statistics.median(run.rps for run in single), 3),
        "failed": sum(run.failed for run in (*runs, *single)),
        "open_loop": {key: round(value, 3) for key, value in open_loop.items()},
    }


def _ratios(name: str, over: str, under: str, found: list[Any]) -> list[float]:
    """Compare runs of the same turn: the machine's speed changes by minutes."""
    over_under = zip(*(_of(name, each, found)["runs"] for each in (over, under)), strict=True)
    return [ours / theirs for ours, theirs in over_under]


def _gain(name: str, text: str, found: list[Any]) -> bool:
    """Compare what batches gain in the service with what they gain in the model alone."""
    model = peers.alone(name, text)
    ours = _of(name, peers.FAST.name, found)
    alone, served = model["in_batches"] / model["one_by_one"], ours["rps"] / ours["single_rps"]
    rates = {key: round(value, 2) for key, value in model.items()}
    facts = {"alone": round(alone, 2), "served": round(served, 2), "model_rps": rates}
    title = "gain of batches, served / model alone"
    return _judged(name, title, [served / alone], GAIN, found, **facts)


def _of(name: str, peer: str, found: list[Any]) -> Any:
    return next(f for f in found if f["workload"] == name and f.get("peer") == peer)


def _judged(
    name: str, ratio: str, values: list[float], least: float, found: list[Any], **facts: Any
) -> bool:
    value, spread = statistics.median(values), [round(min(values), 3), round(max(values), 3)]
    row = {"workload": name, "ratio": ratio, "value": round(value, 3), "spread": spread}
    found.append(row | {"limit": least} | facts)
    print(json.dumps(found[-1]), flush=True)
    said = "ok" if value >= least else "MISSED"
    print(f"  {ratio}: {value:.2f} (wanted >= {least}) {said}", file=sys.stderr)
    return value >= least


if __name__ == "__main__":
    sys.exit(main())
