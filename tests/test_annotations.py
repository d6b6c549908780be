"""Annotations that are text, and the names that they are made from."""

from __future__ import annotations

from typing import Any

from workbench.core.targets import resolve_annotations


def defined(module: str, **names: Any) -> Any:
    """A function whose annotation names something of its own globals."""
    space = {"__name__": module, **names}
    text = "def f(x: 'path', y: 'flags' = None) -> 'version': return x"
    exec(compile(text, "a cell", "exec", dont_inherit=True), space)
    return space["f"]


def test_names_of_python_itself_are_not_the_users() -> None:
    """A class may be called `path` or `version`; those of `sys` are not meant."""
    path, flags, version = (type(n, (), {}) for n in ("path", "flags", "version"))
    for module in ("no_module_of_this_name", "__main__"):
        function = defined(module, path=path, flags=flags, version=version)

        resolve_annotations(function)

        assert function.__annotations__ == {"x": path, "y": flags, "return": version}


def test_what_cannot_be_resolved_stays() -> None:
    """A name that only type checkers know is left to FastAPI."""
    function = defined("no_module_of_this_name")

    resolve_annotations(function)

    assert function.__annotations__["x"] == "path"
