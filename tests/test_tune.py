"""Knobs of a running service, on a real cluster."""

from __future__ import annotations

import concurrent.futures
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import workbench

from .notebook import Load, Notebook

pytestmark = pytest.mark.ray

SERVICE = """
import asyncio, os
from fastapi import FastAPI
from ray import serve

WORD = "one"
api = FastAPI()

@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=12)
@serve.ingress(api)
class Tuned:
    def __init__(self):
        self.threshold, self.sizes = 0.5, []

    def reconfigure(self, user_config):
        if user_config["threshold"] < 0:
            raise ValueError("a threshold is not negative")
        self.threshold = user_config["threshold"]

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.05)
    async def batched(self, xs):
        return [len(xs)] * len(xs)

    @api.get("/answer")
    async def answer(self):
        return {"pid": os.getpid(), "batch": await self.batched(1), "threshold": self.threshold,
                "word": WORD}
"""
MODEL = """
import os
from fastapi import FastAPI
from ray import serve

models = FastAPI()

@serve.deployment(ray_actor_options={"num_cpus": 0.1, "num_gpus": 0.4})
@serve.ingress(models)
class Model:
    @models.get("/answer")
    def answer(self):
        return {"pid": os.getpid()}
"""


@pytest.fixture(scope="module")
def book() -> Iterator[Notebook]:
    """A notebook whose namespace is `__main__`, as a kernel's is."""
    made, real = Notebook(), sys.modules["__main__"]
    sys.modules["__main__"] = made.module
    yield made
    sys.modules["__main__"] = real


@pytest.fixture(scope="module")
def tuned(book: Notebook) -> Iterator[Any]:
    """One service for all tests here."""
    app = workbench.deploy(book.run(SERVICE)["Tuned"], name="tuned")
    yield app
    workbench.delete(app.name)


@pytest.fixture
def app(tuned: Any, book: Notebook) -> Any:
    """The service as its cell declares it."""
    if tuned.history().serving != 1:
        tuned.rollback(to=1)
    return tuned


def answers(app: Any, at_once: int = 24) -> list[dict[str, Any]]:
    """What so many requests get that are sent at the same time."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return [f.json() for f in pool.map(lambda _: app.get("/answer"), range(at_once))]


def pids(app: Any) -> set[int]:
    """The processes that answer."""
    return {each["pid"] for each in answers(app)}


def largest(app: Any) -> int:
    """The largest batch that a replica was seen to make."""
    return max(each["batch"] for each in answers(app) + answers(app))


def test_a_batch_knob_holds_in_every_replica_and_in_later_ones(app: Any) -> None:
    """Same processes, no failed request, and a replica that starts later has it too."""
    before, size = pids(app), largest(app)
    with Load(app, clients=2) as load:
        done = app.tune("Tuned", max_batch_size=6, batch_wait_timeout_s=0.2)
    kept, wider = pids(app), largest(app)
    more = app.tune(num_replicas=3)

    assert not load.failed
    assert (size, kept) == (2, before)
    assert (done.replicas, done.kept_processes, done.notes) == (2, True, ())
    assert 2 < wider <= 6
    assert more.replicas == 3
    newcomer = pids(app) - before
    assert newcomer
    seen = [e["batch"] for _ in range(6) for e in answers(app, 36) if e["pid"] in newcomer]
    assert max(seen) > 2


def test_what_was_tuned_survives_new_code_and_new_processes(app: Any, book: Notebook) -> None:
    """A swap, a replace and another kernel's handle keep it; an edit of the same value wins."""
    app.tune(max_batch_size=5, batch_wait_timeout_s=0.2, user_config={"threshold": 0.7})

    swapped = workbench.plan(book.run(SERVICE.replace('"one"', '"two"'))["Tuned"], name="tuned")
    workbench.deploy(book.run(SERVICE.replace('"one"', '"two"'))["Tuned"], name="tuned")
    after_swap = answers(app)
    workbench.deploy(book.run(SERVICE)["Tuned"], name="tuned", mode="replace")
    after_replace = answers(workbench.connect("tuned"))
    workbench.deploy(
        book.run(SERVICE.replace("max_batch_size=2", "max_batch_size=3"))["Tuned"], name="tuned"
    )

    assert [a.kind for a in swapped.actions] == ["swap"]
    assert {each["word"] for each in after_swap} == {"two"}
    for seen in (after_swap, after_replace):
        assert {each["threshold"] for each in seen} == {0.7}
        assert 2 < max(each["batch"] for each in seen) <= 5
    values = {knob.name: knob.value for knob in app.tune("Tuned")}
    assert (values["max_batch_size"], values["user_config"]) == (3, {"threshold": 0.7})


