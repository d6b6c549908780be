"""Live figures of one application: one sample per second, read as often as one likes."""

from __future__ import annotations

import time

from workbench.adapters import ray_serve
from workbench.adapters.ray_store import CodeStore
from workbench.core.metrics import Sample, Series
from workbench.core.snapshots import PERIOD_S, Look, Snapshot, complete_until, samples
from workbench.errors import PlanError
from workbench.replica.series import KEPT_S

BEFORE_S = 10.0  # reports that count beside a sample's own: a busy replica may leave some out
LONGEST_S = KEPT_S - 2 * BEFORE_S
FIRST_S = 2.5
POLL_S = 0.1


class Figures:
    """Reads the samples of one application as they come; a read costs one question to the store.

    Args:
        app: application name.
        window_s: seconds of the past that the first read gives, one at least.
    """

    def __init__(self, app: str, window_s: float = PERIOD_S) -> None:
        self.app, self._window_s = app, max(window_s, PERIOD_S)
        self._store = CodeStore()
        self._after_s, self._given_s = -(self._window_s + BEFORE_S), 0.0
        self._reports: list[Snapshot] = []
        self._looks: list[Look] = []
        self._order: list[str] = []
        self._names: set[str] | None = None

    def read(self) -> list[Sample]:
        """The samples that became complete since the last read, oldest first.

        A sample is complete when all replicas that still report have reported, within about a
        second. There is none before a replica reports, and none of an application that is gone.

        Raises:
            ClusterError: the store does not answer.
        """
        new = self._store.figures(self.app, self._after_s)
        self._after_s = now_s = new.now_s
        self._reports += new.snapshots
        self._looks += new.looks
        self._look_at({each.deployment for each in self._reports})
        if not (self._reports or self._given_s) or not (self._reports or self._order):
            return []
        until_s = complete_until(self._reports, now_s)
        begin_s = self._begin_s(until_s)
        found = samples(self.app, self._reports, self._order, begin_s, until_s, self._looks)
        if found:
            self._given_s = found[-1].at_s
            oldest_s = self._given_s - BEFORE_S
            self._reports = [each for each in self._reports if each.at_s > oldest_s]
            self._looks = [each for each in self._looks if each.at_s > oldest_s]
        return found

    def _begin_s(self, until_s: float) -> float:
        if self._given_s:
            return self._given_s
        return max(until_s - self._window_s, min(each.at_s for each in self._reports))

    def _look_at(self, names: set[str]) -> None:
        """Learn the order of the deployments again when others report, or none does."""
        if names and names == self._names:
            return
        self._names = names
        self._order = order_of(ray_serve.details().get(self.app, {}))


def order_of(details: dict[str, object]) -> list[str]:
    """Names of an application's deployments in Serve's details, callers before callees."""
    found = details.get("deployments", {})
    return list(reversed(list(found))) if isinstance(found, dict) else []


def newest(app: str) -> Sample:
    """The newest sample. Just after a deploy it waits for the first; without one, all is 0."""
    found = _first(Figures(app))
    if found:
        return found[-1]
    now_s = float(int(time.time()))
    return samples(app, [], order_of(ray_serve.details().get(app, {})), now_s - 1, now_s)[0]


def recent(app: str, window_s: float) -> Series:
    """The samples of the last seconds; fewer when it began to run later.

    Raises:
        PlanError: the window is not positive, or longer than figures are kept.
    """
    if isinstance(window_s, bool) or not 0 < window_s <= LONGEST_S:
        raise PlanError(
            f"window_s={window_s!r} is no stretch of time for which figures are kept",
            f"such as 30: seconds, more than 0 and up to {LONGEST_S:g}",
        )
    return Series(_first(Figures(app, window_s)))


def _first(figures: Figures) -> list[Sample]:
    until = time.monotonic() + FIRST_S
    while not (found := figures.read()) and time.monotonic() < until:
        time.sleep(POLL_S)
    return found
