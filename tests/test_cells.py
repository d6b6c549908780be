"""The text of what was written in cells, found again from the objects."""

from __future__ import annotations

import functools
import json
import linecache
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from ray import serve

from workbench.adapters.cells import is_own, source_of

RAG = """\
@serve.deployment(num_replicas=2)
@serve.ingress(api)
class RAG:
    \"\"\"Answers.\"\"\"

    prompt = "short"

    def __init__(self, llm=None):
        self.llm = llm

    @api.get("/chat")
    def chat(self) -> str:
        return self.prompt
"""
RunCell = Callable[[str], dict[str, Any]]


@pytest.fixture
def run_cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunCell]:
    """Runs cells as a notebook does: each in a file of its own that only linecache knows."""
    namespace: dict[str, Any] = {"__name__": "__main__", "serve": serve, "FastAPI": FastAPI}
    files = []

    def run(text: str) -> dict[str, Any]:
        name = f"/tmp/ipykernel_4711/{len(files)}.py"
        files.append(name)
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), namespace)
        return namespace

    yield run
    for name in files:
        linecache.cache.pop(name, None)


def test_a_class_is_found_with_its_decorators(run_cell: RunCell) -> None:
    """Behind Serve's deployment and its ingress wrapper stands what the user wrote."""
    made = run_cell(f"api = FastAPI()\n\n{RAG}\nx = 1\n")["RAG"]

    assert source_of(made) == RAG
    assert source_of(made.func_or_class) == RAG


def test_each_run_of_a_cell_keeps_its_own_text(run_cell: RunCell) -> None:
    """The class that was made by the older run is not shown with the newer run's text."""
    older = run_cell(f"api = FastAPI()\n{RAG}")["RAG"]
    newer = run_cell(f"api = FastAPI()\n{RAG.replace('short', 'long')}")["RAG"]

    assert '"short"' in source_of(older)
    assert '"long"' in source_of(newer)


def test_a_class_of_that_name_in_the_same_cell_is_told_apart(run_cell: RunCell) -> None:
    """The methods' lines tell which of two definitions made the class."""
    twice = "class A:\n    def a(self): ...\n\nB = A\n\nclass A:\n    def b(self): ...\n"

    made = run_cell(twice)

    assert source_of(made["B"]) == "class A:\n    def a(self): ...\n"
    assert source_of(made["A"]) == "class A:\n    def b(self): ...\n"


def test_an_instance_shows_its_class(run_cell: RunCell) -> None:
    """A bound object has no text but that of its class."""
    made = run_cell("class Echo:\n    def __call__(self, x): return x\n\necho = Echo()\n")

    assert source_of(made["echo"]) == "class Echo:\n    def __call__(self, x): return x\n"


@pytest.mark.parametrize(
    "member",
    [
        "@property\n    def a(self): ...",
        "@staticmethod\n    def a(): ...",
        "@classmethod\n    def a(cls): ...",
        "@functools.cached_property\n    def a(self): ...",
        "@functools.lru_cache\n    def a(self): ...",
        "@serve.batch\n    async def a(self, xs): ...",
        "a = functools.partialmethod(lambda self, x: x, 1)",
    ],
)
def test_any_kind_of_method_leads_to_the_class(run_cell: RunCell, member: str) -> None:
    """Each decorator hides the function in a way of its own."""
    text = f"class A:\n    {member}\n"

    made = run_cell(f"import functools\n{text}")

    assert source_of(made["A"]) == text


