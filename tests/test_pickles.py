"""What a deployment may hold that pickle cannot carry by itself."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle

from tests.notebook import Notebook
from workbench.adapters import ray_pickles
from workbench.replica import package as packages

CELL = """
import contextvars, functools, queue, re, threading, weakref
from concurrent.futures import ThreadPoolExecutor

LOADED = []

@functools.cache
def load(n=2):
    \"\"\"Load.\"\"\"
    LOADED.append(n)
    return [n, fib(n)]

@functools.lru_cache(maxsize=7, typed=True)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

load.note = "kept"

@functools.singledispatch
def show(value):
    return f"any {value}"

@show.register
def _(value: int):
    return f"int {value}"

@show.register
def _(value: list):
    return [show(each) for each in value]

class Model:
    @functools.lru_cache
    def predict(self, x):
        return x + 1

    @functools.singledispatchmethod
    def kind(self, value):
        return "any"

    @kind.register
    def _(self, value: int):
        return "int"

LOCK, RLOCK, LOCAL = threading.Lock(), threading.RLock(), threading.local()
CONDITION, EVENT, QUEUE = threading.Condition(), threading.Event(), queue.Queue()
VARIABLE = contextvars.ContextVar("variable", default=3)
BARE = contextvars.ContextVar("bare")
POOL = ThreadPoolExecutor(2, thread_name_prefix="mine")
WEAK = weakref.WeakValueDictionary()

def answers():
    with LOCK, RLOCK, CONDITION:
        BARE.set(1)
        called = POOL.submit(fib, 5).result()
    same = load() is load()
    how = [load.cache_info().hits > 0, fib.cache_parameters(), load.note, load.__doc__]
    shown = [show(1), show("a"), show([1, "b"])]
    methods = [Model().predict(1), Model().kind(1), Model().kind("a")]
    rest = [VARIABLE.get(), BARE.get(), EVENT.is_set(), QUEUE.empty(), len(WEAK)]
    return [called, same, how, shown, methods, rest]
"""
EXPECTED = [
    5,
    True,
    [True, {"maxsize": 7, "typed": True}, "kept", "Load."],
    ["int 1", "any a", ["int 1", "any b"]],
    [2, "int", "any"],
    [3, 1, False, True, 0],
]
ROOT = Path(__file__).parent.parent


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of a notebook that ran the cell."""
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    return book.run(CELL)


def elsewhere(loading: str, blob: bytes, tmp_path: Path) -> str:
    """What a process without the notebook prints after it loaded a pickle."""
    file = tmp_path / "pickle"
    file.write_bytes(blob)
    code = f"import sys; blob = open({str(file)!r}, 'rb').read()\n{textwrap.dedent(loading)}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_another_process_gets_what_a_cell_defined(names: dict[str, Any], tmp_path: Path) -> None:
    """Caches begin empty, generic functions have all their implementations, locks are free."""
    blob = packages.dump((names["answers"], None, (), {}), None)
    loading = """
        from workbench.replica import package
        print(package.load(blob, [], {})[0]())
    """

    assert elsewhere(loading, blob, tmp_path) == repr(EXPECTED)


def test_ray_pickles_the_same_by_itself(names: dict[str, Any], tmp_path: Path) -> None:
    """As it does when a class is decorated, or travels through a handle; without workbench."""
    blob = cloudpickle.dumps(names["answers"])
    loading = """
        from ray import cloudpickle
        print(cloudpickle.loads(blob)())
        assert "workbench.adapters" not in sys.modules
    """

    assert elsewhere(loading, blob, tmp_path) == repr(EXPECTED)


def test_a_process_keeps_the_functions_that_it_has(names: dict[str, Any]) -> None:
    """New code beside it uses the same function, with what it loaded."""
    load = names["load"]
    blob = packages.dump(
        (names["answers"], None, (), {}), None, kept=lambda f: f.__name__ if f is load else ""
    )
    known: dict[str, Any] = {}
    first = packages.load(blob, [], known)[0].__globals__["load"]
    loaded = first()
    second = packages.load(blob, [], known)[0].__globals__["load"]

    assert second is first
    assert second() is loaded


def test_a_cache_without_a_name_is_a_new_one(names: dict[str, Any]) -> None:
    """What cannot be told to be equal is not shared."""
    blob = packages.dump((names["answers"], None, (), {}), None)
    known: dict[str, Any] = {}
    first, second = (packages.load(blob, [], known)[0].__globals__["load"] for _ in range(2))

    assert first is not second


def test_a_class_of_this_process_is_not_filled_again(names: dict[str, Any]) -> None:
    """`@serve.ingress` loads a pickle of the application here; methods must stay as they are."""
    model, method = names["Model"], names["Model"].__dict__["predict"]
    copied = cloudpickle.loads(cloudpickle.dumps([model, names["answers"]]))

    assert copied[0] is model
    assert model.__dict__["predict"] is method


def test_ray_is_taught_once() -> None:
    """Modules may be loaded again; the hooks do not pile up."""
    before = ray_pickles.cloudpickle.Pickler.reducer_override
    ray_pickles.teach_cloudpickle()

    assert ray_pickles.cloudpickle.Pickler.reducer_override is before
