"""Live figures of a real deployment: exact totals, batches, swaps, websockets, inner calls."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from ray import serve

import workbench
from tests import waiting
from workbench.core.metrics import DeploymentSample
from workbench.runtime.figures import LONGEST_S, Figures

from .notebook import Notebook

pytestmark = pytest.mark.ray
wait_for = partial(waiting.until, timeout_s=60.0, every_s=0.2)

SERVICE = """
import asyncio
from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from ray import serve

PROMPT = "one"
api = FastAPI()

@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=16)
class Inner:
    async def __call__(self, x):
        return x * 10

    def checked(self, x):
        if x < 0:
            raise ValueError(x)
        return x

    async def several(self, n):
        for x in range(n):
            yield x

    def check_health(self):
        pass

@serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=64)
@serve.ingress(api)
class Outer:
    def __init__(self, inner):
        self.inner = inner

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=30)
    async def batched(self, xs):
        return [[x, len(xs)] for x in xs]

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=30)
    async def streamed(self, xs):
        for word in ("a", "b", "c"):
            yield [word + str(x) for x in xs]

    @api.get("/answer")
    async def answer(self):
        return PROMPT

    @api.get("/batch")
    async def batch(self, x: int):
        return await self.batched(x)

    @api.get("/stream")
    async def stream(self, x: int):
        return StreamingResponse(self.streamed(x), media_type="text/plain")

    @api.get("/inner")
    async def call_inner(self, x: int):
        return await self.inner.remote(x)

    @api.get("/fail")
    async def fail(self):
        raise RuntimeError("as asked")

    @api.get("/unavailable")
    async def unavailable(self):
        raise HTTPException(503)

    @api.get("/missing")
    async def missing(self):
        raise HTTPException(404)

    @api.websocket("/ws")
    async def ws(self, socket: WebSocket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    """One application for all tests here: its target's maker and the app."""
    book = Notebook()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", book.module)

        def deploy(*edit: str) -> Any:
            names = book.run(SERVICE.replace(*edit) if edit else SERVICE)
            return workbench.deploy(names["Outer"].bind(names["Inner"].bind()), name="figures")

        app = deploy()
        yield SimpleNamespace(app=app, deploy=deploy)
        workbench.delete(app.name)


class Meter:
    """Adds up what the samples say from now on.

    Args:
        app: application name.
    """

    def __init__(self, app: str) -> None:
        self._figures, self._samples = Figures(app), []
        wait_for(lambda: bool(self._figures.read()))

    def look(self) -> None:
        """Take in what is new."""
        self._samples += self._figures.read()

    def seen(self, deployment: str) -> list[DeploymentSample]:
        """What was sampled of a deployment."""
        return [each.deployments[deployment] for each in self._samples]

    def totals(self, deployment: str) -> tuple[float, float]:
        """Requests and errors of a deployment so far."""
        self.look()
        seen = self.seen(deployment)
        totals = sum(s.requests_per_s for s in seen), sum(s.errors_per_s for s in seen)
        return round(totals[0], 1), round(totals[1], 1)

    def settled(self, deployment: str, requests: int) -> tuple[float, float]:
        """Totals, once so many requests were seen and two more samples came."""
        wait_for(lambda: self.totals(deployment)[0] >= requests)
        beside = len(self._samples) + 2
        wait_for(lambda: self.look() or len(self._samples) >= beside)
        return self.totals(deployment)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls at the same time; returns their answers."""
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda c=call: answers.append(c())) for call in calls]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return answers


def test_requests_and_errors_are_counted_exactly(service: Any) -> None:
    """Every request once; what raises or answers 5xx is an error, 4xx is not."""
    meter, url = Meter("figures"), service.app.url
    for _ in range(20):
        httpx.get(f"{url}/answer")
    for path in ("/fail", "/fail", "/unavailable", "/missing", "/nowhere"):
        httpx.get(f"{url}{path}")

    assert meter.settled("Outer", 25) == (25, 3)
    assert meter.totals("Inner") == (0, 0)
    latencies = [(s.p50_ms, s.p95_ms, s.p99_ms) for s in meter.seen("Outer") if s.requests_per_s]
    assert all(0 < p50 <= p95 <= p99 for p50, p95, p99 in latencies)


def test_an_inner_deployment_is_counted_with_both_replicas(service: Any) -> None:
    """Calls by handle from the ingress and from the notebook: methods, errors, generators."""
    meter, inner = Meter("figures"), service.app.handle("Inner")
    for n in range(10):
        assert service.app.get(f"/inner?x={n}").json() == 10 * n
    for n in range(-2, 10):
        try:
            inner.checked.remote(n).result()
        except ValueError:
            assert n < 0
    list(inner.options(stream=True).several.remote(3))

    assert meter.settled("Inner", 23) == (23, 2)
    assert meter.totals("Outer") == (10, 0)
    last = service.app.metrics().deployments
    assert list(last) == ["Outer", "Inner"]
    assert len(last["Inner"].replicas) == 2
    assert all(r.memory_bytes > 10**7 and r.cpu_percent >= 0 for r in last["Inner"].replicas)
    assert all(r.gpu_memory_bytes is None and r.gpu_percent is None for r in last["Inner"].replicas)


def test_a_batch_shows_its_size_and_wait(service: Any) -> None:
    """Four at once are a batch of four; the first of them wait in the queue."""
    meter = Meter("figures")
    answers = at_once(*[lambda n=n: service.app.get(f"/batch?x={n}").json() for n in range(4)])
    streams = at_once(*[lambda n=n: service.app.get(f"/stream?x={n}").text for n in range(2)])

    assert sorted(answers) == [[n, 4] for n in range(4)]
    assert sorted(streams) == ["a0b0c0", "a1b1c1"]
    assert meter.settled("Outer", 6) == (6, 0)
    sizes = [s.batch_size for s in meter.seen("Outer") if s.batch_size is not None]
    waits = [s.batch_wait_ms for s in meter.seen("Outer") if s.batch_wait_ms is not None]
    assert sizes and all(2 <= size <= 4.001 for size in sizes)
    assert waits and all(0 <= wait < 30_000 for wait in waits)


def test_a_request_that_waits_for_its_batch_is_queued(service: Any) -> None:
    """It shows while it waits, and no longer when its client has gone."""
    meter, answers = Meter("figures"), []
    ask = threading.Thread(target=lambda: answers.append(service.app.get("/batch?x=1").json()))
    ask.start()
    wait_for(lambda: meter.look() or any(s.queued == 1 for s in meter.seen("Outer")))
    assert meter.seen("Outer")[-1].ongoing >= 1
    at_once(*[lambda n=n: service.app.get(f"/batch?x={n}").json() for n in range(3)])
    ask.join()

    assert answers == [[1, 4]]
    assert meter.settled("Outer", 4) == (4, 0)
    assert (meter.seen("Outer")[-1].queued, meter.seen("Outer")[-1].ongoing) == (0, 0)


def test_figures_go_on_over_a_swap(service: Any) -> None:
    """The same counters before and after, and a queue that lives on is counted once."""
    meter = Meter("figures")
    service.app.get("/answer")
    service.deploy('PROMPT = "one"', 'PROMPT = "two"')
    assert service.app.get("/answer").json() == "two"
    at_once(*[lambda n=n: service.app.get(f"/batch?x={n}").json() for n in range(4)])
    service.deploy("[[x, len(xs)] for x in xs]", "[[-x, len(xs)] for x in xs]")
    at_once(*[lambda n=n: service.app.get(f"/batch?x={n}").json() for n in range(4)])

    assert meter.settled("Outer", 10) == (10, 0)
    seen = [s for s in meter.seen("Outer") if s.batch_size is not None]
    assert all(s.batch_size == pytest.approx(4) for s in seen)
    assert len({r.pid for s in meter.seen("Outer") for r in s.replicas}) == 1


def test_a_websocket_is_ongoing_and_no_request(service: Any) -> None:
    """It has no latency: it may stay open for hours."""
    meter = Meter("figures")
    with service.app.websocket("/ws") as socket:
        socket.send("hello")
        assert socket.recv() == "hello"
        wait_for(lambda: meter.look() or any(s.ongoing == 1 for s in meter.seen("Outer")))
    service.app.get("/answer")

    assert meter.settled("Outer", 1) == (1, 0)
    wait_for(lambda: meter.look() or meter.seen("Outer")[-1].ongoing == 0)


def test_a_request_that_waits_for_a_replica_is_queued(name: str, tmp_path: Path) -> None:
    """Serve's routers hold it back, so it is no replica's yet."""
    released = tmp_path / "released"

    @serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=1)
    class Narrow:
        async def __call__(self) -> str:
            while not released.exists():
                await asyncio.sleep(0.05)
            return "through"

    meter = Meter(workbench.deploy(Narrow, name=name).name)
    handle = workbench.connect(name).handle()
    responses = [handle.remote() for _ in range(4)]
    wait_for(lambda: meter.look() or any(s.queued == 3 for s in meter.seen("Narrow")))
    released.touch()

    assert [each.result() for each in responses] == ["through"] * 4
    assert meter.settled("Narrow", 4) == (4, 0)
    wait_for(lambda: meter.look() or meter.seen("Narrow")[-1].queued == 0)


def test_a_window_is_a_series(service: Any) -> None:
    """One sample per second, oldest first; longer than what is kept is refused."""
    series = service.app.metrics(window_s=5)
    times = [each.at_s for each in series]

    assert times == [times[0] + n for n in range(len(times))]
    assert 1 <= len(times) <= 5
    assert repr(series) == "series of metrics of figures: Outer, Inner"
    for window_s in (0, -1, LONGEST_S + 1, True):
        with pytest.raises(workbench.PlanError, match="window_s"):
            service.app.metrics(window_s=window_s)


def test_figures_end_with_the_application(name: str) -> None:
    """A deleted application has none, and a new one of that name begins with none."""

    @serve.deployment(ray_actor_options={"num_cpus": 0.1})
    class Short:
        def __call__(self) -> str:
            return "short"

    app = workbench.deploy(Short, name=name)
    first = app.metrics()
    assert first.deployments["Short"].requests_per_s == 0
    assert len(first.deployments["Short"].replicas) == 1
    workbench.delete(app.name)

    with pytest.raises(workbench.PlanError, match="no application"):
        app.metrics()
    assert Figures(name).read() == []
