"""Programs that nobody wrote, edited at random: never a stale answer, never a rung too high."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from workbench.core.graph import Node
from workbench.core.plan import KEEP, REPLACE, SWAP, TUNE, compare

from .book import Book, Edit, Flow
from .programs import ASKS, Program, Step, sessions, shown
from .replica import Replica, Server, shipped
from .rungs import graph

Record = Callable[[str, object], None]
Session = tuple[Program, list[Step]]
QUIETLY = settings(
    deadline=None,
    derandomize=True,  # the same programs each time, so that a failure is one for everybody
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Forks replicas and kernels."""
    with Server() as address:
        yield address


def flow_of(program: Program) -> Flow:
    """A generated program as a notebook."""
    return Flow("program", program.cells(), (), "", None, asks=ASKS[program.target])


class Service:
    """A notebook and the process that serves it.

    Args:
        server: forks processes.
        program: what the notebook holds at first.
        folder: where it stands.
    """

    def __init__(self, server: str, program: Program, folder: Path) -> None:
        self._server, self._stack = server, ExitStack()
        self._book = self._stack.enter_context(Book(flow_of(program), folder)).run_all()
        self._asks = ASKS[program.target]
        self._node: Node = graph(self._book.target()).ingress
        self._start()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._replica = self._stack.enter_context(Replica(self._server))
        self._replica.make(shipped(self._node))

    def answers(self) -> list[Any]:
        """What it answers now."""
        return [self._replica.ask(each) for each in self._asks]

    def take(self, step: Step) -> str:
        """Do what the user does, and deploy; the rung that this took."""
        self._book.cells = step.program.cells()
        if step.restarts:
            self._book.restart()
        for name in step.runs:
            self._book.edit(Edit(name))
        before, self._node = self._node, graph(self._book.target()).ingress
        rung = compare(self._node.name, before.fingerprint, self._node.fingerprint)
        note(str(rung))
        if rung.kind == REPLACE:
            self._start()
        elif rung.kind not in (KEEP, TUNE):
            self._replica.follow(shipped(self._node))
        return rung.kind

    def restarted(self, program: Program) -> tuple[list[Any], str]:
        """What a new kernel and a new process answer, and the rung from here to there."""
        with Replica(self._server) as kernel, Replica(self._server) as fresh:
            package, made_of = kernel.pack(flow_of(program))
            fresh.make(package)
            rung = compare(self._node.name, self._node.fingerprint, made_of)
            note(str(rung))
            return [fresh.ask(each) for each in self._asks], rung.kind


def edited(session: Session, server: str, folder: Path) -> None:
    """Edit a generated program, and compare after each edit."""
    program, edits = session
    note(shown(program))
    with Service(server, program, folder) as service:
        service.answers()  # so that caches are full
        for step in edits:
            note(f"then runs {step.runs or 'all, after a restart'}\n{shown(step.program)}")
            rung = service.take(step)
            hot = service.answers()
            cold, after_restart = service.restarted(step.program)

            assert hot == cold
            assert after_restart == KEEP, "a restart changes the fingerprint"
            assert step.changes or rung == KEEP
            assert step.state or rung in (KEEP, SWAP)


@settings(QUIETLY, max_examples=50)
@given(session=sessions())
def test_a_generated_program_answers_as_a_fresh_deploy(
    session: Session, server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hot and fresh answers are equal after each edit, and no rung is higher than it must be."""
    edited(session, server, tmp_path_factory.getbasetemp())


@pytest.mark.conformance
def test_five_hundred_generated_programs_answer_as_fresh_deploys(
    server: str, tmp_path: Path, record_property: Record
) -> None:
    """The same rule, for as many programs as it takes to believe it."""
    counts = []

    @settings(QUIETLY, max_examples=500)
    @given(session=sessions())
    def many(session: Session) -> None:
        counts.append(len(session[1]))
        edited(session, server, tmp_path)

    many()
    record_property("programs generated", len(counts))
    record_property("edits of them", sum(counts))
