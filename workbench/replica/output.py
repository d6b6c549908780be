"""What a replica writes, marked where it is written: when, and whether Ray Serve wrote it.

Serve logs into the same stderr as the user's code, and a line of `print()` carries no time. So a
line with a mark stands before what is written: `app.logs()` shows the user's lines alone, those of
all replicas in the order in which they were written, and takes the marks out. What a subprocess or
a C library writes past Python counts as the user's, and as of the time of the mark before it.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from pathlib import Path
from typing import Any

import ray

MARK = ":workbench_log:"  # Ray's own marks, such as ":actor_name:", look alike
USER, SERVE, SERVE_END = "user", "serve", "serve_end"
EVERY_S = 0.001  # lines of one millisecond need one mark
LOGGER = "ray.serve"
RAY = str(Path(ray.__file__).parent)


def install() -> None:
    """Mark what this process writes from now on. A second call changes nothing."""
    if isinstance(sys.stdout, Marked):
        return
    sys.stdout, sys.stderr = Marked(sys.stdout), Marked(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.write(_mark(SERVE_END) + "\n")  # what stands before was Ray's
    serves = logging.getLogger(LOGGER)
    _mark_records(serves)
    serves.addFilter(lambda record: _mark_records(serves))  # it may be configured anew


class Marked(io.TextIOWrapper):
    """Writes where another stream writes, with the time before each line."""

    def __init__(self, stream: Any) -> None:
        options = {"encoding": stream.encoding, "errors": stream.errors}
        super().__init__(stream.buffer, **options, line_buffering=True, write_through=True)
        self._stream = stream  # it would close the file, were it let go
        self._at_start, self._marked_s = True, 0.0

    def write(self, text: str) -> int:
        """Write, after a mark at the start of a line."""
        mark, now_s = "", time.time()
        if self._at_start and now_s - self._marked_s >= EVERY_S:
            mark, self._marked_s = _mark(USER) + "\n", now_s
        if text:
            self._at_start = text.endswith("\n")
        super().write(mark + text)
        return len(text)


class _Records(logging.Formatter):
    """Puts marks around the records that Serve itself logs."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        text = self._inner.format(record)
        if is_users(record):
            return f"{_mark(USER)}\n{text}"
        return f"{_mark(SERVE)}\n{text}\n{_mark(SERVE_END)}"


def is_users(record: logging.LogRecord) -> bool:
    """Whether the user's code logged it, by Serve's logger, or it carries an error of that code."""
    return bool(record.exc_info) or not record.pathname.startswith(RAY)


def _mark_records(logger: logging.Logger) -> bool:
    for handler in logger.handlers:
        to_file = isinstance(handler, logging.FileHandler)
        known = to_file or isinstance(handler.formatter, _Records)
        if isinstance(handler, logging.StreamHandler) and not known:
            handler.setFormatter(_Records(handler.formatter))
    return True


def _mark(kind: str) -> str:
    return f"{MARK}{time.time():.6f}:{kind}"
