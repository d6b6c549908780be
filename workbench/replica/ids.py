"""Ids of requests: an application sees no header that its client did not send.

Serve gives every request an `x-request-id` and says it in the answer. In a replica that answers
HTTP itself Serve's middleware is left out. Where Serve's proxy answers, `middlewares` stands
around that one: it marks the ids that Serve makes, and takes them out of the answers.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
# RequestIdMiddleware: what Serve puts around every server; there is no option that leaves it out.
from ray.serve._private import http_util
from starlette.middleware import Middleware

# --- end of private names

ASKED = b"x-workbench-request"  # by this id a notebook asks for the traceback afterwards
SERVES = b"x-request-id"
MADE = b"workbench-"  # how an id begins that no client sent
ANSWERED = b"x-workbench-answered"  # a replica tells the proxy that the answer is an application's
SETTING = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
CALLBACK = "workbench.replica.ids:middlewares"
App = Callable[[Any, Any, Any], Awaitable[None]]


def taken_from(scope: Any, *, whole: bool = True) -> str:
    """The id by which a notebook asks for a request's traceback, taken out of its headers.

    Args:
        scope: of the request.
        whole: take out the id too that Serve's proxy made; without an application of its own, a
            class sees it as it does under plain Serve.
    """
    found, ours = "", False
    for name, value in scope.get("headers", ()):
        if name == ASKED:
            found, ours = value.decode("latin-1"), True
        elif whole and name == SERVES and value.startswith(MADE):
            ours = True
    if ours:
        scope["headers"] = [h for h in scope["headers"] if not _is_ours(h[0], h[1], whole)]
    return found


def _is_ours(name: bytes, value: bytes, whole: bool) -> bool:
    return name == ASKED or (whole and name == SERVES and value.startswith(MADE))


def announced(send: Any) -> Any:
    """Tell Serve's proxy that an answer is an application's, where it has our middleware."""
    if os.environ.get(SETTING) != CALLBACK:
        return send

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (ANSWERED, b"")]}
        await send(message)

    return sent


class Untouched:
    """Stands for Serve's middleware in a replica: hands requests on as they are.

    Args:
        app: what answers.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand a request on."""
        await self._app(scope, receive, send)


def install() -> None:
    """Have the server of this replica, which is still to start, hand requests on as they are."""
    http_util.RequestIdMiddleware = Untouched


class Around:
    """Stands around Serve's middleware in its proxy.

    Args:
        app: Serve's middleware, which takes an id that it finds and says it in the answer.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Mark an id that no client sent; answers of applications are as they made them."""
        if scope["type"] != "lifespan" and not any(n == SERVES for n, _ in scope["headers"]):
            made = MADE + uuid.uuid4().hex.encode()
            scope = {**scope, "headers": [*scope["headers"], (SERVES, made)]}

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _as_made(list(message["headers"]))}
            await send(message)

        await self._app(scope, receive, sent)


def _as_made(headers: list[Any]) -> list[Any]:
    if not any(name == ANSWERED for name, _ in headers):
        return headers
    last = max((n for n, (name, _) in enumerate(headers) if name.lower() == SERVES), default=None)
    return [h for n, h in enumerate(headers) if n != last and h[0] != ANSWERED]


def middlewares() -> list[Middleware]:
    """What Serve's proxy asks for when it starts."""
    return [Middleware(Around)]
