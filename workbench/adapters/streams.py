"""Answers that are read while they arrive."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

from workbench.errors import IngressError, PlanError

EVENTS = "text/event-stream"
LINES = ("application/x-ndjson", "application/jsonl")


class Stream:
    """An answer that is read while it arrives: an iterator, and a context manager that closes it.

    Server-sent events give their data, JSON lines give objects, other text gives pieces of text,
    and everything else bytes. The connection is closed at the end, by `close()`, and by leaving
    the context.

    Args:
        response: answer whose body was not read.
        broken: makes the error for an answer that breaks off.
    """

    def __init__(
        self,
        response: httpx.Response,
        broken: Callable[[httpx.Response, Exception], IngressError],
    ) -> None:
        self.response = response
        self._broken = broken
        self._left = False
        self._items = self._guarded(self._units())

    @property
    def media(self) -> str:
        """Media type of the answer, or ""."""
        kind: str = self.response.headers.get("content-type", "").partition(";")[0]
        return kind.strip().lower()

    @property
    def comes_in_pieces(self) -> bool:
        """Whether the answer is server-sent events or JSON lines."""
        return self.media == EVENTS or self.media in LINES

    def __repr__(self) -> str:
        return f"<stream of {self.media or 'bytes'} from {self.response.url}: iterate over it>"

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        return item.data if isinstance(item, ServerSentEvent) else item

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def events(self) -> Iterator[ServerSentEvent]:
        """The server-sent events that are still to come, whole: `event`, `data`, `id`, `retry`.

        Raises:
            PlanError: the answer is none of server-sent events.
        """
        if self.media != EVENTS:
            raise PlanError(
                f"{self.response.url} sends {self.media or 'bytes'}, not {EVENTS}",
                "iterate over the stream itself",
            )
        return self._items

    def read(self) -> Any:
        """The whole answer: JSON parsed, other text as str, else bytes; None when it is empty.

        Raises:
            IngressError: it broke off, or is not the JSON that it says it is.
        """
        content = self.read_bytes()
        if self.media == "application/json" or self.media.endswith("+json"):
            with self._guard():
                return json.loads(content) if content else None
        if self.media.startswith("text/"):
            return self.response.text
        return content or None

    def read_bytes(self) -> bytes:
        """The whole answer as it came.

        Raises:
            IngressError: it broke off.
        """
        with self._guard():
            return self.response.read()

    def close(self) -> None:
        """Close the connection; the iteration ends."""
        self._left = True
        self.response.close()

    def _units(self) -> Iterator[Any]:
        if self.media == EVENTS:
            yield from EventSource(self.response).iter_sse()
        elif self.media in LINES:
            yield from (json.loads(each) for each in _lines(self.response.iter_bytes()) if each)
        elif self.media.startswith("text/") or self.media == "application/json":
            yield from self.response.iter_text()
        else:
            yield from self.response.iter_bytes()

    def _guarded(self, items: Iterator[Any]) -> Iterator[Any]:
        try:
            with self._guard():
                for item in items:
                    yield item
                    if self._left:
                        return  # pieces that came along with this one are not wanted either
        except IngressError:
            if not self._left:  # after close() there is nothing more to read, which is no break
                raise

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (httpx.RequestError, httpx.StreamError, json.JSONDecodeError) as error:
            raise self._broken(self.response, error) from error
        finally:
            self.response.close()


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split at newlines alone: `str.splitlines` would split at characters that JSON may hold."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.strip() for line in whole)
    yield rest.strip()
