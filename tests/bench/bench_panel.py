"""Figures of the panel: kernel time and bytes per tick, slider to replicas. One JSON line each.

Run with `make bench`. `--minutes 30` watches the memory of the kernel instead, and `--double`
does without a cluster.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from fastapi import FastAPI
from ray import serve

import workbench
from workbench.adapters.processes import free_ports
from workbench.core.charts import SECONDS
from workbench.runtime.apps import connect
from workbench.runtime.figures import Figures
from workbench.ui.panel import NOWHERE, Panel, place_of

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.doubles import Service
from tests.wire import Wire, recorded

MIB = 2**20
WARM_S = 60.0


def report(name: str, value: float, wanted: str, **facts: Any) -> None:
    """Print one figure."""
    print(
        json.dumps({"name": name, "value": round(value, 3), "wanted": wanted, **facts}), flush=True
    )


api = FastAPI()


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(api)
class Greeter:
    """Two replicas with a batched method."""

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.01)
    async def greetings(self, names: list[str]) -> list[str]:
        """One batch."""
        return [f"Hello, {name}!" for name in names]

    @api.get("/greet")
    async def greet(self, name: str = "Ada") -> str:
        """One request."""
        greeting: str = await self.greetings(name)
        return greeting


@contextmanager
def load(app: Any, clients: int = 2) -> Iterator[None]:
    """Clients that ask all the time, at about 50 requests per second each."""
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.02):
            app.get("/greet")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for each in threads:
        each.start()
    yield
    done.set()
    for each in threads:
        each.join()


def ticks(panel: Panel, wire: Wire, count: int, name: str) -> None:
    """Kernel time and bytes of ticks, one per second."""
    panel._beat.close()
    panel._beat.join(5)
    panel._tick()
    spent_ms, wall_ms, before = [], [], (wire.bytes, wire.messages)
    for _ in range(count):
        began = time.thread_time(), time.perf_counter()
        panel._tick()
        spent_ms.append((time.thread_time() - began[0]) * 1e3)
        wall_ms.append((time.perf_counter() - began[1]) * 1e3)
        time.sleep(max(0.0, 1 - wall_ms[-1] / 1e3))
    facts = {"median_ms": round(median(spent_ms), 3), "ticks": count}
    facts["wall_ms"] = round(median(wall_ms), 3)
    report(f"{name}: kernel ms per tick, mean", sum(spent_ms) / count, "<= 5", **facts)
    sent = {"messages": (wire.messages - before[1]) / count}
    report(f"{name}: bytes per tick", (wire.bytes - before[0]) / count, "<= 10000", **sent)


def moves(panel: Panel, deployment: str, count: int) -> None:
    """From a moved slider until it is true in every replica; the callback's own time too."""
    dial = panel._cards[deployment].dials["max_batch_size"]
    took_ms, callback_ms = [], []
    for step in range(count):
        began_s = time.perf_counter()
        dial.input.value = 3 + step % 2
        callback_ms.append((time.perf_counter() - began_s) * 1e3)
        while dial.settled_s < began_s or "applied" not in dial.said.value:
            time.sleep(0.001)
        took_ms.append((time.perf_counter() - began_s) * 1e3)
        time.sleep(0.5)
    facts = {"max_ms": round(max(took_ms), 1), "moves": count}
    report("slider to replicas, median ms", median(took_ms), "<= 500", **facts)
    report("callback of a slider, max ms", max(callback_ms), "<= 5")


def soak(panel: Panel, wire: Wire, minutes: float) -> None:
    """Memory of the kernel while the panel ticks; growth counts from when it is warm."""
    process, end_s = psutil.Process(), time.monotonic() + minutes * 60
    time.sleep(min(WARM_S, minutes * 20))
    gc.collect()
    first, begun_s = process.memory_info().rss, time.monotonic()
    while time.monotonic() < end_s:
        time.sleep(min(60.0, max(1.0, end_s - time.monotonic())))
        gc.collect()
        grown = (process.memory_info().rss - first) / MIB
        after_s = round(time.monotonic() - begun_s)
        report("memory growth, MiB", grown, "<= 20", after_s=after_s, messages=wire.messages)


@contextmanager
def panels(double: bool) -> Iterator[tuple[Panel, Wire, str]]:
    """A panel that is recorded, of a service on a cluster or of its double."""
    with recorded() as wire:
        wire.keeps = False
        if double:
            service = Service()
            panel = Panel(service, service.figures, NOWHERE)
            yield panel, wire, "RAG"
        else:
            deployed = workbench.deploy(Greeter.bind(), name="panel-bench")
            app = connect(deployed.name)
            panel = Panel(app, Figures(app.name, SECONDS).read, place_of(app))
            with load(deployed):
                yield panel, wire, "Greeter"
            workbench.delete(deployed.name)
        panel.close()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="watch the memory this long")
    parser.add_argument("--double", action="store_true", help="do without a cluster")
    parser.add_argument("--ticks", type=int, default=30)
    asked = parser.parse_args()
    if not asked.double:
        workbench.start(num_cpus=16, num_gpus=2, http_port=free_ports(1)[0])
    with panels(asked.double) as (panel, wire, deployment):
        if asked.minutes:
            soak(panel, wire, asked.minutes)
        else:
            moves(panel, deployment, 10)
            ticks(panel, wire, asked.ticks, "under load, 10 changes marked")


if __name__ == "__main__":
    main()
    if "--double" not in sys.argv:
        workbench.stop()
