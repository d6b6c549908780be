"""Exact counters of one replica: requests, errors, latency, batches and what waits for them.

They only ever grow, so whoever reads them twice knows what happened in between, whatever was lost
on the way. Latency is a histogram in buckets of 5 %, which can be subtracted and added up.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from math import floor, log
from typing import Any, TypeVar

GROWTH = 1.05
PER_LOG = 1 / log(GROWTH)
SHORTEST_S = 1e-6
REMEMBERED = 1000
SERVES_OWN = frozenset(  # what Serve itself calls, every few seconds
    {
        "check_health",
        "record_autoscaling_stats",
        "record_replica_metadata",
        "record_routing_stats",
    }
)
T = TypeVar("T")
Send = Callable[[Any], Awaitable[None]]
# When a request ended on the performance counter, seconds it took, whether it failed, its status,
# and verb and path where it came over HTTP.
Row = tuple[float, float, bool, int, tuple[str, str] | None]
# When it ended in seconds since the epoch, verb, path, status, and seconds that it took.
Recent = tuple[float, str, str, int, float]


def bucket_of(seconds: float) -> int:
    """Number of the bucket that holds a latency; each is 5 % wider than the one before."""
    return floor(log(max(seconds, SHORTEST_S)) * PER_LOG)


def middle_ms(bucket: int) -> float:
    """Milliseconds in the middle of a bucket: within 2.5 % of everything in it."""
    return float(f"{GROWTH ** (bucket + 0.5) * 1000:.6g}")  # fewer digits travel


class Figures:
    """Counts what happens in one replica. Any thread may call it.

    A request leaves one row behind when it ends, which is counted when somebody looks.
    """

    def __init__(self) -> None:
        self.open: set[object] = set()  # requests and connections that go on
        self.ended: deque[Row] = deque()  # not counted yet
        self._recent: deque[Recent] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._requests = self._errors = 0
        self._latency: dict[int, int] = {}
        self._batches = self._batched = 0
        self._waited_s = 0.0
        self._queues: weakref.WeakSet[Queue] = weakref.WeakSet()

    def request(self) -> Counted:
        """A request begins; it ends with the `with` block, or with its complete response."""
        return Counted(self)

    def http(self, scope: Mapping[str, Any]) -> Counted:
        """A request over HTTP begins, given its ASGI scope; it is remembered."""
        return Counted(self, (scope["method"], scope["path"]))

    def counting(self, method: str) -> Callable[[], Counted | Uncounted]:
        """What begins each call of a method: `request`, or nothing for what Serve itself calls."""
        return Uncounted if method in SERVES_OWN else self.request

    def connection(self) -> Connection:
        """A websocket is open during the `with` block: ongoing, and nothing else."""
        return Connection(self)

    def queue(self) -> Queue:
        """A new queue of requests that wait for their batch; counted for as long as it is used."""
        made = Queue()
        with self._lock:
            self._queues.add(made)
        return made

    def batch(self, queue: Queue, size: int) -> None:
        """The first `size` requests of a queue became a batch."""
        waited_s = queue.take(size)
        with self._lock:
            self._batches += 1
            self._batched += size
            self._waited_s += waited_s

    def values(self) -> dict[str, Any]:
        """The counters now, fit for JSON."""
        with self._lock:
            self._count()
            return {
                "requests": self._requests,
                "errors": self._errors,
                "ongoing": len(self.open),
                "latency_ms": [[middle_ms(b), n] for b, n in sorted(self._latency.items())],
                "batches": self._batches,
                "batched": self._batched,
                "batch_wait_s": self._waited_s,
                "queued": sum(len(queue.since) for queue in self._queues),
            }

    def recent(self) -> list[Recent]:
        """The newest requests over HTTP, oldest first."""
        with self._lock:
            self._count()
            return list(self._recent)

    def ends(self, row: Row) -> None:
        """A request has ended."""
        self.ended.append(row)
        if len(self.ended) > REMEMBERED:  # nobody looks
            with self._lock:
                self._count()

    def _count(self) -> None:
        """Count what has ended."""
        to_epoch_s = time.time() - time.perf_counter()
        while self.ended:
            at_s, seconds, failed, status, asked = self.ended.popleft()
            bucket = bucket_of(seconds)
            self._requests += 1
            self._errors += failed
            self._latency[bucket] = self._latency.get(bucket, 0) + 1
            if asked is not None:
                self._recent.append((at_s + to_epoch_s, *asked, status, seconds))


class Queue:
    """Requests that wait for their batch.

    Attributes:
        since: the moment on the monotonic clock when each came, in that order.
    """

    def __init__(self) -> None:
        self.since: dict[object, float] = {}

    def join(self) -> object:
        """A request waits from now on."""
        request = object()
        self.since[request] = time.monotonic()
        return request

    def leave(self, request: object) -> None:
        """It waits no longer: it was cancelled, refused, or is in a batch already."""
        self.since.pop(request, None)

    def take(self, size: int) -> float:
        """Take the first `size` out; returns the seconds that they waited, added up."""
        now = time.monotonic()
        first = list(itertools.islice(self.since, size))
        return sum(now - self.since.pop(request, now) for request in first)


class Uncounted:
    """A call that is no request."""

    __slots__ = ()

    def __enter__(self) -> Uncounted:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def answer(self, value: T) -> T:
        """The same value."""
        return value


class Connection:
    """A websocket, open during the `with` block."""

    __slots__ = ("_figures",)

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        figures.open.add(self)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exception: object) -> None:
        self._figures.open.discard(self)

    def watched(self, send: T) -> T:
        """As it is: a websocket has no response."""
        return send


class Counted:
    """A request, counted once: when its response is complete, at the latest with the block.

    What is cancelled has ended without an error.
    """

    __slots__ = ("_asked", "_began_s", "_failed", "_figures", "_send", "_status")

    def __init__(self, figures: Figures, asked: tuple[str, str] | None = None) -> None:
        self._figures, self._asked = figures, asked
        self._status, self._failed = 0, False
        figures.open.add(self)
        self._began_s = time.perf_counter()

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self in self._figures.open:
            self._failed |= kind is not None and issubclass(kind, Exception)
            self._end()

    def answer(self, value: T) -> T:
        """The same value; a response of status 500 or above is an error."""
        status = getattr(value, "status_code", None)
        self._failed = isinstance(status, int) and status >= 500
        return value

    def watched(self, send: Send) -> Send:
        """An ASGI `send` that ends the request with the last part of its response.

        The client knows the end no sooner than we do, and background tasks are no latency.
        """
        self._send = send
        return self._watch

    def _watch(self, message: Any) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            self._failed = self._status >= 500
        elif (
            kind == "http.response.body"
            and not message.get("more_body")
            and self in self._figures.open
        ):
            self._end()
        return self._send(message)

    def _end(self) -> None:
        figures, now_s = self._figures, time.perf_counter()
        figures.open.discard(self)
        figures.ends((now_s, now_s - self._began_s, self._failed, self._status, self._asked))
