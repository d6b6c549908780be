"""What replicas wrote, and which requests they answered."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workbench.adapters import cells, ray_handles, ray_logs
from workbench.errors import PlanError, WorkbenchError
from workbench.replica.output import MARK, SERVE, SERVE_END, USER

Replicas = Sequence[tuple[str, dict[str, Any]]]
FILES = ("out", "err")
RAYS = (":job_id:", ":actor_name:", ":task_name:")  # Ray's own marks
WHOLE_FILE = -1
LOOK_EVERY_S = 1.0  # for replicas that started since
QUIET_S, FIRST_S = 0.5, 5.0  # what was written before has come by then


class Logs(tuple[str, ...]):
    """Lines of replica output; shows itself as text."""

    def __repr__(self) -> str:
        return "\n".join(self)


@dataclass(frozen=True)
class Line:
    """One line that a replica wrote.

    Attributes:
        time_s: seconds since the epoch, of the mark before it; 0 where there is none.
        text: the line; of one that was written over, as progress bars do, what stood last.
        users: whether the user's code wrote it.
    """

    time_s: float
    text: str
    users: bool


class Lines:
    """Reads a file of a replica, in pieces as they come; holds what a mark said last."""

    def __init__(self) -> None:
        self._kind, self._time_s, self._rest = "", 0.0, ""

    def read(self, piece: str) -> list[Line]:
        """The lines that a piece completes."""
        *whole, self._rest = (self._rest + piece).split("\n")
        found: list[Line] = []
        for text in whole:
            before, mark, said = text.partition(MARK)
            if before or not mark:
                found.append(self._line(before))
            if mark:
                found = self._marked(said, found)
        return found

    def end(self) -> list[Line]:
        """What stands after the last line's end."""
        return self.read("\n") if self._rest else []

    def _line(self, text: str) -> Line:
        users = self._kind != SERVE and not text.startswith(RAYS)
        return Line(self._time_s, text.rstrip("\r").rpartition("\r")[2], users)

    def _marked(self, said: str, found: list[Line]) -> list[Line]:
        time_s, _, kind = said.partition(":")
        first = not self._kind
        self._time_s, self._kind = float(time_s), USER if kind == SERVE_END else kind
        if not first:
            return found
        users = kind != SERVE_END  # what stands before the first mark was cut out of something
        return [Line(self._time_s, each.text, users and each.users) for each in found]


def written(
    replicas: Callable[[], Replicas], tail: int, follow: bool, system: bool
) -> Logs | Iterator[str]:
    """Output of replicas, given as deployment name and Serve's details.

    Args:
        replicas: asks whose.
        tail: newest lines of all of them together.
        follow: keep on yielding lines as they come.
        system: Serve's own lines too.

    Raises:
        PlanError: `tail` is no number of lines.
    """
    if isinstance(tail, bool) or not isinstance(tail, int) or tail < 0:
        raise PlanError(f"tail={tail!r} is no number of lines", "such as tail=100")
    if follow:
        return _followed(replicas, tail, system)
    return Logs(_newest(_running(replicas()), tail, system))


def _running(replicas: Replicas) -> list[tuple[str, str]]:
    return [(name, r["actor_id"]) for name, r in replicas if r.get("actor_id")]


def _newest(running: Iterable[tuple[str, str]], tail: int, system: bool) -> list[str]:
    found = [
        (line.time_s, _shown(name, line))
        for name, actor_id in running
        for suffix in FILES
        for line in _tail_of(actor_id, suffix, tail, system)
    ]
    found.sort(key=lambda each: each[0])  # lines of one moment stay in their order
    return [text for _, text in found[max(len(found) - tail, 0) :]]


def _shown(name: str, line: Line) -> str:
    return f"{name} | {cells.resolve(line.text)}"


def _tail_of(actor_id: str, suffix: str, tail: int, system: bool) -> list[Line]:
    """The newest lines of a file; all of it is read where marks and Serve's lines fill its end."""
    for count in (4 * tail + 200, WHOLE_FILE):
        text = "".join(ray_logs.pieces(actor_id, suffix, count))
        lines = Lines()
        found = [each for each in (*lines.read(text), *lines.end()) if system or each.users]
        if len(found) >= tail or text.count("\n") < count:
            break
    return found[max(len(found) - tail, 0) :]


def _followed(replicas: Callable[[], Replicas], tail: int, system: bool) -> Iterator[str]:
    """Lines of all replicas as they come; of those that start later too."""
    came: queue.Queue[tuple[float, str]] = queue.Queue()
    known: set[str] = set()

    def listen(count: int) -> None:
        for name, actor_id in _running(replicas()):
            if actor_id not in known:
                known.add(actor_id)
                for suffix in FILES:
                    listener = _Listener(name, actor_id, suffix, count, system, came)
                    threading.Thread(target=listener.run, daemon=True).start()

    listen(4 * tail + 200)
    first = list(_until_quiet(came))
    first.sort(key=lambda each: each[0])
    yield from (text for _, text in first[max(len(first) - tail, 0) :])
    looked_s = time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            yield came.get(timeout=LOOK_EVERY_S)[1]
        if time.monotonic() - looked_s >= LOOK_EVERY_S:
            try:
                listen(WHOLE_FILE)
            except WorkbenchError:
                return  # the application was deleted, or its cluster is gone
            looked_s = time.monotonic()


def _until_quiet(came: queue.Queue[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """What has been written so far: all that comes without a pause."""
    until_s = time.monotonic() + FIRST_S
    while time.monotonic() < until_s:
        try:
            yield came.get(timeout=QUIET_S)
        except queue.Empty:
            return


@dataclass(frozen=True)
class _Listener:
    """Hands on the lines of one file as they come."""

    name: str
    actor_id: str
    suffix: str
    count: int
    system: bool
    came: queue.Queue[tuple[float, str]]

    def run(self) -> None:
        lines = Lines()
        for piece in ray_logs.pieces(self.actor_id, self.suffix, self.count, follow=True):
            for line in lines.read(piece):
                if self.system or line.users:
                    self.came.put((line.time_s, _shown(self.name, line)))


def requests(
    app: str, deployments: Mapping[str, Any], deployment: str | None, tail: int, follow: bool
) -> Logs:
    """The newest requests that the ingress of an application answered, oldest first.

    Raises:
        PlanError: a deployment or `follow` is given too.
    """
    if deployment is not None or follow:
        raise PlanError(
            "access=True shows the requests of the ingress, once",
            "leave `deployment` and `follow` out",
        )
    found = ray_handles.requests(app, list(deployments)[-1])
    return Logs(
        f"{datetime.fromtimestamp(time_s):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        + f" | {method} {path} {status} {seconds * 1000:.1f} ms"
        for time_s, method, path, status, seconds in sorted(found)[-tail:]
    )
