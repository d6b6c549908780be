"""A load on one service, and what its answers say about the deploys that were made under it."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENTS = 4
PROGRAM = Path(__file__).with_name("clients.py")


@dataclass(frozen=True)
class Answer:
    """One request and its answer; times in ns since the epoch, so that processes compare.

    Attributes:
        due_ns: when it was to be sent; latency counts from here.
        sent_ns: when it was sent.
        done_ns: when its answer was complete.
        status: HTTP status, 0 when no answer came.
        text: the body, or why no answer came.
        revision: number of the code that answered, or -1.
        pid: process that answered, or -1.
        began_ns: when the endpoint began, when the service says so; else 0.
    """

    due_ns: int
    sent_ns: int
    done_ns: int
    status: int
    text: str
    revision: int = -1
    pid: int = -1
    began_ns: int = 0

    @property
    def ok(self) -> bool:
        """Whether the service answered."""
        return self.status == 200

    @property
    def ms(self) -> float:
        """Milliseconds from when it was due until its answer was complete."""
        return (self.done_ns - self.due_ns) / 1e6


@dataclass(frozen=True)
class Deploy:
    """One deploy that was made.

    Attributes:
        revision: number that its code answers with.
        called_ns: when it was called.
        returned_ns: when it returned.
        error: what it raised, or None.
    """

    revision: int
    called_ns: int
    returned_ns: int
    error: Exception | None = None

    @property
    def ms(self) -> float:
        """Milliseconds that the call took."""
        return (self.returned_ns - self.called_ns) / 1e6


def timed(revision: int, work: Callable[[], Any]) -> Deploy:
    """Make a deploy that must succeed."""
    called = time.time_ns()
    work()
    return Deploy(revision, called, time.time_ns())


def tried(revision: int, work: Callable[[], Any]) -> Deploy:
    """Make a deploy that may fail."""
    called = time.time_ns()
    try:
        work()
    except Exception as error:  # whatever a broken cell raises is what is looked at
        return Deploy(revision, called, time.time_ns(), error)
    return Deploy(revision, called, time.time_ns())


class Load:
    """Clients that ask all the time, in a process of their own. The answers are there afterwards.

    Args:
        url: what they ask for.
        clients: how many at once.
        every_s: all ask at once whenever the clock shows a multiple of it; 0 asks again as soon as
            it was answered.
        body: posted as JSON; None gets.
        spread: with `every_s`, the clients take turns instead: `clients / every_s` a second.
    """

    def __init__(
        self,
        url: str,
        clients: int = CLIENTS,
        every_s: float = 0.0,
        body: Any = None,
        spread: bool = False,
    ) -> None:
        words = [url, str(clients), str(every_s), str(int(spread))]
        words.append("" if body is None else json.dumps(body))
        self._command = [sys.executable, str(PROGRAM), *words]
        self.answers: list[Answer] = []

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "ready\n":
            self._process.kill()
            raise RuntimeError("the clients did not start")
        return self

    def __exit__(self, *exception: object) -> None:
        output, _ = self._process.communicate()
        self.answers = [_answer(*row) for row in json.loads(output)]

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def _answer(due: int, sent: int, done: int, status: int, text: str) -> Answer:
    told: Any = {}
    if status == 200:
        with contextlib.suppress(ValueError):  # others answer with plain text
            told = json.loads(text)
    told = told if isinstance(told, dict) else {}
    facts = (told.get("revision", -1), told.get("pid", -1), told.get("began_ns", 0))
    return Answer(due, sent, done, status, text if status != 200 else "", *facts)


def failed(answers: Sequence[Answer]) -> list[Answer]:
    """Requests that were not answered with 200."""
    return [each for each in answers if not each.ok]


def worst_ms(answers: Sequence[Answer]) -> float:
    """Latency of the slowest request."""
    return max((each.ms for each in answers), default=math.inf)


def stale(answers: Sequence[Answer], deploys: Sequence[Deploy]) -> list[Answer]:
    """Answers from older code than the newest deploy that had returned when they were asked for."""
    made = sorted(
        (each for each in deploys if each.error is None), key=lambda each: each.returned_ns
    )
    found, number = [], 0
    for answer in sorted(answers, key=lambda each: each.sent_ns):
        while number < len(made) and made[number].returned_ns <= answer.sent_ns:
            number += 1
        if number and answer.ok and answer.revision < made[number - 1].revision:
            found.append(answer)
    return found


def settled_ms(answers: Sequence[Answer], deploy: Deploy, until_ns: float, replicas: int) -> float:
    """Milliseconds from a deploy's call until every replica answered with its code.

    That is the last answer of older code, and the first of the new from each process.

    Args:
        answers: of a load that ran all the time.
        deploy: the deploy.
        until_ns: when the next deploy was called.
        replicas: how many processes must have answered.

    Returns:
        Milliseconds; infinite when fewer processes answered.
    """
    window = [a for a in answers if a.ok and a.done_ns >= deploy.called_ns and a.sent_ns < until_ns]
    last_old = max((a.done_ns for a in window if a.revision < deploy.revision), default=0)
    first_new: dict[int, int] = {}
    for each in window:
        if each.revision == deploy.revision:
            first_new[each.pid] = min(each.done_ns, first_new.get(each.pid, each.done_ns))
    if len(first_new) < replicas:
        return math.inf
    return (max(last_old, *first_new.values()) - deploy.called_ns) / 1e6


def all_settled_ms(
    answers: Sequence[Answer], deploys: Sequence[Deploy], replicas: int
) -> list[float]:
    """`settled_ms` of deploys that followed one another."""
    ends = [*(each.called_ns for each in deploys[1:]), math.inf]
    return [
        settled_ms(answers, each, end, replicas) for each, end in zip(deploys, ends, strict=True)
    ]
