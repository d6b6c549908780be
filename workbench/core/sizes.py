"""What makes a deployment's code large: the global or closed-over value that holds most."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from .references import outer_names


def size_bytes(value: Any) -> int:
    """About how many bytes a value holds; exact for bytes, texts, arrays and tensors."""
    held = getattr(value, "nbytes", None)
    return held if isinstance(held, int) else sys.getsizeof(value)


def heaviest(target: Any) -> tuple[str, int]:
    """Name and size in bytes of the largest value that a class or function refers to, or ("", 0).

    Args:
        target: the user's class or function.
    """
    named = [(size_bytes(value), name) for each in _functions(target) for name, value in _of(each)]
    size, name = max(named, default=(0, ""))
    return name, size


def _functions(target: Any) -> list[FunctionType]:
    members = vars(target).values() if isinstance(target, type) else [target]
    return [each for each in members if isinstance(each, FunctionType)]


def _of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name in outer_names(function):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is still empty
            continue