def test_a_rollback_restores_what_was_tuned(app: Any) -> None:
    """Knobs are part of the revision."""
    app.tune(max_batch_size=6, batch_wait_timeout_s=0.2)
    with_six = app.history().serving
    app.tune(max_batch_size=1)
    assert largest(app) == 1

    app.rollback(to=with_six)

    assert largest(app) > 2
    assert "max_batch_size = 6" in str(app.diff(with_six + 1, app.history().serving))


def test_several_knobs_are_set_together_or_not_at_all(app: Any) -> None:
    """A configuration that the class refuses undoes the batch size beside it."""
    app.tune(user_config={"threshold": 0.6})
    before = pids(app)

    with pytest.raises(workbench.DeployError, match="a threshold is not negative"):
        app.tune(max_batch_size=6, batch_wait_timeout_s=0.2, user_config={"threshold": -1})

    assert (largest(app), pids(app)) == (2, before)
    assert {each["threshold"] for each in answers(app)} == {0.6}


def test_ongoing_requests_follow_a_batch_that_could_not_fill(app: Any) -> None:
    """What was raised beside is said, and the processes stay."""
    before = pids(app)

    done = app.tune(max_batch_size=16)

    assert done.values == {"max_batch_size": 16, "max_ongoing_requests": 16}
    assert "max_ongoing_requests raised from 12 to 16" in done.notes[0]
    assert pids(app) == before


def test_replicas_adjust_themselves_or_are_fixed(app: Any) -> None:
    """Bounds turn autoscaling on, a number turns it off, the listing tells which holds."""
    app.tune(min_replicas=1, max_replicas=3, target_ongoing_requests=4)
    adjusting = {knob.name: knob.value for knob in app.tune("Tuned")}
    app.tune(num_replicas=1)
    fixed = {knob.name: knob.value for knob in app.tune("Tuned")}

    assert (adjusting["num_replicas"], adjusting["max_replicas"]) == (None, 3)
    assert (fixed["num_replicas"], fixed["max_replicas"]) == (1, None)
    assert app.status().deployments[0].replicas_running == 1


def test_nothing_changes_when_a_knob_is_refused(app: Any) -> None:
    """Unknown names come with the nearest one, and no revision is made."""
    before = app.history()[-1].number

    with pytest.raises(workbench.TuneError, match="did you mean 'max_batch_size'"):
        app.tune(max_batchsize=4)
    with pytest.raises(workbench.TuneError, match="did you mean 'Tuned'"):
        app.tune("Tune", num_replicas=1)
    with pytest.raises(workbench.TuneError, match="did you mean 'Tuned'"):
        app.tune("Tune")  # to list its knobs
    with pytest.raises(workbench.TuneError, match="books no GPU"):
        app.tune(gpu_memory_fraction=0.5)
    with pytest.raises(workbench.CapacityError, match="needs 1000 CPU per replica"):
        app.tune(num_cpus=1000)

    assert app.history()[-1].number == before


def test_a_share_of_a_gpu_is_replaced_beside_when_it_fits(name: str, book: Notebook) -> None:
    """The cap changes in the live process; the booking needs a new one, and room for both."""
    app = workbench.deploy(book.run(MODEL)["Model"], name=name)
    before = app.get("/answer").json()["pid"]

    capped = app.tune(gpu_memory_fraction=0.3)
    same = app.get("/answer").json()["pid"]
    moved = app.tune(num_gpus=0.5)
    other = app.get("/answer").json()["pid"]
    with pytest.raises(workbench.CapacityError, match="allow_downtime=True") as refused:
        app.tune(num_gpus=2)
    still = app.get("/answer").json()["pid"]
    app.tune(num_gpus=2, allow_downtime=True)

    assert capped.kept_processes
    assert same == before
    assert not moved.kept_processes
    assert other != before
    assert "GPU" in str(refused.value)
    assert still == other
    values = {knob.name: knob.value for knob in app.tune()}
    assert (values["num_gpus"], values["gpu_memory_fraction"]) == (2.0, 0.3)
    workbench.delete(app.name)
    with pytest.raises(workbench.WorkbenchError, match=name):
        app.tune(num_gpus=0.5)
