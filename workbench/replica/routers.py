"""Requests that wait in Serve's routers for a replica, as Ray's metrics tell them.

Routers live in proxies, callers and notebooks, and tell their queues to nobody but the metrics of
their node. Those are read only while somebody looks at figures, and every other second at most:
Ray writes out all of a node's metrics each time. They are as old as Ray makes them: a second on a
cluster that `workbench.start()` started, else up to ten.
"""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Iterable

import ray

from .series import KEPT_S

METRIC = "ray_serve_deployment_queued_queries"
LINE = re.compile(rf"^{METRIC}\{{(.*)\}} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
EVERY_S = 1.8  # a look takes Ray's agent about 60 ms of CPU time
SELDOM_S = 5.0  # between looks where no node answers in time
ANSWER_S = 1.0
Queues = dict[tuple[str, str], int]  # by application and deployment
Look = tuple[float, dict[str, int]]  # store's time, requests that wait by deployment


class Routers:
    """Looks at the routers' queues, and keeps what was seen for some minutes.

    Args:
        now: the store's time.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._task = now, asyncio.get_running_loop().create_future()
        self._task.set_result(None)
        self._seen: deque[tuple[float, Queues]] = deque()
        self._next_s = 0.0

    async def newer(self, app: str, after_s: float) -> list[Look]:
        """Look again when the last look is old, and give those that came after a moment."""
        if self._task.done() and self._now() >= self._next_s:
            self._next_s = self._now() + EVERY_S
            self._task = asyncio.ensure_future(self._look())
        await asyncio.wait([self._task], timeout=ANSWER_S)
        return [
            (at_s, {name: n for (of, name), n in queues.items() if of == app})
            for at_s, queues in self._seen
            if at_s > after_s
        ]

    async def _look(self) -> None:
        try:
            nodes = await asyncio.to_thread(_nodes)
            texts = await asyncio.gather(*(asyncio.to_thread(_text, *each) for each in nodes))
        except Exception:  # such as a cluster that goes down
            texts = []
        now = self._now()
        if not any(texts):
            self._next_s = now + SELDOM_S
            return
        self._seen.append((now, queues(texts)))
        while self._seen[0][0] < now - KEPT_S:
            self._seen.popleft()


def queues(texts: Iterable[str]) -> Queues:
    """Add the queues up that the metrics of some nodes tell."""
    found: Counter[tuple[str, str]] = Counter()
    for text in texts:
        for labels, value in LINE.findall(text):
            known = dict(LABEL.findall(labels))
            found[known.get("application", ""), known.get("deployment", "")] += int(float(value))
    return dict(found)


def _nodes() -> list[tuple[str, int]]:
    """Where each node tells its metrics; this one may tell them to this machine alone."""
    here = ray.get_runtime_context().get_node_id()
    return [
        (
            "127.0.0.1" if each["NodeID"] == here else each["NodeManagerAddress"],
            each["MetricsExportPort"],
        )
        for each in ray.nodes()
        if each["Alive"] and each.get("MetricsExportPort")
    ]


def _text(host: str, port: int) -> str:
    """A node's metrics in Prometheus's format, or ""."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy
    try:
        with direct.open(f"http://{host}:{port}/metrics", timeout=ANSWER_S) as reply:
            return str(reply.read().decode())
    except OSError:
        return ""  # a node that is just going, or that lets nobody in
