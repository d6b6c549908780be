"""HTTP requests on their way between Serve's event loop and that of the user's code.

Behind HAProxy a replica answers HTTP itself. Serve's server runs on the replica's own event loop
and the user's code on another, so that a blocking model stops neither health checks nor swaps.
Serve hands every ASGI message of a request over by itself, with four tasks and two queues; here a
request that has come completely is handed over once, and its response once, when that is complete.
Whatever is not like that (websockets, large bodies, headers with which Serve has plans of its own)
goes Serve's way.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
import ray
from ray.serve._private import replica as serves
from ray.serve._private.constants import (
    SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
    SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
    SERVE_MULTIPLEXED_MODEL_ID,
    SERVE_SESSION_ID,
)
from ray.serve._private.tracing_utils import is_tracing_enabled

from .asgi import App, Message, Receive, Send
from .sockets import disguised

# --- end of private names

SMALL_BYTES = 65_536
KNOWN_ROUTES = 1000
NOTICE_S = 0.05  # how long a client may be gone before its request is cancelled
SERVES_OWN = ("/-/healthz", "/-/routes")
LEFT, LATE = 499, 408  # statuses, as Serve has them
SAID = {LEFT: "was cancelled: its client disconnected.", LATE: "timed out."}


def _spelled(*headers: str) -> frozenset[bytes]:
    """Headers as they may come: Serve takes dashes and underscores for the same."""
    names = {name.lower() for name in headers}
    return frozenset(n.replace(*pair).encode() for n in names for pair in (("-", "_"), ("_", "-")))


UNUSUAL = _spelled(
    "transfer-encoding",
    "expect",
    SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
    SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
    SERVE_MULTIPLEXED_MODEL_ID,
    SERVE_SESSION_ID,
)


class Direct:
    """Takes the place of `Replica._direct_ingress_asgi`.

    Args:
        replica: Serve's replica, whose user code runs on an event loop of its own.
    """

    def __init__(self, replica: Any) -> None:
        self._replica, self._serves_way = replica, replica._direct_ingress_asgi
        self._code = replica._user_callable_wrapper
        self._routes, self._watch = Routes(replica), Watch()
        first = serves.generate_request_id()
        self._ids = (f"{first}-{number}" for number in itertools.count())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; health checks and whatever else is special go Serve's way."""
        request_id, size = self._plain(scope)
        if scope["type"] == "websocket":
            receive = disguised(receive)
        if size > SMALL_BYTES:
            await self._serves_way(scope, receive, send)
            return
        body = await _complete(receive) if size else b""
        if body is None:
            return
        replica, prefix = self._replica, self._replica._route_prefix or ""
        scope["root_path"] = "" if prefix == "/" else prefix
        asked = serves.RequestMetadata(
            request_id=request_id or serves.generate_request_id(),
            internal_request_id=next(self._ids),
            call_method="__call__",
            route=self._routes.of(scope),
            app_name=replica._deployment_id.app_name,
            is_streaming=True,
            _request_protocol=serves.RequestProtocol.HTTP,
            _http_method=scope["method"],
            is_direct_ingress=True,
            _client=serves.format_client_address(scope.get("client")),
        )
        app = self._code.get_user_method_info("__call__").callable
        call = Call(app, scope, body, self._code.event_loop, receive)
        with replica._wrap_request(asked) as answered, replica._track_queued_request() as begun:
            self._watch.begin(call, replica._http_options.request_timeout_s)
            try:
                async with replica._start_request(asked):
                    begun()
                    await call.passed_on(send, answered)
            except asyncio.CancelledError:
                await call.give_up(send, answered, asked.request_id)
                raise
            finally:
                self._watch.end(call)

    def _plain(self, scope: Message) -> tuple[str, int]:
        """Id and size of a request that can be handed over; a size above the limit if it cannot."""
        no, replica = ("", SMALL_BYTES + 1), self._replica
        path, most = scope["path"], replica.max_queued_requests
        if scope["type"] != "http" or scope.get("root_path") or path in SERVES_OWN:
            return no
        if not path.startswith(replica._route_prefix or ""):
            return no
        if 0 <= most <= replica._num_queued_requests:
            return no
        request_id, size = b"", 0
        for name, value in scope["headers"]:
            if name in UNUSUAL:
                return no
            if name == b"content-length":
                size = int(value)
            elif name == b"x-request-id":
                request_id = value
        return request_id.decode("latin-1"), size


