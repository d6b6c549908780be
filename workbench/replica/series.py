"""The figures of the last minutes, kept in the store as the replicas sent them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

KEPT_S = 200.0
Row = tuple[float, str, str, bytes]  # store's time, deployment, replica, figures


@dataclass
class Track:
    """What one replica sent: store's times and figures, oldest first."""

    deployment: str
    points: deque[tuple[float, bytes]] = field(default_factory=deque)


def steady() -> Callable[[], float]:
    """A clock that shows the time now and does not jump when the machine's clock is set."""
    ahead_s = time.time() - time.monotonic()
    return lambda: ahead_s + time.monotonic()


class Series:
    """Keeps what replicas send for some minutes. One clock, the store's, dates all of it.

    Args:
        clock: seconds since the epoch; `steady()` when None.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock, self._last_s = clock or steady(), 0.0
        self._tracks: dict[str, dict[str, Track]] = {}
        self._ended: dict[str, float] = {}

    def now(self) -> float:
        """The time, never the same twice and never going back: readers go on from it."""
        self._last_s = max(self._clock(), self._last_s + 1e-6)
        return self._last_s

    def put(self, app: str, deployment: str, replica: str, blob: bytes) -> None:
        """Keep one more. A replica of an application that was deleted is not heard any more."""
        now = self.now()
        if replica in self._ended:
            return
        track = self._tracks.setdefault(app, {}).setdefault(replica, Track(deployment))
        track.points.append((now, blob))
        self._forget_old(now)

    def newer(self, app: str, after_s: float) -> tuple[float, list[Row]]:
        """What came after a moment.

        Args:
            app: application name.
            after_s: the store's time; 0 or less counts back from now.

        Returns:
            The store's time now, and the rows in the order in which they came.
        """
        now = self.now()
        self._forget_old(now)
        after_s = after_s if after_s > 0 else now + after_s
        rows = [
            (at_s, track.deployment, replica, blob)
            for replica, track in self._tracks.get(app, {}).items()
            for at_s, blob in track.points
            if at_s > after_s
        ]
        return now, sorted(rows)

    def forget(self, app: str) -> None:
        """The application was deleted; its replicas may go on for a while."""
        now = self.now()
        self._ended.update(dict.fromkeys(self._tracks.pop(app, {}), now))

    def _forget_old(self, now: float) -> None:
        oldest = now - KEPT_S
        for app, tracks in list(self._tracks.items()):
            for replica, track in list(tracks.items()):
                while track.points and track.points[0][0] < oldest:
                    track.points.popleft()
                if not track.points:
                    del tracks[replica]
            if not tracks:
                del self._tracks[app]
        self._ended = {r: at_s for r, at_s in self._ended.items() if at_s > oldest}
