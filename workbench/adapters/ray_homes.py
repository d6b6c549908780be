"""Where a notebook's class was defined: the namespace in which its code finds its globals."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

from ray import serve

from .ray_serve import bound


def home_of(target: Any) -> dict[str, Any] | None:
    """The namespace in which a class was defined.

    It is the module that the class names, unless a front end runs cells in a dictionary of its
    own: then its methods look their globals up there. Ray leaves methods copies of parts of a
    namespace, where nothing is seen of what the notebook does later.
    """
    if not isinstance(target, type):
        return None
    module = sys.modules.get(target.__module__)
    names = {} if module is None else vars(module)
    own = next(iter(_method_globals(target)), names)
    first = target.__qualname__.partition(".")[0]
    there = first in names and (_is_about(names[first], target) or not _is_about_in(own, target))
    return names if there else own


def _method_globals(cls: type) -> Iterator[dict[str, Any]]:
    for base in cls.__mro__:
        for member in vars(base).values():
            if isinstance(member, FunctionType) and member.__module__ == cls.__module__:
                yield member.__globals__


def _is_about_in(names: Mapping[str, Any], cls: type) -> bool:
    return _is_about(names.get(cls.__qualname__.partition(".")[0]), cls)


def _is_about(thing: Any, cls: type) -> bool:
    """Whether a variable holds a class, or what Serve made of it."""
    if isinstance(thing, serve.Application):
        thing = bound(thing)
    if isinstance(thing, serve.Deployment):
        thing = thing.func_or_class
    return isinstance(thing, type) and cls in thing.__mro__
