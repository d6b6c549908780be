"""What a function's code refers to: names from outside, and what it does with `self`."""

from __future__ import annotations

import ast
import dis
import functools
from collections.abc import Iterator
from types import CodeType
from typing import Any

GLOBAL = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"}
ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR", "LOAD_SUPER_ATTR"}


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
def hands_out(code: CodeType, name: str) -> bool:
    """Whether code uses a variable for anything but its attributes.

    Args:
        code: of a method.
        name: of the variable, such as "self".

    Returns:
        True when it is passed on, stored, returned or captured in another way.
    """
    for each in codes(code):
        instructions = list(dis.get_instructions(each))
        for here, after in zip(instructions, [*instructions[1:], None], strict=True):
            if _loads(here, name) and (after is None or after.opname not in ATTRIBUTE):
                return True
    return False


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


@functools.lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> frozenset[str]:
    return frozenset(
        i.argval for each in codes(code) for i in dis.get_instructions(each) if i.opname in GLOBAL
    )


def _names_in(annotation: str) -> set[str]:
    try:
        tree = ast.parse(annotation, mode="eval")
    except SyntaxError:
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _loads(instruction: dis.Instruction, name: str) -> bool:
    if not instruction.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "STORE_FAST_LOAD_FAST")):
        return False
    value = instruction.argval
    return name in value if isinstance(value, tuple) else bool(value == name)
