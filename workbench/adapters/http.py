"""Querying an ingress with httpx and websockets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

from workbench.core.openapi import hint, operations
from workbench.errors import IngressError, PlanError
from workbench.replica import ids

from .operations import Operations
from .streams import Stream

SHOWN = 2000
CONNECT_TIMEOUT_S = 10.0
BROKEN = (httpx.RemoteProtocolError, httpx.NetworkError)
WHEN_SENDING = ("auth", "follow_redirects")  # httpx takes these apart from the request's own
GONE = "is the application deployed? workbench.apps() lists what runs"
SLOW = "give it longer with timeout=..., or see app.status() and app.logs()"
ASKED = ids.ASKED.decode()
BUSY = "every connection is in use: close streams that are not read to their end"


Checked = Callable[[httpx.Request, Callable[[], httpx.Response]], httpx.Response]


def no_traceback(request_id: str) -> str:
    """Knows no traceback."""
    return ""


class Client(httpx.Client):
    """An `httpx.Client` whose failures are told as `Ingress` tells them.

    Args:
        checked: sends a request by what it is given, and raises where that failed.
        **options: as in `httpx.Client`.
    """

    def __init__(self, checked: Checked, **options: Any) -> None:
        super().__init__(**options)
        self._checked = checked

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request.

        Raises:
            IngressError: nothing answered, or the answer is 5xx.
        """
        return self._checked(request, lambda: httpx.Client.send(self, request, **options))


