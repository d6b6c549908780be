"""Threads that OpenMP keeps for the thread that ran the constructor.

A model that is loaded in one thread and called in another, as all that a replica runs beside its
event loop is, would have a team of OpenMP's threads in each. With more of them than processors
libgomp puts them to sleep between any two operations: a small model then takes a quarter longer.
"""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

MAPS = Path("/proc/self/maps")
SOFT = 1  # omp_pause_soft: what was set is kept


def release_team() -> None:
    """Give back what the libgomp of PyTorch and others keeps for this thread; it starts anew."""
    for library in _libraries():
        with contextlib.suppress(OSError, AttributeError):  # before GCC 9 there was no such call
            ctypes.CDLL(library).omp_pause_resource_all(SOFT)


def _libraries() -> set[str]:
    try:
        mapped = [line.split(maxsplit=5)[5:] for line in MAPS.read_text().splitlines()]
    except OSError:
        return set()  # not Linux
    return {path for [path] in filter(None, mapped) if Path(path).name.startswith("libgomp")}
