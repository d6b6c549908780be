"""What serves goes on serving, whichever step of a deploy fails: tried at every step."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import serve as ray_serve

from workbench.adapters import history, ray_graph
from workbench.adapters import ray_serve as serve_adapter
from workbench.core.graph import Graph
from workbench.errors import ClusterError, DeployError, PlanError
from workbench.runtime import releases, rollout
from workbench.runtime.boundary import explained
from workbench.runtime.deploy import Run
from workbench.runtime.request import Request
from workbench.runtime.rollout import Silent
from workbench.runtime.threads import uninterrupted

from .serving_double import Apart, FakeLook, FakeServe, dead
from .waiting import until

BACK, FRONT = "Back", "Front"


def graph(word: str, made: str = "") -> Any:
    """Two deployments: `word` is in a method of both, `made` in the constructor of the first."""

    @ray_serve.deployment(name=BACK, num_replicas=2)
    class Back:
        def __init__(self) -> None:
            self.made = made

        def answer(self) -> str:
            return word

    @ray_serve.deployment(name=FRONT)
    class Front:
        def __init__(self, back: Any) -> None:
            self.back = back

        async def __call__(self, request: Any) -> str:
            return word + str(await self.back.answer.remote())

    return Front.bind(Back.bind())


class World:
    """A cluster and a notebook with its history."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.serve = FakeServe()
        self._home, self._monkeypatch = home, monkeypatch
        self.move("first")

    def move(self, folder: str) -> None:
        """Go on with another state folder."""
        self._monkeypatch.setenv("WORKBENCH_HOME", str(self._home / folder))

    def deploy(
        self,
        target: Any,
        timeout_s: float = 20.0,
        mode: str = "auto",
        arm: Callable[[], None] = lambda: None,
    ) -> int:
        """Deploy; returns the number of the revision. `arm` is called once all is checked."""
        request = Request(FakeLook("app", self.serve), ray_graph.graph_of(target, {}), None, mode)
        run = Run(request, "", timeout_s, surge=True, began_s=time.monotonic())
        arm()
        run.carry_out(Silent(), wait=True)
        return run.number

    def serving(self) -> int:
        """The one revision whose code answers; all the others' parts were kept."""
        self.serve.faults.clear()
        answers = self.serve.answers("app")
        assert answers, "the application is gone"
        assert self.serve.gaps == []
        assert all(len(each) == 1 for each in answers.values()), answers
        committed = self.serve.store.committed_soon("app")()
        assert {n: {g.revision} for n, g in committed.items()} == answers
        return max(number for each in answers.values() for number in each)

    def settled(self) -> bool:
        """Whether one revision answers, and the store has it."""
        try:
            return bool(self.serving())
        except AssertionError:
            return False

    def known(self) -> Any:
        """The release that serves, as far as anybody knows it."""
        _, live = FakeLook("app", self.serve).answer()
        return releases.serving("app", live, history.here(), self.serve.store)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A cluster on which nothing runs."""
    made = World(tmp_path, monkeypatch)
    yield made
    made.serve.close()


def lost(world: World) -> None:
    """The state folder is removed."""
    world.move(secrets.token_hex(4))


def kept(world: World) -> None:
    """The history is there."""


EDITS = {
    "swap": (("two",), ("three",)),
    "replace": (("one", "two"), ("one", "three")),
    "both": (("two", "two"), ("three", "three")),
}
ERRORS: dict[str, Callable[[], BaseException]] = {
    "interrupt": KeyboardInterrupt,
    "cluster": dead,
    "other": lambda: RuntimeError("a bug of ours, or of Ray"),
}


def steps_of(world: World, edit: str) -> int:
    """Calls to Serve and the store that an edit takes; it begins and ends with its first code."""
    first, second = EDITS[edit]
    world.deploy(graph(*first))
    world.deploy(graph(*second), arm=world.serve.faults.clear)
    steps = len(world.serve.faults.calls)
    world.deploy(graph(*first))
    return steps


def forgotten(world: World) -> None:
    """The state folder is removed, and the cluster does not have the release either."""
    lost(world)
    world.serve.store.store._releases = Apart()


def foreign(world: World) -> None:
    """The history is that of another service of this name."""
    lost(world)
    past = history.here()
    good = world.known()
    number = past.begin("app", "/app", "", "", 40)
    other = {name: replace(p, revision=41) for name, p in good.shipped.items()}
    past.served("app", number, rollout.dumped(replace(good, shipped=other)), 1.0, [])


PASTS = [kept, lost, foreign, forgotten]


@pytest.mark.parametrize(
    ("error", "past"), [*((error, kept) for error in ERRORS), ("cluster", lost), ("other", foreign)]
)
@pytest.mark.parametrize("edit", EDITS)
def test_a_deploy_that_fails_at_any_step_leaves_what_served(
    world: World, edit: str, error: str, past: Callable[[World], None]
) -> None:
    """Before or after the step took effect: all replicas answer with one revision, and go on."""
    first, second = EDITS[edit]
    told = KeyboardInterrupt if error == "interrupt" else DeployError
    for at in range(steps_of(world, edit)):
        for after in (False, True):
            past(world)
            before, failed = world.serving(), None
            try:
                world.deploy(
                    graph(*second), arm=partial(world.serve.faults.set, ERRORS[error], at, after)
                )
            except told as caught:
                failed = caught
            step = world.serve.faults.calls[at]
            serves = world.serving()
            if step == "store.unguard" or (step == "store.settle" and after):  # all is done
                assert serves > before
                assert not isinstance(failed, DeployError)
            else:
                assert serves == before or (failed is None and step == "store.release")
            if isinstance(failed, DeployError):
                assert failed.serving == history.here().serving("app").number
            world.deploy(graph(*first))
            assert world.serving() >= before


@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize("edit", EDITS)
def test_a_cluster_that_dies_at_any_step_costs_nothing_that_runs(
    world: World, edit: str, past: Callable[[World], None]
) -> None:
    """The undo fails too: the error says both, nothing is deleted, and the next deploy works."""
    first, second = EDITS[edit]
    for at in range(steps_of(world, edit) - 1):  # the last one comes when all is done
        past(world)
        fault = partial(world.serve.faults.set, dead, at, lasting=True)
        try:
            world.deploy(graph(*second), arm=fault)
        except DeployError as error:
            caught = error
        else:  # where less is known there are fewer steps
            assert at >= len(world.serve.faults.calls) > 2
            break
        world.serve.faults.clear()

        assert "does not answer" in caught.reason
        assert "doctor" in caught.advice
        assert world.serve.gaps == []
        assert all(world.serve.answers("app").values())
        world.deploy(graph(*first))
        assert world.serving()


@pytest.mark.parametrize("edit", EDITS)
def test_where_nobody_knows_what_served_nothing_is_deleted(world: World, edit: str) -> None:
    """Neither the history nor the cluster has it: every deployment goes on answering."""
    first, second = EDITS[edit]
    for at in range(steps_of(world, edit)):
        forgotten(world)
        fault = partial(world.serve.faults.set, dead, at)
        with contextlib.suppress(DeployError):
            world.deploy(graph(*second), arm=fault)
        world.serve.faults.clear()

        assert world.serve.gaps == []
        assert all(world.serve.answers("app").values())
        world.deploy(graph(*first))
        assert world.serving()


@pytest.mark.parametrize("past", [kept, lost])
@pytest.mark.parametrize("edit", EDITS)
def test_a_store_that_is_restarted_at_any_step_costs_nothing(
    world: World, edit: str, past: Callable[[World], None]
) -> None:
    """The deploy succeeds or is undone; either way one revision answers."""
    first, second = EDITS[edit]
    for at in range(steps_of(world, edit)):
        for after in (False, True):
            past(world)
            fault = partial(world.serve.faults.set, world.serve.store.restart, at, after)
            with contextlib.suppress(DeployError):
                world.deploy(graph(*second), arm=fault)
            until(lambda: world.settled(), 5.0)
            world.deploy(graph(*first))
            until(lambda: world.settled(), 5.0)


@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize(
    ("trouble", "said"), [("ZeroDivisionError", "ZeroDivisionError"), ("hangs", "not ready")]
)
def test_new_processes_that_do_not_come_up_leave_the_old_ones(
    world: World, trouble: str, said: str, past: Callable[[World], None]
) -> None:
    """A constructor that raises, and one that never returns."""
    world.deploy(graph("one"))
    past(world)
    world.serve.starting = lambda package: trouble
    with pytest.raises(DeployError, match=said) as caught:
        world.deploy(graph("two", "other"), timeout_s=0.3)

    assert ("3 of its replicas run" if past is forgotten else "still serves") in str(caught.value)
    assert world.serving() == 1
    world.serve.starting = lambda package: ""
    world.deploy(graph("two", "other"))
    assert world.serving() > 1


@pytest.mark.parametrize("past", PASTS)
def test_one_replica_that_refuses_new_code_keeps_all_on_the_old(
    world: World, past: Callable[[World], None]
) -> None:
    """All or nothing, in both deployments, whatever the history says."""
    world.deploy(graph("one"))
    past(world)
    world.serve.apps["app"][FRONT].replicas[0].refuses = True
    before = world.serving()
    with pytest.raises(DeployError, match="refused"):
        world.deploy(graph("two"))

    assert world.serving() == before


def test_a_first_deploy_that_fails_leaves_nothing(world: World) -> None:
    """Only what did not run before is ever deleted: Serve would go on trying for ever."""
    world.serve.starting = lambda package: "ZeroDivisionError"
    with pytest.raises(DeployError, match="nothing of it serves"):
        world.deploy(graph("one"))

    assert world.serve.apps == {}
    assert world.serve.gaps == []


def test_what_serves_is_recorded_again_when_the_history_was_lost(world: World) -> None:
    """Under its own number; the history goes on from there, and one can go back to it."""
    for word in ("one", "two", "three"):
        world.deploy(graph(word))
    lost(world)
    assert world.deploy(graph("four")) == 4

    past = history.here().revisions("app")
    assert [(r.number, r.outcome, r.note) for r in past] == [
        (3, "served", releases.NOTE),
        (4, "served", ""),
    ]
    assert rollout.good_of(history.here().graph("app", 3), "app", 3).shipped[FRONT].revision == 3


def test_who_looks_before_a_deploy_is_noted_adds_no_revision(world: World) -> None:
    """The cluster has the release a moment before the history; a panel may look just then."""
    world.deploy(graph("one"))
    world.deploy(graph("two"))
    past = history.here()
    past._do(lambda db: db.execute("UPDATE revisions SET outcome = 'pending' WHERE number = 2"))

    assert world.known().number == 2
    assert [(r.number, r.outcome) for r in past.revisions("app")] == [(1, "served"), (2, "served")]


def test_what_served_last_is_shown_while_a_change_is_on_its_way(world: World) -> None:
    """Replicas have other code than any release that is known, until the change is over."""
    world.deploy(graph("one"))
    next(iter(world.serve.store.store._cells.values())).revision = 2
    look = FakeLook("app", world.serve)

    assert releases.known(look) is None
    assert releases.latest(look).number == 1


def test_a_history_that_has_come_further_is_not_overwritten(world: World) -> None:
    """What serves gets the next number there, and is the one that serves there."""
    world.deploy(graph("one"))
    foreign(world)

    assert world.known().number == 42
    assert history.here().serving("app").number == 42
    assert world.known().number == 42
    assert [r.number for r in history.here().revisions("app")] == [1, 41, 42]


def test_a_release_holds_the_users_classes_in_its_packages_alone(world: World) -> None:
    """Going back must not depend on a module that was edited meanwhile: packages stay bytes."""
    world.deploy(graph("one"))
    good = rollout.good_of(history.here().graph("app", 1), "app", 1)
    nodes = tuple(replace(n, code=b"", source="", sources={}) for n in good.graph.nodes)
    rest = serve_adapter.dumped(replace(good, graph=Graph(nodes), shipped={}))

    assert good.graph.ingress.deployment.func_or_class is serve_adapter.Absent
    assert b"test_undo" not in rest


def test_an_undo_is_not_interrupted() -> None:
    """Whoever interrupts again meanwhile gets the whole undo; then interrupts count again."""
    done, before = 0, signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with uninterrupted():
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
                done += 1

        assert done == 3
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)  # a shell's background job ignores it


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (TimeoutError("slow"), ClusterError),
        (ConnectionResetError("gone"), ClusterError),
        (ray.exceptions.RayActorError(), ClusterError),
        (KeyError("ours"), PlanError),
        (PlanError("a bad name"), PlanError),
    ],
)
def test_nothing_but_our_own_errors_leaves(raised: Exception, kind: type[Exception]) -> None:
    """One except clause catches whatever happens; an interrupt stays one."""
    with pytest.raises(kind) as caught, explained("deploy"):
        raise raised

    assert caught.value is raised or caught.value.__cause__ is raised
    with pytest.raises(KeyboardInterrupt), explained("deploy"):
        raise KeyboardInterrupt
