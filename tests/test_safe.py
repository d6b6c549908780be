"""Bad input and lost files while a service runs: it goes on, and what happened is said."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

import workbench
from workbench.adapters import state
from workbench.adapters.history import History
from workbench.replica.link import find_store

from .notebook import Load, Notebook

pytestmark = pytest.mark.ray

SERVICE = """
from fastapi import FastAPI
from ray import serve

api = FastAPI()

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
@serve.ingress(api)
class Service:
    def __init__(self):
        self.made = 0

    @api.get("/answer")
    def answer(self) -> str:
        return "one"
"""
RAISES = SERVICE.replace("self.made = 0", "self.made = 1 / 0")
OTHER = SERVICE.replace('"one"', '"other"')


def removed(home: Path) -> None:
    """The file, its key, its log and its lock."""
    for each in home.glob("history*"):
        each.unlink()


def overwritten(home: Path) -> None:
    """Something else altogether."""
    (home / "history.sqlite").write_bytes(b"not a database at all " * 500)


def truncated(home: Path) -> None:
    """What a full disk leaves."""
    content = (home / "history.sqlite").read_bytes()
    (home / "history.sqlite").write_bytes(content[: len(content) // 3])


def of_another_version(home: Path) -> None:
    """A file of a later workbench."""
    with sqlite3.connect(home / "history.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def without_its_key(home: Path) -> None:
    """No code of it can be trusted any more."""
    (home / "history.key").unlink()


def folder_removed(home: Path) -> None:
    """All that this machine knows of the cluster."""
    shutil.rmtree(home)


LOSSES = [removed, overwritten, truncated, of_another_version, without_its_key, folder_removed]


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """A notebook whose namespace is `__main__`, as a kernel's is."""
    made = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", made.module)
    return made


@pytest.fixture
def home() -> Iterator[Path]:
    """The state folder; what finds the cluster is there again afterwards."""
    path = state.folder()
    content = state.read("cluster.json")
    assert content is not None
    yield path
    state.write("cluster.json", content)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Damage is reported by a warning, which these tests expect."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the history")
        yield


@pytest.mark.parametrize("loss", LOSSES)
def test_whatever_is_lost_a_failed_deploy_leaves_what_serves(
    name: str,
    home: Path,
    book: Notebook,
    loss: Callable[[Path], None],
) -> None:
    """The cluster has the release; status, history, tune, rollback and delete go on working."""
    app = workbench.deploy(book.run(SERVICE)["Service"], name=name)
    loss(home)
    with Load(app) as load, pytest.raises(workbench.DeployError, match="ZeroDivision") as caught:
        workbench.deploy(book.run(RAISES)["Service"], name=name)

    assert not load.failed
    first = app.history().serving
    assert first == caught.value.serving == app.status().revision
    assert {answer for _, _, answer in load.answers} == {"one"}
    assert {r.outcome for r in app.history()} == {"served", "failed"}
    app.tune(max_ongoing_requests=7)
    workbench.deploy(book.run(OTHER)["Service"], name=name)
    app.rollback(to=first)
    assert app.get("/answer").json() == "one"
    workbench.delete(name)
    assert name not in [each.name for each in workbench.apps()]


def test_a_lost_history_is_known_again_by_asking(name: str, home: Path, book: Notebook) -> None:
    """Every view of the past says what serves, before anything is deployed."""
    app = workbench.deploy(book.run(SERVICE)["Service"], name=name)
    workbench.deploy(book.run(OTHER)["Service"], name=name)
    removed(home)
    assert app.status().revision == 2
    assert [(r.number, r.outcome) for r in app.history()] == [(2, "served")]
    removed(home)
    assert app.tune()
    removed(home)
    with pytest.raises(workbench.PlanError, match="no earlier revision"):
        app.rollback()
    assert app.get("/answer").json() == "other"


def test_the_store_may_die_and_the_history_be_lost(name: str, home: Path, book: Notebook) -> None:
    """The release lies in the cluster's control store, which outlives ours."""
    app = workbench.deploy(book.run(SERVICE)["Service"], name=name)
    time.sleep(1)  # it is written behind the deploy
    removed(home)
    ray.kill(find_store(), no_restart=False)
    with Load(app) as load, pytest.raises(workbench.DeployError, match="ZeroDivision") as caught:
        workbench.deploy(book.run(RAISES)["Service"], name=name)

    assert not load.failed
    assert caught.value.serving == 1
    assert app.get("/answer").json() == "one"


def test_another_notebook_with_another_folder_fails_harmlessly(
    name: str,
    home: Path,
    book: Notebook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own history knows nothing, or knows another service of that name."""
    app = workbench.deploy(book.run(SERVICE)["Service"], name=name)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    past = History(tmp_path / "history.sqlite")
    past.served(name, past.begin(name, "/x", "", "", 6), b"of another service", 1.0, [])
    with Load(app) as load, pytest.raises(workbench.DeployError, match="ZeroDivision"):
        workbench.deploy(book.run(RAISES)["Service"], name=name)

    assert not load.failed
    assert app.get("/answer").json() == "one"


TAKES_LONG = """
from ray import serve
import asyncio

class Part:
    def word(self):
        return "old"

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Service:
    def __init__(self):
        self.part = Part()

    async def hold(self):
        part = self.part
        await asyncio.sleep(2)
        return part.word()

    async def answer(self):
        return self.part.word()
"""


def test_a_class_is_redefined_while_a_request_holds_an_instance(name: str, book: Notebook) -> None:
    """The request ends on what it holds; later ones get the new class, and the reason is said."""
    app = workbench.deploy(book.run(TAKES_LONG)["Service"].bind(), name=name)
    held: list[Any] = []
    handle = app.handle("Service")
    request = threading.Thread(target=lambda: held.append(handle.hold.remote().result()))
    request.start()
    time.sleep(0.5)
    book.run('class Part:\n    def word(self):\n        return "new"\n')
    target = book.names["Service"].bind()
    (action,) = workbench.plan(target, name=name).actions
    workbench.deploy(target, name=name)
    request.join()

    assert action.kind != "keep"
    assert "changed" in action.reason
    assert held == ["old"]
    assert app.handle("Service").answer.remote().result() == "new"


def test_two_classes_of_one_name_from_two_cells(name: str, book: Notebook) -> None:
    """Each is what it was where it was bound."""
    first = book.run(TAKES_LONG)["Service"]
    book.run('class Part:\n    def word(self):\n        return "second"\n')
    pair = """
@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Both:
    def __init__(self, other):
        self.other, self.part = other, Part()

    async def answer(self):
        return [self.part.word(), await self.other.answer.remote()]
"""
    target = book.run(pair)["Both"].bind(first.options(name="First").bind())
    app = workbench.deploy(target, name=name)

    assert app.handle("Both").answer.remote().result()[0] == "second"


def test_a_class_that_cannot_be_compared_is_replaced_with_the_reason(
    name: str,
    book: Notebook,
) -> None:
    """Its variables refuse to be looked into; the service is deployed, and again."""
    cell = SERVICE.replace(
        "class Service:",
        "class Service:\n    odd = type('Odd', (), {'__reduce_ex__': lambda s, p: (dict, ())})()",
    )
    app = workbench.deploy(book.run(cell)["Service"], name=name)
    workbench.deploy(book.run(cell.replace('"one"', '"two"'))["Service"], name=name)

    assert app.get("/answer").json() == "two"
    (record,) = app.history()[-1].deployments
    assert record.reason


def test_the_files_are_still_private(home: Path) -> None:
    """What was written again too."""
    assert home.stat().st_mode & 0o077 == 0
