"""How a request gets from the replica's event loop to the user's and back, told from outside."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse
from ray import serve

import workbench
from tests import waiting
from workbench.replica.direct import SMALL_BYTES

pytestmark = pytest.mark.ray
until = partial(waiting.until, timeout_s=10.0)
SMALL = {"ray_actor_options": {"num_cpus": 0.1}}
api = FastAPI()


@serve.deployment(max_ongoing_requests=2, max_queued_requests=3, **SMALL)
@serve.ingress(api)
class Direct:
    def __init__(self) -> None:
        self.notes: list[str] = []

    @api.get("/notes")
    async def read(self) -> list[str]:
        return self.notes

    @api.post("/length")
    async def length(self, request: Request) -> int:
        return len(await request.body())

    @api.get("/later")
    async def later(self, tasks: BackgroundTasks) -> str:
        tasks.add_task(self.note_later)
        return "answered"

    async def note_later(self) -> None:
        await asyncio.sleep(3)
        self.notes.append("later")

    @api.get("/patient")
    async def patient(self) -> StreamingResponse:
        async def lines() -> Any:
            await asyncio.sleep(3)
            yield "a line"

        return StreamingResponse(lines(), headers={"x-early": "yes"})

    @api.get("/connected")
    async def connected(self, request: Request) -> bool:
        return not await request.is_disconnected()

    @api.get("/context/{item}")
    async def context(self, item: int) -> dict[str, Any]:
        here = serve.context._get_serve_request_context()
        return {"id": here.request_id, "route": here.route}

    @api.get("/sleep")
    async def sleep(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "slept"

    @api.get("/pid")
    async def pid(self) -> int:
        return os.getpid()

    @api.get("/leave")
    async def leave(self) -> str:
        raise SystemExit("a model's library may do this")


@pytest.fixture(scope="module")
def direct() -> Iterator[Any]:
    """The service, for all tests of this module."""
    app = workbench.deploy(Direct.bind(), name="direct")
    yield app
    workbench.delete(app.name)


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, 8 * SMALL_BYTES])
def test_bodies_of_every_size_arrive_whole(direct: Any, size: int) -> None:
    """Those that are handed over in one piece, and those that go Serve's way."""
    assert direct.post("/length", content=b"x" * size).json() == size


def test_a_chunked_body_arrives_whole(direct: Any) -> None:
    """Nobody knows its size before it ends."""
    assert direct.post("/length", content=iter([b"x" * 10] * 20)).json() == 200


def test_background_tasks_go_on_when_the_client_has_left(direct: Any) -> None:
    """The response comes before they end, and its connection is closed."""
    before = direct.get("/notes").json()
    began = time.monotonic()
    assert httpx.get(f"{direct.url}/later", headers={"connection": "close"}).json() == "answered"
    assert time.monotonic() - began < 2.5

    until(lambda: direct.get("/notes").json() == [*before, "later"])


def test_headers_come_before_a_body_that_takes_long(direct: Any) -> None:
    """As an event stream needs it."""
    began = time.monotonic()
    with httpx.stream("GET", f"{direct.url}/patient") as answer:
        assert answer.headers["x-early"] == "yes"
        assert time.monotonic() - began < 2.5
        assert answer.read() == b"a line"


def test_a_client_that_waits_is_connected(direct: Any) -> None:
    """`Request.is_disconnected` does not mistake the end of the body for the client's leaving."""
    assert direct.get("/connected").json() is True


def test_the_users_code_has_serves_context(direct: Any) -> None:
    """Ids of requests and names of routes, which calls of other deployments inherit."""
    found = direct.get("/context/7", headers={"x-request-id": "mine"}).json()

    assert found["id"] == "mine"
    assert found["route"] == "/direct/context/{item}"


def test_what_waits_for_a_slot_and_leaves_holds_none(direct: Any) -> None:
    """Two run, three wait, more are refused; who leaves makes room."""
    with ThreadPoolExecutor(5) as pool:
        for _ in range(5):
            pool.submit(httpx.get, f"{direct.url}/sleep?seconds=30", timeout=1.5)
            time.sleep(0.05)
        refused = httpx.get(f"{direct.url}/sleep?seconds=0")
        assert refused.status_code == 503

    until(lambda: httpx.get(f"{direct.url}/sleep?seconds=0").status_code == 200)


def test_code_that_would_leave_python_is_an_error_of_its_request(direct: Any) -> None:
    """The replica lives, and answers the next one."""
    pid = direct.get("/pid").json()
    assert httpx.get(f"{direct.url}/leave").status_code == 500
    assert direct.get("/pid").json() == pid