class Ingress:
    """The ingress of one application. Threads may share it.

    Args:
        base_url: address with the route prefix, such as http://127.0.0.1:8000/rag.
        traceback_of: the replica's traceback for a request id, or "".
        timeout_s: seconds that one answer, or one piece of a stream, may take.
        headers: gives headers to send each time.
    """

    def __init__(
        self,
        base_url: str,
        *,
        traceback_of: Callable[[str], str] = no_traceback,
        timeout_s: float = 300.0,
        headers: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._traceback_of, self._headers = traceback_of, headers
        host = urlsplit(base_url).hostname or ""
        self._local = host in ("localhost", "::1") or host.startswith("127.")
        self.client = Client(
            self._checked,
            base_url=self.base_url,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            verify=base_url.startswith("https:"),  # reading the certificates takes 60 ms
            trust_env=not self._local,  # a proxy of the environment is not for this machine
            event_hooks={"request": [self._identify]},
        )
        self.call = Operations(self.document, self.stream)

    def _identify(self, request: httpx.Request) -> None:
        for name, value in {ASKED: uuid.uuid4().hex, **self._headers()}.items():
            request.headers.setdefault(name, value)

    def _checked(
        self, request: httpx.Request, send: Callable[[], httpx.Response]
    ) -> httpx.Response:
        if self.client.is_closed:
            raise IngressError(f"{self.base_url}: the client was closed", advice=GONE)
        try:
            response = send()
        except httpx.RequestError as error:
            raise self._unanswered(request, error) from error
        if response.status_code >= 500:
            Stream(response, self._broken).read_bytes()
            raise self._failed(response)
        return response

    def get(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send GET; see `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send POST; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send PUT; see `request`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send PATCH; see `request`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send DELETE; see `request`."""
        return self.request("DELETE", path, **options)

    def request(self, method: str, path: str = "/", **options: Any) -> httpx.Response:
        """Send one request; 4xx answers are returned.

        Args:
            method: HTTP verb.
            path: below the base address, with or without a leading slash.
            **options: as in `httpx.Client.request`.

        Raises:
            IngressError: nothing answered, or the answer is 5xx.
        """
        return self._sent(method, path, options)

    def stream(
        self, path: str = "/", *others: str, method: str | None = None, **options: Any
    ) -> Stream:
        """Send a request and iterate over its answer while it arrives.

        Args:
            path: below the base address, with or without a leading slash.
            *others: none; the verb does not come first.
            method: HTTP verb; by default POST when there is a body, else GET.
            **options: as in `httpx.Client.stream`.

        Raises:
            IngressError: a 4xx or 5xx answer; later, when the stream breaks.
            PlanError: it was called as `httpx.stream` is, with the verb first.
        """
        if others:
            raise PlanError(
                f"app.stream({path!r}, {others[0]!r}): it takes the path alone",
                f"app.client.stream({path!r}, {others[0]!r}) is httpx's own; "
                f"app.stream({others[0]!r}, method={path!r}) iterates over events and lines",
            )
        has_body = any(options.get(key) is not None for key in ("json", "data", "content", "files"))
        verb = method or ("POST" if has_body else "GET")
        response = self._sent(verb, path, options, stream=True)
        stream = Stream(response, self._broken)
        if response.status_code >= 400:
            stream.read_bytes()
            raise self._failed(response)
        return stream

    def websocket(self, path: str = "/", **options: Any) -> ClientConnection:
        """Open a websocket; a context manager with `send` and `recv`.

        Args:
            path: below the base address, with or without a leading slash.
            **options: as in `websockets.sync.client.connect`.

        Raises:
            IngressError: nothing answered, or the service refused.
        """
        url = f"ws{self.base_url.removeprefix('http')}/{path.lstrip('/')}"
        headers = {ASKED: uuid.uuid4().hex, **self._headers()}
        headers |= dict(options.pop("additional_headers", {}))
        if self._local:
            options.setdefault("proxy", None)  # as for HTTP
        try:
            connection: ClientConnection = open_websocket(
                url, additional_headers=headers, **options
            )
        except OSError as error:
            raise IngressError(f"nothing answers at {url}: {error}", advice=GONE) from error
        except WebSocketException as error:
            status = error.response.status_code if isinstance(error, InvalidStatus) else None
            reason = self._reason(headers[ASKED]) if status and status >= 500 else ""
            problem = f"{url} refused the websocket: {error}"
            raise IngressError(problem, status, reason=reason) from error
        return connection

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _sent(
        self, method: str, path: str, options: dict[str, Any], *, stream: bool = False
    ) -> httpx.Response:
        sending = {key: options.pop(key) for key in WHEN_SENDING if key in options}
        request = self.client.build_request(method, path, **options)
        return self.client.send(request, stream=stream, **sending)

    def document(self) -> Mapping[str, Any]:
        """The OpenAPI document.

        Raises:
            IngressError: the service does not describe itself, or does not answer.
        """
        response = self.request("GET", "/openapi.json")
        if response.status_code != 200 or "json" not in response.headers.get("content-type", ""):
            raise IngressError(
                f"{self.base_url}/openapi.json answered {response.status_code}",
                response.status_code,
                advice=GONE
                if _has_no_route(response)
                else "only FastAPI services describe themselves; use app.get() and app.post()",
            )
        found: Mapping[str, Any] = response.json()
        return found

    def _failed(self, response: httpx.Response) -> IngressError:
        request, status = response.request, response.status_code
        return IngressError(
            f"{request.method} {request.url} answered {status}",
            status,
            _shortened(_readable(response.text)),
            self._reason(_id(request)) if status >= 500 else "",
            self._hint(response) if status in (404, 405) else "",
        )

    def _hint(self, response: httpx.Response) -> str:
        """What may have been meant by a path that the service does not have."""
        if _has_no_route(response):
            return GONE
        path = f"/{str(response.url.path).removeprefix(urlsplit(self.base_url).path).lstrip('/')}"
        try:
            return hint(response.request.method, path, operations(self.document()))
        except IngressError:
            return ""  # a service that does not describe itself

    def _unanswered(self, request: httpx.Request, error: httpx.RequestError) -> IngressError:
        what = f"{request.method} {request.url}"
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return IngressError(f"nothing answers at {request.url}: {error}", advice=GONE)
        if isinstance(error, httpx.TimeoutException):
            seconds = request.extensions.get("timeout", {}).get("read")
            advice = BUSY if isinstance(error, httpx.PoolTimeout) else SLOW
            return IngressError(f"{what}: no answer within {seconds} s", advice=advice)
        reason = self._reason(_id(request)) if isinstance(error, BROKEN) else ""
        return IngressError(f"{what}: {type(error).__name__}: {error}", reason=reason)

    def _broken(self, response: httpx.Response, error: Exception) -> IngressError:
        request = response.request
        garbled = isinstance(error, json.JSONDecodeError)
        what = "sent what is not JSON" if garbled else "broke off"
        return IngressError(
            f"{request.method} {request.url}: the answer {what}: {error}",
            response.status_code,
            reason=self._reason(_id(request)),
            advice=SLOW if isinstance(error, httpx.TimeoutException) else "",
        )

    def _reason(self, request_id: str) -> str:
        try:
            return self._traceback_of(request_id)
        except Exception as error:  # of any kind: it must not hide the failure that it explains
            return f"(the replica's traceback could not be read: {type(error).__name__}: {error})"


def _has_no_route(response: httpx.Response) -> bool:
    """Whether Serve's proxy, not the application, answered that there is nothing here."""
    return response.status_code == 404 and "/-/routes" in response.text


def _readable(body: str) -> str:
    """FastAPI's detail without its JSON: `body.query: Field required`."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, TypeError, KeyError):
        return body
    if not isinstance(detail, list):
        return str(detail)
    return "\n".join(_complaint(each) for each in detail)


def _complaint(each: Any) -> str:
    if isinstance(each, dict) and isinstance(each.get("loc"), list) and "msg" in each:
        return f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
    return str(each)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _id(request: httpx.Request) -> str:
    return str(request.headers.get(ASKED, ""))
