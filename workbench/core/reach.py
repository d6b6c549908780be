"""Which members of an object other code may use, when the object is given to it."""

from __future__ import annotations

import builtins
import inspect
import logging
import types
from collections.abc import Callable
from typing import Any

from .objects import is_installed
from .references import mentioned
from .usage import uses_of

Globals = Callable[[Any], dict[str, Any]]
NOTHING: frozenset[str] = frozenset()
AS_TEXT = frozenset(("__format__", "__repr__", "__str__"))
# Built-in functions that keep nothing of what they are given, and the members of it that they use;
# by name, since Ray and others put functions of their own in the place of some.
HARMLESS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("id", "type", "super", "isinstance", "callable", "vars", "dir"), NOTHING),
    **dict.fromkeys(("print", "str", "repr", "ascii", "format"), AS_TEXT),
    **dict.fromkeys(
        ("getattr", "hasattr", "setattr", "delattr"), NOTHING
    ),  # names in the code are noted
    "hash": frozenset(("__hash__", "__eq__")),
    "len": frozenset(("__len__",)),
    "bool": frozenset(("__bool__", "__len__")),
}
LOGGING = {"debug", "info", "warning", "error", "exception", "critical", "log"}
KEEPS_NOTHING = {"__init__", "__setattr__", "__init_subclass__", "__new__", "__getattribute__"}


def members_used(
    function: types.FunctionType, own: str, cls: type, globals_of: Globals
) -> set[str] | None:
    """Names of the members that a function may use of an object.

    Args:
        function: such as a method.
        own: the variable that holds the object, such as "self".
        cls: class of the object.
        globals_of: the globals that a function will find where it runs.

    Returns:
        Names beside those that its own code mentions; None when it may be any.
    """
    return _used(function, own, cls, globals_of, set())


def _used(
    function: types.FunctionType, own: str, cls: type, globals_of: Globals, seen: set[Any]
) -> set[str] | None:
    if (function.__code__, own) in seen:
        return set()
    seen.add((function.__code__, own))
    uses, found = uses_of(function.__code__, own), set[str]()
    if uses.escapes:
        return None
    for name, place in sorted(uses.passed, key=repr):
        built_in = name not in globals_of(function) and isinstance(place, int)
        if built_in and name in HARMLESS:
            found |= HARMLESS[name]
            continue
        holder, called = _looked_up(name, function, globals_of)
        more: set[str] | frozenset[str] | None = _of_call(holder, called, place, cls)
        if more is None and _is_own(called):
            more = _of_own(called, place, cls, globals_of, seen)
        if more is None:
            return None
        found |= more
    return found


def _looked_up(name: str, function: types.FunctionType, globals_of: Globals) -> tuple[Any, Any]:
    """What a dotted name leads to, and that of which it is an attribute; no code of users runs."""
    first, *rest = name.split(".")
    names = globals_of(function)
    holder, found = None, names.get(first, getattr(builtins, first, None))
    for part in rest:
        holder = found
        if not isinstance(holder, types.ModuleType | type | logging.Logger):
            return None, None
        found = inspect.getattr_static(holder, part, None)
    if isinstance(found, staticmethod):
        found = found.__func__
    return holder, found


def _of_call(holder: Any, called: Any, place: int | str, cls: type) -> frozenset[str] | None:
    if isinstance(holder, logging.Logger) or holder is logging:
        return AS_TEXT if getattr(called, "__name__", "") in LOGGING else None
    if isinstance(holder, type) and holder in cls.__mro__:
        own = place == 0 and (holder is not object or called.__name__ in KEEPS_NOTHING)
        return NOTHING if own else None  # the method is a member, and its name is mentioned
    return None


def _is_own(called: Any) -> bool:
    return isinstance(called, types.FunctionType) and not is_installed(called.__code__)


def _of_own(
    called: types.FunctionType, place: int | str, cls: type, globals_of: Globals, seen: set[Any]
) -> set[str] | None:
    """What the user's own function may use of an argument."""
    code = called.__code__
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if isinstance(place, int):
        place = named[place] if place < code.co_argcount else ""
    if place not in named or inspect.isgeneratorfunction(called) or hasattr(called, "__wrapped__"):
        return None
    used = _used(called, place, cls, globals_of, seen)
    return None if used is None else used | mentioned(code)
