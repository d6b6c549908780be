"""A client that goes: what the application hears of it, as under uvicorn."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

import workbench
from tests import waiting

pytestmark = pytest.mark.ray
FAST = os.environ.get("WORKBENCH_TEST_DATA_PATH", "auto") != "python"
BROKEN = {"disconnect 1005", "disconnect 1006"}  # uvicorn's, for a connection without a goodbye
until = partial(waiting.until, timeout_s=20.0)
api = FastAPI()
api.state.heard = {}


@api.get("/heard")
async def heard(request: Request) -> dict[str, Any]:
    """What every handler heard."""
    return request.app.state.heard  # type: ignore[no-any-return]


@api.websocket("/listen/{key}")
async def listen(socket: WebSocket, key: str) -> None:
    """Wait for messages until the client goes."""
    await socket.accept()
    await socket.send_text("ready")
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect as gone:
        socket.app.state.heard[key] = f"disconnect {gone.code}", time.time()


@api.websocket("/busy/{key}")
async def busy(socket: WebSocket, key: str) -> None:
    """Be busy while the client goes, and clean up in one's own time."""
    await socket.accept()
    await socket.send_text("ready")
    await asyncio.sleep(1.5)
    socket.app.state.heard[key] = "finished", time.time()


@api.get("/poll/{key}")
async def poll(request: Request, key: str) -> str:
    """Look every now and then whether the client is there."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.05)
    request.app.state.heard[key] = "disconnected", time.time()
    return key


@api.get("/stream/{key}")
async def stream(request: Request, key: str) -> StreamingResponse:
    """Stream until the client goes."""

    async def lines() -> AsyncIterator[str]:
        try:
            while True:
                yield "line\n"
                await asyncio.sleep(0.05)
        finally:
            request.app.state.heard[key] = "closed", time.time()

    return StreamingResponse(lines())


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    """The application, deployed."""
    yield workbench.deploy(
        api, name="disconnects", ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100
    )
    workbench.delete("disconnects")


def told_s(app: Any, went: dict[str, float]) -> dict[str, tuple[str, float]]:
    """What each handler heard, and how long after its client went, once all have heard."""
    until(lambda: set(went) <= set(app.get("/heard").json()))
    said = app.get("/heard").json()
    return {key: (said[key][0], said[key][1] - at) for key, at in went.items()}


@pytest.mark.parametrize("way", ["close", "vanish"])
def test_every_websocket_handler_is_told_within_a_second(app: Any, way: str) -> None:
    """50 of 50, whether the client says goodbye or its connection breaks."""
    went: dict[str, float] = {}
    for n in range(25):
        opened = app.websocket(f"/listen/{way}{n}")
        assert opened.recv() == "ready"
        went[f"{way}{n}"] = time.time()
        if way == "close":
            opened.close(4001)
        else:
            opened.socket.shutdown(socket.SHUT_RDWR)

    told = told_s(app, went)

    codes = {what for what, _ in told.values()}
    assert codes == {"disconnect 4001"} if way == "close" else codes <= BROKEN
    assert max(after for _, after in told.values()) < 1


def test_a_handler_that_does_not_listen_ends_in_its_own_time(app: Any) -> None:
    """Under uvicorn nothing is cancelled because a client went."""
    with app.websocket("/busy/b") as opened:
        opened.recv()
        went = {"b": time.time()}

    assert told_s(app, went)["b"][0] == "finished"


@pytest.mark.skipif(not FAST, reason="Serve's own proxy cancels the handler; see what-differs")
def test_a_handler_that_looks_sees_that_its_client_has_gone(app: Any) -> None:
    """`request.is_disconnected()` becomes true within a second."""
    went: dict[str, float] = {}
    for n in range(10):
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{app.url}/poll/p{n}", timeout=0.3, trust_env=False)
        went[f"p{n}"] = time.time()

    told = told_s(app, went)

    assert {what for what, _ in told.values()} == {"disconnected"}
    assert max(after for _, after in told.values()) < 1


def test_a_stream_is_closed_when_its_client_has_gone(app: Any) -> None:
    """Its generator ends, and what it holds is given back."""
    went: dict[str, float] = {}
    for n in range(10):
        with httpx.stream("GET", f"{app.url}/stream/s{n}", trust_env=False) as response:
            next(response.iter_lines())
        went[f"s{n}"] = time.time()

    assert max(after for _, after in told_s(app, went).values()) < 1


def test_a_client_that_breaks_off_while_it_sends_is_no_request(app: Any) -> None:
    """A body that never comes whole leaves nothing behind."""
    host = urlsplit(app.url)
    with socket.create_connection((host.hostname, host.port)) as opened:
        head = f"POST {host.path}/heard HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
        opened.sendall(head.encode())

    assert app.get("/heard").status_code == 200
