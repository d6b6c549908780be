"""What a function's code refers to: names from outside."""

from __future__ import annotations

import ast
import dis
import functools
from collections.abc import Iterator
from types import CodeType
from typing import Any

GLOBAL = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"}
LOADS = {"LOAD_GLOBAL", "LOAD_NAME"}
STORES = {"STORE_GLOBAL", "DELETE_GLOBAL"}
ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}


def outer_names(function: Any) -> tuple[str, ...]:
    """Names of globals that a function uses, in its annotations too, sorted."""
    names = set(_global_names(function.__code__))
    for each in getattr(function, "__annotations__", {}).values():
        if isinstance(each, str):
            names |= _names_in(each)
    return tuple(sorted(names))


def mentioned(code: CodeType) -> set[str]:
    """Attribute names and texts in code: what it may look up on an object."""
    found: set[str] = set()
    for each in codes(code):
        found.update(each.co_names)
        found.update(c for c in each.co_consts if isinstance(c, str))
    return found


@functools.lru_cache(maxsize=4096)
def stored_names(code: CodeType) -> frozenset[str]:
    """Names of the globals that code assigns to or deletes."""
    return frozenset(i.argval for i in _instructions(code) if i.opname in STORES)


@functools.lru_cache(maxsize=4096)
def only_attribute(code: CodeType, name: str, attribute: str) -> bool:
    """Whether code uses a global for nothing but one of its attributes."""
    for each in codes(code):
        steps = [i for i in dis.get_instructions(each) if i.opname != "PUSH_NULL"]
        for here, after in zip(steps, [*steps[1:], None], strict=True):
            if here.opname in GLOBAL and here.argval == name:
                loads = here.opname in LOADS and after is not None and after.opname in ATTRIBUTE
                if not loads or after.argval != attribute:  # type: ignore[union-attr]
                    return False
    return True


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


@functools.lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> frozenset[str]:
    return frozenset(i.argval for i in _instructions(code) if i.opname in GLOBAL)


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    for each in codes(code):
        yield from dis.get_instructions(each)


def _names_in(annotation: str) -> set[str]:
    try:
        tree = ast.parse(annotation, mode="eval")
    except SyntaxError:
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
