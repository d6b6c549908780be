"""OpenMP's threads: no more than there are cores, and none kept for the constructor's thread.

Ray lets a replica compute with as many threads as the CPUs that it books. Logical CPUs may be more
than there are cores, and threads beyond the cores make a model many times slower.

A model that is loaded in one thread and called in another, as all that a replica runs beside its
event loop is, would have a team of OpenMP's threads in each. With more of them than processors
libgomp puts them to sleep between any two operations: a small model then takes a quarter longer.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
from pathlib import Path

import ray

MAPS = Path("/proc/self/maps")
THREADS = "OMP_NUM_THREADS"
SOFT = 1  # omp_pause_soft: what was set is kept


def limit_threads() -> None:
    """Hold what Ray derived from the booked CPUs to the cores. Call it before PyTorch is loaded.

    What the user has set, by `runtime_env`, stays.
    """
    booked = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    cores = _cores()
    if booked > cores and os.environ.get(THREADS) == str(math.floor(booked)):
        os.environ[THREADS] = str(cores)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


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
