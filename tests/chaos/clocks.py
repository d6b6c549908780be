"""A machine whose clock is set while it serves."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Load, failed

from .common import NAME, QUIET_S, answers, asked, deploy, deployed, healthy, url

SHIFT_S = 40.0  # longer than the patience of a health check, of a lease, of an HAProxy's reload
EACH_S = 8.0
PROBE_EVERY_S = 0.02


def clock(bench: Bench) -> None:
    """The clock is set on and back, and back and on, while the service is changed.

    This machine's own clock, for half a minute: that is why it runs only when it is named. Serve
    gives a reload of HAProxy up when the clock is set on in its middle, and kills it.

    Raises:
        PermissionError: this process may not set it.
    """
    cell, numbers, took_s = deployed(), itertools.count(1), []
    with Load(url(bench)) as load, _longest_away_s(bench) as away_s, _shifted() as shift:
        for to_s in (SHIFT_S, 0.0, -SHIFT_S, 0.0):
            shift(to_s)
            until_s, mode = time.monotonic() + EACH_S, "replace"
            while time.monotonic() < until_s:
                began_s, number = time.monotonic(), next(numbers)
                deploy(cell, number, mode=mode)
                workbench.connect(NAME).tune("Answering", max_ongoing_requests=5 + number % 9)
                took_s.append(time.monotonic() - began_s)
                mode = "auto"
        time.sleep(QUIET_S)
    bench.figure("clock set: failed", len(failed(load.answers)), "requests", **asked(load))
    bench.figure("clock set: longest without an answer", max(away_s), "s", "<= 2")
    last = {each.revision for each in load.answers[-8:] if each.ok}
    bench.figure("clock set: the last deploy serves", last == {number}, "", "== 1")
    bench.figure("clock set: slowest change", max(took_s), "s", "<= 60", made=len(took_s))
    bench.figure("clock set: healthy afterwards", healthy(), "", "== 1")


@contextlib.contextmanager
def _longest_away_s(bench: Bench) -> Iterator[list[float]]:
    """Gives the seconds between any two answers, by a clock that nobody sets."""
    gaps_s, ended, last_s = [0.0], threading.Event(), time.monotonic()

    def probe() -> None:
        nonlocal last_s
        while not ended.wait(PROBE_EVERY_S):
            if answers(bench):
                gaps_s.append(time.monotonic() - last_s)
                last_s = time.monotonic()

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield gaps_s
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _shifted() -> Iterator[Callable[[float], None]]:
    """Gives what sets the clock to so many seconds off; it is right again afterwards."""
    off_s = 0.0

    def shift(to_s: float) -> None:
        nonlocal off_s
        time.clock_settime(time.CLOCK_REALTIME, time.time() + to_s - off_s)
        off_s = to_s

    try:
        yield shift
    finally:
        shift(0.0)
