"""An edit of a variable is seen, wherever the class that reads it found its globals."""

from __future__ import annotations

import sys

import pytest

from tests.notebook import Notebook
from workbench.adapters.ray_graph import graph_of
from workbench.core.plan import compare

HEAD = """
import types
from ray import serve

PROMPT = "one"

def copied(cls):
    # What Ray leaves where it pickled an application before workbench was imported.
    part = {name: globals()[name] for name in ("PROMPT", "__name__")}
    for name, method in list(vars(cls).items()):
        if isinstance(method, types.FunctionType):
            made = types.FunctionType(method.__code__, part, name)
            made.__module__, made.__qualname__ = method.__module__, method.__qualname__
            setattr(cls, name, made)
    return cls
"""
CLASS = """
class Service:
    def __call__(self, x: int):
        return PROMPT
"""
CELLS = {
    "a class": (CLASS, "Service"),
    "Ray's copies": (CLASS + "copied(Service)", "Service"),
    "a deployment": (CLASS + "Service = serve.deployment(copied(Service))", "Service"),
    "an application": (CLASS + "Service = serve.deployment(copied(Service)).bind()", "Service"),
    "a function that binds": (
        CLASS
        + "Service = serve.deployment(copied(Service))\ndef made():\n    return Service.bind()",
        "made()",
    ),
}


def planned(book: Notebook, target: str, edit: str) -> str:
    """What an edit costs."""
    before = graph_of(eval(target, book.names), {}).ingress
    book.run(edit)
    return compare(
        "S", before.fingerprint, graph_of(eval(target, book.names), {}).ingress.fingerprint
    ).kind


@pytest.mark.parametrize("kind", CELLS)
def test_a_variable_of_the_notebook(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever Serve made of the class, and whether Ray copied its methods."""
    cell, target = CELLS[kind]
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    book.run(HEAD)
    book.run(cell)

    assert planned(book, target, 'PROMPT = "two"') == "swap"


@pytest.mark.parametrize("decorator", ["", "@serve.deployment\n"])
def test_a_variable_of_a_dictionary_in_which_cells_run(
    decorator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As front ends other than IPython do it; a class of that name in the notebook is another."""
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    book.run(HEAD)
    book.run(CLASS)
    cell = HEAD + decorator + CLASS.strip()
    book.run(f"space = {{'__name__': '__main__'}}\nexec({cell!r}, space)")

    assert planned(book, "space['Service']", "PROMPT = 'other'") == "keep"
    assert planned(book, "space['Service']", "exec('PROMPT = \"two\"', space)") == "swap"
