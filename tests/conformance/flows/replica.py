"""A process that plays a replica: the real code that takes packages up, without Ray around it.

A server that has imported everything forks a child for each service, so that every service begins
in a state as fresh as a new replica's, within milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import httpx

from workbench.adapters import ray_serve
from workbench.core.fingerprint import Fingerprint
from workbench.core.graph import Node
from workbench.replica import live as lives
from workbench.replica import package as packages

from .book import Flow, opened
from .rungs import graph

KEY = b"workbench"


class Replica:
    """One service, or one kernel, in a process of its own. Use it as a context manager.

    Args:
        server: address of the server that forks.
    """

    def __init__(self, server: str) -> None:
        self._line: Connection = Client(server, authkey=KEY)

    def __enter__(self) -> Replica:
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.close()

    def pack(self, flow: Flow) -> tuple[bytes, Fingerprint]:
        """Run all cells of a notebook in this process, as a new kernel does, and pack it."""
        blob, made_of = self._do("pack", flow)
        return blob, made_of

    def make(self, package: bytes) -> None:
        """Start with this code, as a new process does."""
        self._do("make", package)

    def follow(self, package: bytes) -> None:
        """Take over with this code, as a live process does at a swap."""
        self._do("follow", package)

    def ask(self, request: str) -> Any:
        """The answer to a request; see `Flow.asks`."""
        return self._do("ask", request)

    def _do(self, *what: Any) -> Any:
        self._line.send(what)
        good, answer = self._line.recv()
        if not good:
            raise AssertionError(f"{what[0]} failed in the replica:\n{answer}")
        return answer


def shipped(node: Node) -> bytes:
    """The package of a deployment as replicas get it."""
    return ray_serve.pickled(ray_serve.package_of(node, "flow", 1, "v"))


class Server:
    """The server, as a context manager that gives its address."""

    def __enter__(self) -> str:
        self._folder = tempfile.mkdtemp(prefix="workbench-flows-")
        address = f"{self._folder}/socket"
        code = f"from {__name__} import serve_forever; serve_forever({address!r})"
        self._process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the server did not start"
        return address

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.communicate()
        Path(self._folder, "socket").unlink(missing_ok=True)
        Path(self._folder).rmdir()


def serve_forever(address: str) -> None:
    """Fork a child per connection. It is `__main__`'s only code, as empty as a replica's."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps them
    with Listener(address, authkey=KEY) as listener:
        print("ready", flush=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads what services print
        while True:
            line = listener.accept()
            if os.fork() == 0:
                listener._listener._socket.close()  # type: ignore[attr-defined]  # the parent's
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                with contextlib.suppress(EOFError, ConnectionError):
                    asyncio.run(_play(line))
                os._exit(0)
            line.close()


async def _play(line: Connection) -> None:
    place = lives.Place([], lambda app: None)
    live: lives.Live | None = None
    while True:
        what, value = await asyncio.to_thread(line.recv)
        try:
            answer = None
            if what == "pack":
                answer = _packed(value)
            elif what == "make":
                live = await lives.made(packages.unpickled(value), place)
            elif what == "follow":
                assert live is not None
                live = await _followed(live, packages.unpickled(value), place)
            else:
                answer = await _answer(live, value)
            line.send((True, answer))
        except BaseException as error:
            line.send((False, "".join(traceback.format_exception(error))))


def _packed(flow: Flow) -> tuple[bytes, Fingerprint]:
    with opened(flow, Path.cwd()) as book:
        node = graph(book.target()).ingress
    return shipped(node), node.fingerprint


async def _followed(old: lives.Live, package: packages.Package, place: lives.Place) -> lives.Live:
    """As a host does it: prepared in the thread of its link, then exchanged."""
    new = await asyncio.to_thread(lambda: asyncio.run(lives.following(old, package, place)))
    lives.hand_variables_over(old, new)
    lives.set_knobs(new, old)
    return new


async def _answer(live: Any, request: str) -> Any:
    how, path, *body = request.split(" ", 2)
    if how == "call":
        target = live.target if path == "__call__" else getattr(live.target, path)
        outcome = target(*json.loads(body[0] if body else "[]"))
        return await outcome if inspect.isawaitable(outcome) else outcome
    transport = httpx.ASGITransport(live.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        json_body = {"json": json.loads(body[0])} if body else {}
        response = await client.request(how, path, **json_body)
    return read_answer(response)


def read_answer(response: httpx.Response) -> Any:
    """What is compared of an answer: its JSON, else its text, with a status that is not 200."""
    try:
        content = response.json()
    except ValueError:
        content = response.text
    return content if response.status_code == 200 else [response.status_code, content]
