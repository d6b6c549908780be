"""A pytest plugin, for FastAPI's tests: `TestClient(app)` sends its requests to the deployed app.

It stands in a folder of its own, without a package around it: FastAPI's tests are a package
`tests` too. `CONFORMANCE_RESULTS` names the file that the outcomes are appended to, and
`CONFORMANCE_MODE` is `baseline` (nothing is deployed), `auto`, or a `mode=` of `deploy()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpcore
import httpx
import httpx2
import pytest
from ray import serve
from starlette.applications import Starlette
from starlette.routing import Router
from starlette.testclient import TestClient
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import workbench
from workbench.replica.routes import places

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
MODE = os.environ["CONFORMANCE_MODE"]
NAME = "conformance"
OWN = ("docs_src", "tests")  # modules that are a user's: deployed as a notebook's cells are
OF_A_SERVER = (b"date", b"server", b"connection", b"keep-alive", b"transfer-encoding")
OF_A_HANDSHAKE = (b"host", b"connection", b"upgrade", b"sec-websocket-")
CLOSED_UNSEEN = 1006  # a websocket that is refused has no code: the client sees a status alone


class Service:
    """The one application that is deployed, exchanged for each that a test calls."""

    def __init__(self) -> None:
        self.test = ""
        self.reached: set[str] = set()
        self._shown: list[Any] = []
        self._lock = threading.Lock()

    def at(self, app: Any) -> Any:
        """Deploy an application as it is now, unless that is what runs; returns its URL."""
        with self._lock:
            self.reached.add(self.test)
            shown = [app, *_changeable(app)]  # held, so that no id is used again
            if list(map(id, shown)) != list(map(id, self._shown)):
                self._shown = []
                self._url = httpcore.URL(_deployed(_target(app)).url)
                self._shown = shown
            return self._url


SERVICE = Service()


class Served:
    """An ASGI application that hands everything on to the deployed one."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request by the deployed application's answer."""
        if scope["type"] == "lifespan":
            await _accept_lifespan(receive, send)
            return
        url = await anyio.to_thread.run_sync(SERVICE.at, self._app)
        target = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        if scope["type"] == "http":
            await _http(url, target, scope, receive, send)
        else:
            await _websocket(url, target, scope, receive, send)


async def _accept_lifespan(receive: Receive, send: Send) -> None:
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})


async def _http(url: Any, target: bytes, scope: Message, receive: Receive, send: Send) -> None:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    given = list(scope["headers"])
    if not any(name.lower() == b"host" for name, _ in given):
        given.append((b"host", b"testserver"))  # HTTP wants one
    asked = httpcore.Request(
        scope["method"],
        httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=target),
        headers=given,
        content=b"".join(parts),
    )
    async with httpcore.AsyncConnectionPool() as pool:
        answer = await pool.handle_async_request(asked)
        headers = [pair for pair in answer.headers if pair[0].lower() not in OF_A_SERVER]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for chunk in answer.aiter_stream():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await answer.aclose()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _websocket(url: Any, target: bytes, scope: Message, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    address = f"ws://{url.host.decode()}:{url.port}{target.decode()}"
    headers = [(n.decode(), v.decode()) for n, v in scope["headers"] if not _of_handshake(n)]
    protocols = scope.get("subprotocols") or None
    options: dict[str, Any] = {"compression": None, "user_agent_header": None, "proxy": None}
    try:
        socket = await connect(
            address, additional_headers=headers, subprotocols=protocols, **options
        )
    except InvalidStatus as refused:
        await _refuse(refused.response, send)
        return
    assert socket.response is not None
    given = [(n.lower().encode(), v.encode()) for n, v in socket.response.headers.raw_items()]
    headers = [pair for pair in given if not _of_handshake(pair[0]) and pair[0] not in OF_A_SERVER]
    await send({"type": "websocket.accept", "subprotocol": socket.subprotocol, "headers": headers})
    reading = asyncio.create_task(_read(socket, send))
    try:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                await socket.close(message.get("code") or 1000, message.get("reason") or "")
                break
            text = message.get("text")
            await socket.send(text if text is not None else message["bytes"])
    except ConnectionClosed:
        await reading
    finally:
        await asyncio.wait_for(reading, 10)


def _of_handshake(name: bytes) -> bool:
    return name.lower().startswith(OF_A_HANDSHAKE)


async def _refuse(response: Any, send: Send) -> None:
    if response.status_code == 403 and not response.body:
        await send({"type": "websocket.close", "code": CLOSED_UNSEEN, "reason": ""})
        return
    headers = [(n.lower().encode(), v.encode()) for n, v in response.headers.raw_items()]
    start = {"status": response.status_code, "headers": headers}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": response.body or b""})


async def _read(socket: Any, send: Send) -> None:
    try:
        while True:
            data = await socket.recv()
            key = "text" if isinstance(data, str) else "bytes"
            await send({"type": "websocket.send", key: data})
    except ConnectionClosed:
        closed = {"code": socket.close_code, "reason": socket.close_reason or ""}
        await send({"type": "websocket.close", **closed})


def _deployed(target: Any) -> Any:
    """Deploy as from a notebook's cells; what cannot be pickled, as imported from a module."""
    options: dict[str, Any] = {"name": NAME, "route_prefix": "/", "mode": MODE, "timeout_s": 60}
    try:
        with _hidden():
            return workbench.deploy(target, **options)
    except workbench.PlanError as error:
        if "cannot be sent" not in str(error):
            raise
        return workbench.deploy(target, **options)


def _target(app: Any) -> Any:
    """What `deploy()` is given: any other ASGI application goes in by Serve's own ingress."""
    if isinstance(app, Starlette | Router):
        return app
    return serve.deployment(serve.ingress(app)(type("Mounted", (), {}))).bind()


def _changeable(app: Any) -> list[Any]:
    """What a test may set on an application between two requests."""
    overrides = getattr(app, "dependency_overrides", None) or {}
    added = *(place.route for place in places(app)), *getattr(app, "user_middleware", ())
    handlers = getattr(app, "exception_handlers", None) or {}
    return [*overrides, *overrides.values(), *added, *handlers.values()]


@contextlib.contextmanager
def _hidden() -> Iterator[None]:
    """Nobody's modules, as those of a notebook: what stands in them is pickled by value."""
    own = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in OWN}
    for name in own:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(own)


def _serve_instead(cls: Any) -> None:
    """Have a class take what hands on to the deployed application for its first argument."""
    before = cls.__init__

    def __init__(self: Any, app: Any, *args: Any, **options: Any) -> None:
        before(self, app if isinstance(app, Served) else Served(app), *args, **options)

    cls.__init__ = __init__


def pytest_configure(config: pytest.Config) -> None:
    """Begin to serve."""
    if MODE != "baseline":
        for cls in (TestClient, httpx.ASGITransport, httpx2.ASGITransport):
            _serve_instead(cls)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test begins."""
    SERVICE.test = item.nodeid


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how it ended."""
    if report.when == "call" or report.outcome != "passed":
        row = {
            "id": report.nodeid,
            "outcome": report.outcome,
            "reached": report.nodeid in SERVICE.reached,
            "error": report.longreprtext[-3000:] if report.failed else "",
            "took_s": round(report.duration, 2),
        }
        with Path(os.environ["CONFORMANCE_RESULTS"]).open("a") as file:
            file.write(json.dumps(row) + "\n")


def pytest_sessionfinish() -> None:
    """Leave nothing behind."""
    if SERVICE.reached:
        workbench.delete(NAME)
