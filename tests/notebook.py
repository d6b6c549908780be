"""Cells without a notebook: text that is run as IPython runs it, and a client that never rests."""

from __future__ import annotations

import itertools
import linecache
import threading
import time
import types
from typing import Any

import httpx

NUMBERS = itertools.count(1)


class Notebook:
    """A namespace in which cells are run one after the other."""

    def __init__(self) -> None:
        self.module = types.ModuleType("__main__")
        self.names: dict[str, Any] = vars(self.module)

    def run(self, text: str) -> dict[str, Any]:
        """Run one cell; its code carries a file name of its own, as in IPython."""
        name = f"<cell {next(NUMBERS)}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec", dont_inherit=True), self.names)
        return self.names


class Load:
    """A client that asks all the time and remembers what it got."""

    def __init__(self, app: Any, path: str = "/answer", clients: int = 1) -> None:
        self._app, self._path, self._done = app, path, threading.Event()
        self.answers: list[tuple[float, int, Any]] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def _run(self) -> None:
        with httpx.Client(base_url=self._app.url, timeout=60) as client:
            while not self._done.is_set():
                began = time.monotonic()
                response = client.get(self._path)
                answer = response.json() if response.status_code == 200 else response.text
                self.answers.append((began, response.status_code, answer))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        time.sleep(0.3)
        self._done.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> list[Any]:
        """Answers that were not 200."""
        return [each for each in self.answers if each[1] != 200]

    def begun_after(self, moment: float) -> list[Any]:
        """Answers to requests that were sent after a moment of the monotonic clock."""
        return [answer for began, _, answer in self.answers if began > moment]
