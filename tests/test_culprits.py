"""What cannot be sent to a replica is named, with the line that uses it."""

from __future__ import annotations

import sys

import pytest

from workbench.adapters.ray_graph import graph_of
from workbench.errors import PlanError

from .notebook import Notebook

CASES = {
    "a database connection": (
        "import sqlite3\nDATABASE = sqlite3.connect(':memory:')\ndef target(x: int) -> int:\n"
        "    y = x + 1\n    return DATABASE.total_changes + y\n",
        "'DATABASE', used in .*, line 5: cannot pickle 'sqlite3.Connection' object",
    ),
    "a generator, two functions away": (
        "NUMBERS = (n for n in range(3))\ndef draw():\n    return next(NUMBERS)\n"
        "def target(x: int) -> int:\n    return draw() + x\n",
        "'NUMBERS', used in .*, line 3: cannot pickle 'generator' object",
    ),
    "an iterator in a dictionary": (
        "FILES = {'log': [(n for n in ())]}\ndef target(x: int) -> int:\n    return len(FILES)\n",
        r"'FILES' at \['log'\] at \[0\], used in .*, line 3: cannot pickle 'generator'",
    ),
    "an attribute of an object": (
        "class Store:\n    def __init__(self):\n        self.rows = (n for n in ())\n"
        "STORE = Store()\n"
        "def target(x: int) -> int:\n    return STORE.rows\n",
        r"'STORE' at \.rows, used in .*, line 6: cannot pickle 'generator'",
    ),
    "a class attribute": (
        "class target:\n    rows = (n for n in ())\n    def __call__(self, x: int) -> int:\n"
        "        return 1\n",
        "'rows' of class target: cannot pickle 'generator'",
    ),
    "a default value": (
        "def target(x: int, rows=(n for n in ())) -> int:\n    return 1\n",
        r"a default value of target\(\): cannot pickle 'generator'",
    ),
    "a closure": (
        "def make():\n    rows = (n for n in ())\n    def target(x: int) -> int:\n"
        "        return next(rows)\n    return target\ntarget = make()\n",
        "'rows', used in .*, line 4: cannot pickle 'generator'",
    ),
    "a route of an application": (
        "from fastapi import FastAPI\ntarget = FastAPI()\nROWS = (n for n in ())\n"
        "@target.get('/')\ndef read() -> int:\n    return next(ROWS)\n",
        "'ROWS', used in .*, line 6: cannot pickle 'generator'",
    ),
    "a method of a class with routes": (
        "from fastapi import FastAPI\nfrom ray import serve\napi = FastAPI()\n"
        "@serve.deployment\n@serve.ingress(api)\nclass target:\n    @api.get('/')\n"
        "    def read(self) -> int:\n        return next(ROWS)\nROWS = (n for n in ())\n",
        "'ROWS', used in .*, line 9: cannot pickle 'generator'",
    ),
    "an object that refuses": (
        "class Handle:\n    def __reduce__(self):\n        raise RuntimeError('tied to a device')\n"
        "HANDLE = Handle()\ndef target(x: int) -> int:\n    return HANDLE\n",
        "'HANDLE', used in .*, line 6: tied to a device",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_sent_is_named(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, the cell's line, what pickling says, and what to do instead."""
    cell, said = CASES[case]
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    target = book.run(cell)["target"]

    with pytest.raises(PlanError, match=f"cannot be sent to a replica: {said}") as caught:
        graph_of(target, {})

    assert "constructor" in caught.value.advice
