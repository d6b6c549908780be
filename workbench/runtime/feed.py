"""What an application does, looked at once per second in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from workbench.core.charts import SECONDS
from workbench.core.knobs import Knobs
from workbench.core.metrics import Sample
from workbench.core.revision import Revisions
from workbench.core.status import AppStatus
from workbench.errors import WorkbenchError

from .threads import ended, in_background

PERIOD_S = 1.0
CALM_S = 4.5  # between two questions to Serve while nothing changes
NO_KNOBS, NO_REVISIONS = Knobs(), Revisions()


@dataclass(frozen=True)
class View:
    """An application at one moment.

    Attributes:
        at_s: seconds since the epoch.
        status: what Serve says, or None when it could not be asked.
        knobs: the knobs of every deployment.
        knobs_at_s: when they began to be read, on the monotonic clock.
        revisions: the history.
        samples: figures of the last two minutes, oldest first.
        problem: why something could not be read, or "".
    """

    at_s: float
    status: AppStatus | None = None
    knobs: Knobs = NO_KNOBS
    knobs_at_s: float = 0.0
    revisions: Revisions = NO_REVISIONS
    samples: tuple[Sample, ...] = ()
    problem: str = ""


class Beat:
    """Calls a function once per period in a daemon thread, and sooner when woken.

    Args:
        call: what is called; what it raises ends the thread, so it should raise nothing.
        period_s: seconds from one call's begin to the next.
        name: name of the thread.
    """

    def __init__(self, call: Callable[[], None], period_s: float, name: str) -> None:
        self._call, self._period_s = call, period_s
        self._woken, self._closed = threading.Event(), False
        self._thread = in_background(self._run, name)

    def wake(self) -> None:
        """Call soon, not at the end of the period."""
        self._woken.set()

    def close(self) -> None:
        """End the thread after the present call."""
        self._closed = True
        self._woken.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; returns whether it ended."""
        return ended(self._thread, timeout_s)

    def _run(self) -> None:
        while not self._closed:
            began_s = time.monotonic()
            self._woken.clear()
            self._call()
            self._woken.wait(max(0.0, began_s + self._period_s - time.monotonic()))


class Feed:
    """Looks at an application.

    Figures are read every time. Serve is asked every time while something is under way, when some
    kernel has written a revision or after `forget()`, and every `CALM_S` otherwise. Knobs and
    history are read when they may have changed.

    Args:
        app: the application; anything with its `stamp`, `status`, `tune` and `history`.
        figures: reads the samples that came since it last did; see `runtime.figures`.
    """

    def __init__(self, app: Any, figures: Callable[[], Iterable[Sample]]) -> None:
        self._app, self._figures = app, figures
        self._samples: deque[Sample] = deque(maxlen=SECONDS + 10)
        self._status: AppStatus | None = None
        self._knobs, self._revisions = NO_KNOBS, NO_REVISIONS
        self._status_at_s = self._knobs_at_s = 0.0
        self._seen: object = None
        self._stamp: object = None
        self._stale = threading.Event()
        self._stale.set()

    def forget(self) -> None:
        """Read everything again at the next look."""
        self._stale.set()

    def look(self) -> View:
        """Look now. Errors become a text, so that the next look may succeed."""
        problems = [*_tried(self._ask), *_tried(self._take)]
        return View(
            at_s=time.time(),
            status=self._status,
            knobs=self._knobs,
            knobs_at_s=self._knobs_at_s,
            revisions=self._revisions,
            samples=tuple(self._samples),
            problem="\n".join(dict.fromkeys(problems)),
        )

    def _take(self) -> None:
        self._samples.extend(self._figures())

    def _ask(self) -> None:
        now_s = time.monotonic()
        stamp = self._app.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._stale.set()
        calm = self._status is not None and _is_calm(self._status)
        if calm and not self._stale.is_set() and now_s - self._status_at_s < CALM_S:
            return
        self._status = None  # until it is known again
        stale = self._stale.is_set()
        self._stale.clear()  # before reading, so that a change meanwhile is not missed
        try:
            self._status = self._app.status()
            self._read(self._status, stale)
        except BaseException:
            self._stale.set()
            raise
        self._status_at_s = now_s

    def _read(self, status: AppStatus, stale: bool) -> None:
        now_s = time.monotonic()
        seen = (status.revision, status.state, tuple(each.revision for each in status.deployments))
        if stale or seen != self._seen:
            self._revisions = self._app.history()
            self._knobs, self._knobs_at_s = self._app.tune(), now_s
        self._seen = seen


def _is_calm(status: AppStatus) -> bool:
    """Whether nothing is under way."""
    return status.state == "RUNNING" and all(
        each.state == "HEALTHY" and each.replicas_running == each.replicas_target
        for each in status.deployments
    )


def _tried(call: Callable[[], None]) -> list[str]:
    """Call; what went wrong as a text."""
    try:
        call()
    except WorkbenchError as error:
        return [str(error)]
    except Exception as error:  # such as a connection to the cluster that broke
        return [f"{type(error).__name__}: {error}"]
    return []
