"""Daemon threads: begun with a name, and waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable


def in_background(work: Callable[[], None], name: str) -> threading.Thread:
    """Run `work` in a daemon thread of that name."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread, timeout_s: float) -> bool:
    """Wait for a thread's end, unless it is the caller's own; returns whether it ended."""
    if threading.current_thread() is not thread:
        thread.join(timeout_s)
    return not thread.is_alive()
