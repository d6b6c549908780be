"""Querying an ingress with httpx and websockets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from httpx_sse import EventSource, ServerSentEvent
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

from workbench.errors import IngressError

from .operations import Operations

LINES = ("application/x-ndjson", "application/jsonl")
SHOWN = 2000
GONE = "is the application deployed? workbench.apps() lists what runs"


def no_traceback(request_id: str) -> str:
    """Knows no traceback."""
    return ""


class Ingress:
    """The ingress of one application.

    Args:
        base_url: address with the route prefix, such as http://127.0.0.1:8000/rag.
        traceback_of: the replica's traceback for a request id, or "".
        timeout_s: seconds that one answer may take.
    """

    def __init__(
        self,
        base_url: str,
        *,
        traceback_of: Callable[[str], str] = no_traceback,
        timeout_s: float = 300.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._traceback_of = traceback_of
        local = urlsplit(base_url).hostname in ("127.0.0.1", "localhost", "::1")
        self.client = httpx.Client(
            base_url=self.base_url,
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            trust_env=not local,  # a proxy of the environment is not for this machine
            event_hooks={"request": [_identify]},
        )
        self.call = Operations(self._document, self.stream)

    def get(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send GET; see `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send POST; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send PUT; see `request`."""
        return self.request("PUT", path, **options)

    def delete(self, path: str = "/", **options: Any) -> httpx.Response:
        """Send DELETE; see `request`."""
        return self.request("DELETE", path, **options)

    def request(self, method: str, path: str = "/", **options: Any) -> httpx.Response:
        """Send one request; 4xx answers are returned.

        Raises:
            IngressError: nothing answered, or the answer is 5xx.
        """
        response = self._sent(method, path, **options)
        if response.status_code >= 500:
            raise self._failed(response, response.text)
        return response

    def stream(self, path: str = "/", *, method: str | None = None, **options: Any) -> Stream:
        """Send a request and iterate over its answer while it arrives.

        Raises:
            IngressError: a 4xx or 5xx answer; later, when the stream breaks.
        """
        has_body = any(options.get(key) is not None for key in ("json", "data", "content", "files"))
        verb = method or ("POST" if has_body else "GET")
        request = self.client.build_request(verb, path, **options)
        try:
            response = self.client.send(request, stream=True)
        except httpx.TransportError as error:
            raise self._unanswered(request, error) from error
        if response.status_code >= 400:
            body = response.read().decode(errors="replace")
            response.close()
            raise self._failed(response, body)
        return Stream(response, lambda: self._traceback_of(_id(request)))

    def websocket(self, path: str = "/", **options: Any) -> ClientConnection:
        """Open a websocket; a context manager with `send` and `recv`.

        Raises:
            IngressError: nothing answered, or the service refused.
        """
        url = f"ws{self.base_url.removeprefix('http')}/{path.lstrip('/')}"
        try:
            connection: ClientConnection = open_websocket(url, **options)
        except OSError as error:
            raise IngressError(f"{url}: {error}", advice=GONE) from error
        except Exception as error:
            raise IngressError(f"{url} refused the websocket: {error}") from error
        return connection

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _sent(self, method: str, path: str, **options: Any) -> httpx.Response:
        request = self.client.build_request(method, path, **options)
        try:
            response = self.client.send(request)
        except httpx.TransportError as error:
            raise self._unanswered(request, error) from error
        if response.status_code >= 500:
            raise self._failed(response, response.text)
        return response

    def _document(self) -> Mapping[str, Any]:
        response = self._sent("GET", "/openapi.json")
        if response.status_code != 200 or "json" not in response.headers.get("content-type", ""):
            raise IngressError(
                f"{self.base_url}/openapi.json answered {response.status_code}",
                response.status_code,
                advice="only FastAPI services describe themselves; use app.get() and app.post()",
            )
        found: Mapping[str, Any] = response.json()
        return found

    def _failed(self, response: httpx.Response, body: str) -> IngressError:
        request = response.request
        return IngressError(
            f"{request.method} {request.url} answered {response.status_code}",
            response.status_code,
            _readable(body)[:SHOWN],
            self._traceback_of(_id(request)) if response.status_code >= 500 else "",
        )

    def _unanswered(self, request: httpx.Request, error: Exception) -> IngressError:
        reason = self._traceback_of(_id(request)) if isinstance(error, BROKEN) else ""
        return IngressError(
            f"{request.method} {request.url}: {type(error).__name__}: {error}",
            reason=reason,
            advice="" if reason else GONE,
        )


BROKEN = (httpx.RemoteProtocolError, httpx.ReadError)


class Stream:
    """An answer that is read while it arrives. Iterate over it once; closing it early is fine.

    Server-sent events give their data, JSON lines give objects, other text gives pieces of text,
    and everything else bytes.
    """

    def __init__(self, response: httpx.Response, reason: Callable[[], str]) -> None:
        self.response = response
        self._reason = reason
        self._items = self._guarded(self._read())

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def events(self) -> Iterator[ServerSentEvent]:
        """The server-sent events whole: `event`, `data`, `id`, `retry`."""
        return self._guarded(EventSource(self.response).iter_sse())

    def close(self) -> None:
        """Close the connection."""
        self.response.close()

    def _read(self) -> Iterator[Any]:
        kind = self.response.headers.get("content-type", "").partition(";")[0]
        if kind == "text/event-stream":
            yield from (event.data for event in EventSource(self.response).iter_sse())
        elif kind in LINES:
            yield from (json.loads(line) for line in self.response.iter_lines() if line)
        elif kind.startswith("text/") or kind == "application/json":
            yield from self.response.iter_text()
        else:
            yield from self.response.iter_bytes()

    def _guarded(self, items: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from items
        except httpx.TransportError as error:
            request = self.response.request
            raise IngressError(
                f"{request.method} {request.url}: the stream broke: {error}",
                self.response.status_code,
                reason=self._reason(),
            ) from error
        finally:
            self.close()


def _readable(body: str) -> str:
    """FastAPI's detail without its JSON: `body.query: Field required`."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, TypeError, KeyError):
        return body
    if not isinstance(detail, list):
        return str(detail)
    return "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in detail)


def _identify(request: httpx.Request) -> None:
    request.headers.setdefault("x-request-id", uuid.uuid4().hex)


def _id(request: httpx.Request) -> str:
    return str(request.headers.get("x-request-id", ""))
