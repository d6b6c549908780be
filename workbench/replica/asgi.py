"""The ASGI application that a replica shows to Serve. It delegates to the current one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from . import bodies, ids
from .failures import Failures, traceback_text
from .figures import Figures
from .keys import admits, refuse
from .sockets import revealed

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
PREFIX = re.compile(r"(/[\w.~@%-]+)+", re.ASCII)  # it is written into pages, so nothing else


class Lifespan:
    """Runs the start-up and shut-down of one ASGI application.

    Source:
        The ASGI lifespan protocol. An application that refuses it has none, as in Starlette's
        own test client.
    """

    def __init__(self, app: App) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._running = False

    async def startup(self) -> None:
        """Start the application up.

        Raises:
            RuntimeError: its start-up failed; the text is its traceback.
        """
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("lifespan.startup")
        self._running = answer["type"] == "lifespan.startup.complete"
        if answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"lifespan start-up failed\n{answer.get('message', '')}")

    async def shutdown(self) -> None:
        """Shut the application down. Harmless when it never started."""
        if self._running:
            self._running = False
            await self._ask("lifespan.shutdown")

    async def _ask(self, kind: str) -> Message:
        await self._inbox.put({"type": kind})
        return await self._outbox.get()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        started = False

        async def send(message: Message) -> None:
            nonlocal started
            started = True
            await self._outbox.put(message)

        try:
            await self._app({**scope, "state": self.state}, self._inbox.get, send)
        except (AssertionError, KeyError, NotImplementedError, ValueError, TypeError) as error:
            # The ways in which applications say that they know no lifespan protocol.
            kind = "lifespan.unsupported" if not _has_lifespan(self._app) else FAILED
            await self._outbox.put({"type": kind, "message": traceback_text(error)})
        except BaseException as error:
            await self._outbox.put({"type": FAILED, "message": traceback_text(error)})
            if not isinstance(error, Exception):
                raise
        else:
            if not started:
                await self._outbox.put({"type": "lifespan.unsupported"})


FAILED = "lifespan.startup.failed"


def _has_lifespan(app: Any) -> bool:
    return hasattr(app, "router")  # Starlette and FastAPI always speak the protocol


class Ingress:
    """Delegates every request to the current application and remembers what failed.

    A request keeps the application that it began with, so the current one can be exchanged by one
    attribute write while requests are in flight.

    Args:
        failures: where tracebacks are kept.
        current: gives the current application, its start-up and the digest of the key that it
            asks for, or "".
        handlers: exception handlers that every application is to have; Serve adds its own.
        figures: where requests are counted.
    """

    def __init__(
        self,
        failures: Failures,
        current: Callable[[], tuple[Any, Lifespan, str]],
        handlers: list[tuple[Any, Any]],
        figures: Figures,
    ) -> None:
        self._failures, self._current, self._handlers = failures, current, handlers
        self._figures = figures

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or Serve's own lifespan."""
        if scope["type"] == "lifespan":
            await self._answer_lifespan(receive, send)
            return
        app, lifespan, key_digest = self._current()
        asked, send = ids.taken_from(scope), ids.announced(send)
        if scope["type"] == "websocket":
            receive = revealed(receive)
        if not admits(key_digest, scope["headers"]):
            app = refuse
        elif scope.get("method", "GET") != "GET":
            size = bodies.declared(scope["headers"])
            if size is None:
                receive = bodies.counted(receive)
            elif size > bodies.LIMIT_BYTES:
                app = bodies.refuse
        if lifespan.state:
            scope["state"] = {**lifespan.state, **scope.get("state", {})}
        scope = under_prefix(scope)
        if scope["path"] == scope.get("root_path"):
            scope["path"] += "/"  # the prefix itself is the root, without a redirect
        of_http = scope["type"] == "http"
        with self._figures.http(scope) if of_http else self._figures.connection() as counted:
            try:
                await app(scope, receive, counted.watched(send))
            except Exception as error:
                self._failures.record(asked, error)
                raise

    async def _answer_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._current()[1].shutdown()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    def add_exception_handler(self, error: Any, handler: Any) -> None:
        """Serve adds its own handlers (busy, unavailable) here; later applications get them too."""
        self._handlers.append((error, handler))
        add_handler(self._current()[0], error, handler)

    @property
    def routes(self) -> list[Any]:
        """Routes of the current application; Serve labels its metrics with them."""
        return list(getattr(self._current()[0], "routes", []))

    @property
    def router(self) -> Any:
        """Router of the current application, as Serve looks for it."""
        return getattr(self._current()[0], "router", self)


def under_prefix(scope: Message) -> Message:
    """A request as its client sees it, below the path of the Jupyter server that passed it on.

    FastAPI's documentation then finds its document through that server too.
    """
    prefix = _header(scope, b"x-forwarded-context")
    if not PREFIX.fullmatch(prefix):
        return scope
    path, root = prefix + scope["path"], prefix + scope.get("root_path", "")
    return {**scope, "path": path, "root_path": root}


def _header(scope: Message, name: bytes) -> str:
    for key, value in scope.get("headers", ()):
        if key == name:  # servers give them in lower case
            return str(value.decode("latin-1"))
    return ""


def add_handler(app: Any, error: Any, handler: Any) -> None:
    """Have an application answer an error by a handler, unless it has one of its own."""
    known = getattr(app, "exception_handlers", {})
    if hasattr(app, "add_exception_handler") and error not in known:
        app.middleware_stack = None  # it is built at the first request; a handler must come before
        app.add_exception_handler(error, handler)
