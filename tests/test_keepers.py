"""Functions that keep something for themselves go on across an edit beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.conformance.flows.replica import Replica, Server, shipped
from tests.notebook import Notebook
from workbench.adapters.ray_graph import graph_of
from workbench.core.graph import Node
from workbench.core.plan import Action, compare

HEAD = """
import functools
from ray import serve

LOADED = []

def memo(f):
    cache = {}
    @functools.wraps(f)
    def inner(*given):
        if given not in cache:
            cache[given] = f(*given)
        return cache[given]
    return inner
"""
KEEPERS = {
    "a cache": "@functools.cache\ndef load(n):\n    LOADED.append(n)\n    return len(LOADED)\n",
    "a closure": "@memo\ndef load(n):\n    LOADED.append(n)\n    return len(LOADED)\n",
    "a default": (
        "def load(n, seen={}):\n"
        "    if n not in seen:\n        LOADED.append(n)\n        seen[n] = len(LOADED)\n"
        "    return seen[n]\n"
    ),
}
SERVICE = """
@serve.deployment
class Service:
    def ask(self, n: int):
        return [load(n), len(LOADED), "first"]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """What forks replicas."""
    with Server() as address:
        yield address


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """A notebook whose first cell was run."""
    made = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", made.module)
    made.run(HEAD)
    return made


def node(book: Notebook) -> Node:
    """What the notebook would deploy."""
    return graph_of(book.names["Service"], {}).ingress


def planned(old: Node, new: Node) -> Action:
    """What becomes of the deployment."""
    return compare("Service", old.fingerprint, new.fingerprint)


@pytest.mark.parametrize("kind", KEEPERS)
def test_what_a_function_keeps_stays_when_other_code_is_edited(
    kind: str, book: Notebook, server: str
) -> None:
    """A loaded model stays loaded, in whichever way the function remembers it."""
    book.run(KEEPERS[kind])
    book.run(SERVICE)
    old = node(book)
    book.run(KEEPERS[kind])
    book.run(SERVICE.replace("first", "second"))
    new = node(book)

    with Replica(server) as replica:
        replica.make(shipped(old))
        before = replica.ask("call ask [7]")
        replica.follow(shipped(new))
        after = replica.ask("call ask [7]")

    assert planned(old, new).kind == "swap"
    assert (before, after) == ([1, 1, "first"], [1, 1, "second"])


@pytest.mark.parametrize("kind", KEEPERS)
def test_a_function_that_was_edited_begins_afresh(kind: str, book: Notebook, server: str) -> None:
    """As its cell says: what the old one remembered was made by other code."""
    book.run(KEEPERS[kind])
    book.run(SERVICE)
    old = node(book)
    book.run(KEEPERS[kind].replace("append(n)", "extend([n, n])"))
    new = node(book)

    with Replica(server) as replica:
        replica.make(shipped(old))
        before = replica.ask("call ask [7]")
        replica.follow(shipped(new))
        after = replica.ask("call ask [7]")

    assert planned(old, new).kind == "swap"
    assert (before, after) == ([1, 1, "first"], [3, 3, "first"])


UNSOUND = {
    "another function is made of the same": (
        "a, b = memo(len), memo(len)\ndef load(n):\n    return a('x') + b('y')\n"
    ),
    "`TOTAL`, which code assigns to": (
        "TOTAL = 0\n@memo\ndef load(n):\n    global TOTAL\n    TOTAL += 1\n    return TOTAL\n"
    ),
}


@pytest.mark.parametrize("reason", UNSOUND)
def test_what_cannot_be_told_apart_gets_a_new_process(reason: str, book: Notebook) -> None:
    """Two functions must not become one, and none may look at variables that others do not see."""
    book.run(UNSOUND[reason])
    book.run(SERVICE)
    old = node(book)
    book.run(SERVICE.replace("first", "second"))
    action = planned(old, node(book))

    assert action.kind == "replace"
    assert reason in action.reason
