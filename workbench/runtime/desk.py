"""Does what is wished in a panel: set a knob, go back to a revision, send a request."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from workbench.core.wishes import Wish

ROLLBACK, READ = "rollback", "read"
REDRAW_S = 0.25
KEPT = 4000  # newest pieces of an answer that comes in pieces


def changed(app: Any, wish: Wish) -> tuple[str, object]:
    """Set knobs of a deployment, or put an earlier revision back.

    Args:
        app: the application.
        wish: its topic names the deployment, or is ("", "rollback").

    Returns:
        What was done in words, and what `app.tune` returned.

    Raises:
        WorkbenchError: it was refused or undone.
    """
    began_s = time.monotonic()
    deployment, topic = wish.topic
    if topic == ROLLBACK:
        app.rollback(to=wish.values["to"])
        return f"back to revision {wish.values['to']}, {_ms(began_s)}", None
    done = app.tune(deployment, **wish.values)
    how = "" if done.kept_processes else ", new processes"
    notes = "".join(f"\n{note}" for note in done.notes)
    return f"{done.replicas}/{done.replicas}, {done.took_ms:.0f} ms{how}{notes}", done


def sent(app: Any, wish: Wish, so_far: Callable[[list[Any]], bool]) -> tuple[str, object]:
    """Send a request, or read which there are.

    Args:
        app: the application.
        wish: its topic is ("", "read"), or its values are the operation's name and arguments.
        so_far: is told the newest pieces of an answer that comes in pieces, a few times per
            second; says whether more are wanted.

    Returns:
        How long it took in words, and the answer, or the operations.

    Raises:
        WorkbenchError: an argument is wrong, or the service refused.
    """
    began_s = time.monotonic()
    if wish.topic[1] == READ:
        return "", app.operations()
    answer = getattr(app.call, wish.values["operation"])(**wish.values["arguments"])
    if not hasattr(answer, "events"):
        return f"answered in {_ms(began_s)}", answer
    first, pieces, told_s = "", deque[Any](maxlen=KEPT), 0.0
    for piece in answer:
        first = first or f", first piece after {_ms(began_s)}"
        pieces.append(piece)
        if time.monotonic() - told_s > REDRAW_S:
            told_s = time.monotonic()
            if not so_far(list(pieces)):
                answer.close()
                return f"stopped after {_ms(began_s)}{first}", list(pieces)
    return f"answered in {_ms(began_s)}{first}", list(pieces)


def _ms(began_s: float) -> str:
    return f"{(time.monotonic() - began_s) * 1e3:.0f} ms"
