"""What keeps a target from being sent to a replica: the variable, and the line that uses it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

from workbench.core.references import outer_names
from workbench.replica import routes

from . import cells

MOST_TRIED = 500  # each costs a pickling
DEEPEST = 12
Child = tuple[str, Any, Any]  # what it is called, the object, the function that uses it or None


@dataclass(frozen=True)
class Culprit:
    """What cannot be sent.

    Attributes:
        what: the variable, attribute or argument that holds it, in words.
        where: the line that uses it, or "".
        error: what pickling it says.
    """

    what: str
    where: str
    error: str

    def __str__(self) -> str:
        used = f", used in {self.where}" if self.where else ""
        return f"{self.what}{used}: {self.error}"


def culprit(parts: tuple[Any, ...], pickled: Callable[[Any], object]) -> Culprit | None:
    """Find the innermost named thing that cannot be pickled, and what uses it.

    Args:
        parts: (callable, ASGI application or None, args, kwargs).
        pickled: pickles an object, or raises.

    Returns:
        The culprit, or None where no named thing is to blame.
    """
    search = _Search(pickled)
    target, app, args, kwargs = parts
    roots: list[Child] = [("", target, None), ("", app, None)]
    roots += [(f"argument {n} of .bind()", value, None) for n, value in enumerate(args, start=1)]
    roots += [(f"{name!r}, an argument of .bind()", value, None) for name, value in kwargs.items()]
    for root in roots:
        if search.fails(root[1]):
            return search.inside(root, None)
    return None


class _Search:
    def __init__(self, pickled: Callable[[Any], object]) -> None:
        self._pickled, self._tried, self._errors = pickled, 0, dict[int, str]()
        self._inside: set[int] = set()  # objects may lead back to what holds them

    def fails(self, thing: Any) -> bool:
        """Whether an object cannot be pickled."""
        if id(thing) not in self._errors and self._tried < MOST_TRIED:
            self._tried += 1
            self._errors[id(thing)] = self._error_of(thing)
        return bool(self._errors.get(id(thing)))

    def inside(self, child: Child, outer: Culprit | None, depth: int = 0) -> Culprit | None:
        """The innermost culprit in an object that cannot be pickled."""
        name, thing, user = child
        here = self._named(name, thing, user, outer)
        self._inside.add(id(thing))
        if depth < DEEPEST:
            for each in _children(thing):
                if id(each[1]) not in self._inside and self.fails(each[1]):
                    return self.inside(each, here, depth + 1)
        return here

    def _named(self, name: str, thing: Any, user: Any, outer: Culprit | None) -> Culprit | None:
        error = self._errors[id(thing)]
        if not name:
            return outer
        if user is not None or outer is None or not name.startswith(("[", ".")):
            return Culprit(name, cells.line_using(user, name.strip("'")) if user else "", error)
        return Culprit(f"{outer.what} at {name}", outer.where, error)

    def _error_of(self, thing: Any) -> str:
        try:
            self._pickled(thing)
        except (Exception, SystemExit) as error:  # pickling runs the user's code
            return str(error) or type(error).__name__
        return ""


def _children(thing: Any) -> Iterator[Child]:
    """Named things that an object is made of."""
    if isinstance(thing, staticmethod | classmethod | MethodType):
        yield "", thing.__func__, None
    elif isinstance(thing, FunctionType):
        yield from _of_function(thing)
    elif isinstance(thing, functools.partial):
        yield from (("", each, None) for each in (thing.func, thing.args, thing.keywords))
    elif isinstance(thing, type):
        yield from (("", base, None) for base in thing.__bases__ if base is not object)
        yield from _of_class(thing)
    elif isinstance(thing, dict):
        yield from ((f"[{key!r}]", value, None) for key, value in list(thing.items()))
    elif isinstance(thing, list | tuple):
        yield from ((f"[{place}]", value, None) for place, value in enumerate(thing))
    elif hasattr(thing, "router"):
        yield from (("", route.endpoint, None) for _, route in routes.walk(thing))
        yield from ((f".{n}", value, None) for n, value in vars(thing).items())
    elif hasattr(thing, "__wrapped__"):
        yield "", thing.__wrapped__, None
    elif isinstance(getattr(thing, "__dict__", None), dict):
        yield from ((f".{name}", value, None) for name, value in list(vars(thing).items()))


def _of_function(function: FunctionType) -> Iterator[Child]:
    names = function.__globals__
    for name in outer_names(function):
        if name in names:
            yield f"{name!r}", names[name], function
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f"{name!r}", cell.cell_contents, function
        except ValueError:
            continue  # nothing is in it yet
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    yield from ((f"a default value of {function.__name__}()", each, None) for each in defaults)
    if hasattr(function, "__wrapped__"):
        yield "", function.__wrapped__, None


def _of_class(cls: type) -> Iterator[Child]:
    for name, value in list(vars(cls).items()):
        if isinstance(value, FunctionType | staticmethod | classmethod | property):
            found = [value] if not isinstance(value, property) else [value.fget, value.fset]
            yield from (("", each, None) for each in found if each is not None)
        elif not name.startswith("__"):
            yield f"{name!r} of class {cls.__name__}", value, None
