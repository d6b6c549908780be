"""The architecture: who may import whom, who owns what, and how long a module may be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "workbench"
MODULES = sorted(ROOT.rglob("*.py"))
LAYERS = ["errors", "core", "replica", "adapters", "runtime", "ui"]
OWNERS = {
    "ray": {
        *("adapters/cluster.py", "adapters/ray_graph.py", "adapters/ray_handles.py"),
        *("adapters/ray_connect.py", "adapters/ray_head.py", "adapters/ray_logs.py"),
        *(
            "adapters/ray_homes.py",
            "adapters/ray_pickles.py",
            "adapters/ray_remote.py",
            "adapters/ray_serve.py",
            "adapters/ray_store.py",
            "replica",
        ),
        "adapters/ray_workers.py",
    },
    "sqlite3": {"adapters/history.py"},
    "ipywidgets": {"ui"},
    "httpx": {"adapters/http.py", "adapters/streams.py"},
}
LONGEST = 400
BLOCK = "# --- private names of Ray", "# --- end of private names"


def _layer(module: str) -> int:
    part = module.split(".")[1] if "." in module else ""
    return LAYERS.index(part) if part in LAYERS else len(LAYERS)


def _imports(path: Path) -> list[tuple[str, int, bool]]:
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    package = ".".join(("workbench", *path.relative_to(ROOT).parts[:-1]))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, id(node) in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else "", node.module]))
            found += [(f"{base}.{a.name}", node.lineno, id(node) in inside) for a in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_its_own_layer_or_lower(path: Path) -> None:
    """Facts flow up and commands go down, so that each layer can be read by itself."""
    own = _layer(".".join(("workbench", *path.relative_to(ROOT).with_suffix("").parts)))
    higher = [n for n, _, _ in _imports(path) if n.startswith("workbench.") and _layer(n) > own]

    assert not higher


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_foreign_libraries_have_one_owner(path: Path) -> None:
    """What may change under us is met in one place."""
    here = str(path.relative_to(ROOT))
    strangers = [
        name
        for name, _, _ in _imports(path)
        for library, owners in OWNERS.items()
        if name.split(".")[0] == library and not {here, here.split("/")[0]} & owners
    ]

    assert not strangers


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_import_of_ours_hides_in_a_function(path: Path) -> None:
    """An import inside a function would hide a circle between modules."""
    assert not [n for n, _, inside in _imports(path) if inside and n.startswith("workbench")]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_is_long(path: Path) -> None:
    """A module that has grown too long holds two nouns."""
    assert len(path.read_text().splitlines()) <= LONGEST


def test_private_names_of_ray_stand_in_the_marked_block() -> None:
    """Whoever raises the Ray version reads one block to know what may break."""
    for path in MODULES:
        lines = path.read_text().splitlines()
        start = next((n for n, line in enumerate(lines, 1) if line.startswith(BLOCK[0])), 0)
        end = next((n for n, line in enumerate(lines, 1) if line.startswith(BLOCK[1])), 0)
        for name, line, _ in _imports(path):
            private = name.startswith("ray.") and any(p.startswith("_") for p in name.split("."))
            assert not private or start < line < end, f"{path}:{line} {name}"
