"""The names under which the notebook sends its classes to replicas."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from workbench.replica import identity

_HOMES: WeakKeyDictionary[type, Mapping[str, Any]] = WeakKeyDictionary()


def name(cls: type, digest: str, home: Mapping[str, Any] | None) -> tuple[str, str]:
    """The name of a class; it keeps that for as long as it lives.

    An equal class gets the name of the one whose place it took, as when a cell was run again. One
    that stands beside it, in another namespace or from a class factory, is another class.

    Args:
        cls: a class that is sent by value.
        digest: of its content.
        home: the namespace in which it was defined; that of its module when None.

    Returns:
        The name, and its number among equal classes, "" for the first.
    """
    if not identity.is_named(cls):
        numbers = itertools.count(2)
        free = digest
        while (other := identity.holder(free)) is not None and _stands(other):
            free = f"{digest} {next(numbers)}"
        identity.use({free: cls})
        _HOMES[cls] = home or vars(sys.modules.get(cls.__module__, sys))
    found = identity.name_of(cls)
    return found, found.partition(" ")[2]


def _stands(cls: type) -> bool:
    """Whether a class is still to be found where it was defined."""
    home = _HOMES.get(cls)
    if home is None:
        return False
    first, *path = cls.__qualname__.split(".")
    found: Any = home.get(first)
    for part in path:
        found = getattr(found, part, None)
    return found is cls or any(each is cls for each in list(home.values()))
