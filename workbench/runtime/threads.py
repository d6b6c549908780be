"""Daemon threads: begun with a name, and waited for; and work that no interrupt cuts short."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Go on to the end though the cell is interrupted; what follows can be interrupted again."""
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts come to the main thread alone
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
