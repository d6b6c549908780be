"""Waiting for what other threads and processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], timeout_s: float = 20.0, every_s: float = 0.02) -> None:
    """Look again and again until something is true.

    Args:
        true: looks.
        timeout_s: seconds after which the test fails.
        every_s: seconds between two looks.
    """
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s, "it did not become true"
        time.sleep(every_s)