def test_functions_and_lambdas_are_found(run_cell: RunCell) -> None:
    """Methods, partials, decorated and nested functions all show what was written."""
    text = (
        "import functools\n"
        "@functools.lru_cache\n"
        "def add(x: int, y: int = 1) -> int:\n"
        "    return x + y\n"
        "async def later(): ...\n"
        "double = lambda x: 2 * x\n"
        "def outer():\n"
        "    def inner():\n"
        "        return 1\n"
        "    return inner\n"
    )
    made = run_cell(text)
    added = "@functools.lru_cache\ndef add(x: int, y: int = 1) -> int:\n    return x + y\n"

    assert source_of(made["add"]) == added
    assert source_of(functools.partial(made["add"], 1)) == added
    assert source_of(made["later"]) == "async def later(): ...\n"
    assert source_of(made["double"]) == "double = lambda x: 2 * x\n"
    assert source_of(made["outer"]()) == "def inner():\n    return 1\n"


def test_an_app_shows_its_endpoints_then_their_dependencies(run_cell: RunCell) -> None:
    """All that a plain FastAPI app is made of, once each, in the order of its routes."""
    run_cell("from fastapi import APIRouter, Depends\ndef limit(n: int = 3) -> int: return n\n")
    run_cell("def user(n: int = Depends(limit)) -> str: return 'me'\n")
    made = run_cell(
        "api, router = FastAPI(), APIRouter(prefix='/more')\n"
        "@api.get('/b')\ndef second(me: str = Depends(user)): ...\n"
        "@router.get('/a')\ndef first(me: str = Depends(user)): ...\n"
        "api.include_router(router)\n"
    )

    assert source_of(made["api"]) == (
        "@api.get('/b')\ndef second(me: str = Depends(user)): ...\n\n\n"
        "@router.get('/a')\ndef first(me: str = Depends(user)): ...\n\n\n"
        "def user(n: int = Depends(limit)) -> str: return 'me'\n\n\n"
        "def limit(n: int = 3) -> int: return n\n"
    )


def test_an_app_that_a_cell_was_run_on_twice_shows_the_newer(run_cell: RunCell) -> None:
    """The replica drops the superseded route, so it is no part of the revision."""
    run_cell("api = FastAPI()\n")
    run_cell("@api.get('/')\ndef root(): return 1\n")
    made = run_cell("@api.get('/')\ndef root(): return 2\n")

    assert source_of(made["api"]) == "@api.get('/')\ndef root(): return 2\n"


def test_an_app_behind_an_ingress_without_a_class_is_found(run_cell: RunCell) -> None:
    """`serve.ingress(api)()` keeps only a copy of the app."""
    text = "@api.get('/')\ndef root(): return 1\n"

    made = run_cell(f"api = FastAPI()\n{text}D = serve.deployment(serve.ingress(api)())\n")

    assert source_of(made["D"]) == text


@pytest.mark.parametrize("target", [json.JSONDecoder, json.loads, len, 3, FastAPI(), APIRouter()])
def test_what_the_user_did_not_write_has_no_text(target: Any) -> None:
    """Installed code is known by its version, and would bury the user's own."""
    assert source_of(target) == ""


def test_a_file_of_the_user_is_read_too() -> None:
    """Code that is imported from beside the notebook is shown like that of a cell."""
    assert source_of(Depends) == ""
    assert source_of(test_a_file_of_the_user_is_read_too).startswith("def test_a_file_of")


def test_a_class_without_methods_is_found_in_the_newest_cell() -> None:
    """No code tells where it stands, so the cells are searched from the last one back."""
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from workbench.adapters.cells import source_of\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_cell('class A:\\n    def f(self): ...')\n"
        "shell.run_cell('class B(A):\\n    prompt = 1')\n"
        "shell.run_cell('%time x = 1\\nclass B(A):\\n    prompt = 2')\n"
        "print(source_of(shell.user_ns['B']), end='')\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("class B(A):\n    prompt = 2\n")


@pytest.mark.parametrize("installed", [True, False])
def test_packages_in_a_folder_of_the_path_are_installed_where_pip_put_them(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install --user` and `--target` leave a record there; the user's own code does not."""
    (tmp_path / "solver.py").write_text("def solve(): ...\n")
    if installed:
        (tmp_path / "solver-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    assert is_own(str(tmp_path / "solver.py")) is not installed