async def _complete(receive: Receive) -> bytes | None:
    """A whole body, or None when the client went away before it was sent."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


class Routes:
    """Names of routes for Serve's metrics, each looked up once.

    Args:
        replica: Serve's replica.
    """

    def __init__(self, replica: Any) -> None:
        self._replica, self._app = replica, None
        self._known: dict[tuple[str, str], str] = {}

    def of(self, scope: Message) -> str:
        """The name of the route that answers a request."""
        app = self._replica._user_callable_asgi_app.router
        if app is not self._app or len(self._known) > KNOWN_ROUTES:
            self._app, self._known = app, {}
        key = (scope["method"], scope["path"])
        if key not in self._known:
            self._known[key] = self._replica._determine_http_route(scope)
        return self._known[key]


class Watch:
    """Looks every now and then for requests whose client has gone, or whose time is over."""

    def __init__(self) -> None:
        self._calls: dict[Call, tuple[float, float | None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, call: Call, timeout_s: float | None) -> None:
        """Watch a request; it may take that many seconds."""
        now_s = time.monotonic()
        self._calls[call] = now_s + NOTICE_S, None if timeout_s is None else now_s + timeout_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(NOTICE_S, self._look)

    def end(self, call: Call) -> None:
        """The request has ended."""
        self._calls.pop(call, None)
        call.leave_alone()

    def _look(self) -> None:
        now_s, self._timer = time.monotonic(), None
        for call, (listen_s, late_s) in self._calls.items():
            if listen_s <= now_s:
                call.listen()
            if late_s is not None and late_s <= now_s:
                call.cancel(LATE)
        if self._calls:
            self._timer = asyncio.get_running_loop().call_later(NOTICE_S, self._look)


class Call:
    """One request in the user's code.

    Args:
        app: what answers it, on the user's event loop.
        scope: its ASGI scope.
        body: its body.
        theirs: the user's event loop.
        receive: tells, once the body has been read, when the client has gone.
    """

    def __init__(
        self,
        app: App,
        scope: Message,
        body: bytes,
        theirs: asyncio.AbstractEventLoop,
        receive: Receive,
    ) -> None:
        self._disconnected, self._status, self._answers = receive, 0, False
        self._server, self._over = asyncio.current_task(), False
        self._listening: asyncio.Task[None] | None = None
        self._app, self._scope, self._body, self._theirs = app, scope, body, theirs
        self._ours = asyncio.get_running_loop()
        self._news = self._ours.create_future()
        self._messages: deque[Message] = deque()
        self._task: asyncio.Task[None] | None = None
        self._ended = self._promised = self._asked = False
        self._looks = False  # whether the user's code asks by itself whether the client is there
        self._gone = asyncio.Event()  # of the user's event loop: nobody takes a response any more
        self._error: BaseException | None = None

    # --- on the replica's event loop

    async def passed_on(self, send: Send, answered: Callable[[str], None]) -> None:
        """Run the user's code; send what it answers, raise what it raises."""
        self._theirs.call_soon_threadsafe(self._begin)
        ended = False
        while not ended:
            await self._news
            ended = self._ended
            if not ended:
                self._news = self._ours.create_future()
            while self._messages:
                message = self._messages.popleft()
                if message["type"] == "http.response.start":
                    answered(str(message["status"]))
                self._answers = True
                await send(message)
                if _is_last(message):
                    self.leave_alone()  # its background tasks go on when the client leaves
        if self._error is not None:
            raise self._error

    def listen(self) -> None:
        """Notice from now on when the client goes."""
        if self._listening is None and not self._over:
            self._listening = self._ours.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._disconnected())["type"] != "http.disconnect":
            pass
        if self._looks:
            self._theirs.call_soon_threadsafe(self._gone.set)
        else:
            self.cancel(LEFT)

    def leave_alone(self) -> None:
        """Do not cancel it any more."""
        self._over = True
        if self._listening is not None:
            self._listening.cancel()

    def cancel(self, status: int) -> None:
        """End the request before its response is complete, with a status."""
        if not self._over and self._server is not None:
            self._over, self._status = True, status
            self._server.cancel()

    async def give_up(self, send: Send, answered: Callable[[str], None], request_id: str) -> None:
        """End the user's code; say why, where `cancel()` was the reason."""
        self._theirs.call_soon_threadsafe(self._cancel)  # after `_begin`, if that was called
        if not self._status:
            return
        if self._server is not None:
            self._server.uncancel()
        answered(str(self._status))
        if not self._answers:
            text = f"Request {request_id} {SAID[self._status]}"
            await serves.send_http_response(text, self._status, send)

    def _arrived(self) -> None:
        if not self._news.done():
            self._news.set_result(None)

    # --- on the user's event loop

    def _begin(self) -> None:
        self._task = self._theirs.create_task(self._run())

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as error:
            self._error = error
        self._ended = True
        self._hand_over()

    async def _send(self, message: Message) -> None:
        self._messages.append(message)
        if _is_last(message):
            self._gone.set()
        if not self._promised:  # what is sent in one go, with the end, is handed over in one go
            self._promised = True
            self._theirs.call_soon(self._keep_promise)

    def _keep_promise(self) -> None:
        self._promised = False
        if not self._ended:
            self._hand_over()

    def _hand_over(self) -> None:
        self._ours.call_soon_threadsafe(self._arrived)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked, self._looks = True, not self._body  # else it reads its body
            return {"type": "http.request", "body": self._body, "more_body": False}
        self._looks = True
        await self._gone.wait()
        return {"type": "http.disconnect"}


def _is_last(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)


def install() -> None:
    """Hand requests over in this way from now on, where this process is a replica behind HAProxy.

    Serve starts its server after the constructor of the user's code, and asks for this then.
    """
    worker = ray._private.worker.global_worker
    actor = worker.actors.get(worker.actor_id)
    replica = getattr(actor, "_replica_impl", None)
    if replica is None or is_tracing_enabled():
        return
    code = replica._user_callable_wrapper
    if code._run_user_code_in_separate_thread:
        replica._direct_ingress_asgi = Direct(replica)
