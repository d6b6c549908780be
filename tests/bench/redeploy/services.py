"""The services that are measured: cells as a notebook has them, edited and run again."""

from __future__ import annotations

import itertools
import linecache
import time
from collections.abc import Callable
from typing import Any

from ray import serve

import workbench
from workbench.adapters import ray_serve

ANSWERING = """\
import asyncio
import os
import time

from fastapi import FastAPI
from ray import serve

api = FastAPI()


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(api)
class Answering:
    def __init__(self):
        self.state = 0

    @api.get("/answer")
    async def answer(self) -> dict:
        return {"revision": 0, "pid": os.getpid()}

    @api.get("/slow")
    async def slow(self) -> dict:
        began_ns = time.time_ns()
        await asyncio.sleep(2)
        return {"revision": 0, "pid": os.getpid(), "began_ns": began_ns}
"""
Edit = tuple[str, str]
NUMBERS = itertools.count(1)


class Cell:
    """A cell that defines a service: edited, it is run again in the same kernel.

    Args:
        source: text of the cell.
        target: name of what it defines.
        edits: changes that every run has, as pairs of old and new text.
    """

    def __init__(self, source: str, target: str, *edits: Edit) -> None:
        self._source, self._target = edited(source, edits), target
        self._namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(self, revision: int, *edits: Edit) -> Any:
        """Run the cell with its code answering `revision`; returns what it defines."""
        numbered = ('"revision": 0', f'"revision": {revision}')
        execute(edited(self._source, [numbered, *edits]), self._namespace)
        return self._namespace[self._target]


def edited(source: str, edits: Any) -> str:
    """Change a text as an editor would.

    Raises:
        ValueError: the old text is not there, so nothing would be measured.
    """
    for old, new in edits:
        if old not in source:
            raise ValueError(f"{old!r} is not in the cell")
        source = source.replace(old, new)
    return source


def execute(source: str, namespace: dict[str, Any]) -> None:
    """Run a cell as a kernel would, with its lines known to tracebacks."""
    name = f"<cell {next(NUMBERS)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec", dont_inherit=True), namespace)


def run_raw(target: Any, name: str) -> None:
    """Deploy by plain Serve, as one would without workbench."""
    bound = target if isinstance(target, serve.Application) else target.bind()
    serve.run(bound, name=name, route_prefix=f"/{name}")


def replicas(app: str) -> dict[str, set[int]]:
    """Process ids of the replicas that take requests, by deployment."""
    found = ray_serve.details()[app]["deployments"]
    return {
        name: {r["pid"] for r in each["replicas"] if r["state"] == "RUNNING"}
        for name, each in found.items()
    }


def kinds(target: Any, app: str) -> str:
    """What `deploy()` would do to each deployment."""
    return ", ".join(each.kind for each in workbench.plan(target, name=app).actions)


def wait_until(true: Callable[[], bool], timeout_s: float, what: str) -> float:
    """Seconds until something became true.

    Raises:
        TimeoutError: it did not.
    """
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > timeout_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - began


def delete_all() -> None:
    """Delete every application of the cluster, so that benches do not disturb one another."""
    for name in list(serve.status().applications):
        serve.delete(name)
