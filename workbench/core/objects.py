"""What can be seen of a function, a class or an object from outside."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from typing import Any

STANDARD_LIBRARY = sysconfig.get_path("stdlib") + os.sep

CONTAINERS = (list, dict, set, bytearray)
CLASS_DERIVED = {
    *("__dict__", "__weakref__", "__module__", "__qualname__", "_abc_impl", "__slotnames__"),
    *("__abstractmethods__", "__firstlineno__", "__static_attributes__", "__annotate_func__"),
    *("__annotations_cache__", "__pydantic_core_schema__", "__pydantic_validator__"),
    *("__pydantic_serializer__", "__pydantic_parent_namespace__", "__pydantic_complete__"),
    *("__pydantic_generic_metadata__", "__pydantic_setattr_handlers__", "__signature__"),
}


def is_small(value: Any) -> bool:
    """Whether a value is such that equal ones may be the same object by accident."""
    return value is None or type(value) in (bool, int, float, complex, str, bytes, tuple, frozenset)


def members_of(cls: type) -> dict[str, Any]:
    """What the class statement itself defines, in order, without what is derived from it."""
    return {name: value for name, value in vars(cls).items() if name not in CLASS_DERIVED}


def closure_of(function: types.FunctionType) -> dict[str, Any]:
    """Cells of a function's closure by variable."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def keeps(function: Any) -> list[str]:
    """What a function keeps for itself, so that a new one would begin afresh."""
    if not isinstance(function, types.FunctionType):
        return []
    found = [
        f"`{function.__name__}` keeps `{name}` in a closure"
        for name, cell in closure_of(function).items()
        if isinstance(cell_contents(cell), CONTAINERS)
    ]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if any(isinstance(each, CONTAINERS) for each in defaults):
        found.append(f"`{function.__name__}` has a list, dict or set as a default value")
    return found


def cell_contents(cell: Any) -> Any:
    """The value of a closure's cell, or None while it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def annotations_of(function: Any) -> dict[str, Any]:
    """Annotations as they stand, not evaluated."""
    try:
        return dict(function.__annotations__)
    except Exception:  # Python 3.14 evaluates them here, which runs the user's code
        return {}


def is_importable(thing: Any) -> bool:
    """Whether a function or class is found by its name in a module, as pickle would find it."""
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    if module is None or module.__name__ == "__main__":
        return False
    found: Any = module
    for part in thing.__qualname__.split("."):
        found = inspect.getattr_static(found, part, None)
    return found is thing


def is_installed(code: types.CodeType) -> bool:
    """Whether code stands in Python's own library or in an installed package."""
    name = code.co_filename
    return "site-packages" in name or name.startswith((STANDARD_LIBRARY, "<frozen "))


def slots_of(thing: Any) -> dict[str, Any]:
    """The attributes that an object keeps in slots."""
    found = {}
    for name in _slot_names(type(thing)):
        try:
            found[name] = object.__getattribute__(thing, name)
        except AttributeError:
            continue
    return found


def _slot_names(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        yield from (n for n in names if n not in ("__dict__", "__weakref__"))
