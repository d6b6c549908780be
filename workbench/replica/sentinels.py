"""Objects that libraries compare by `is`: they travel by their names, as a copy would be another.

FastAPI's `_Unset` is one, `dataclasses.MISSING` another, and every bare `object()` of a module.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ray import cloudpickle

PLAIN = (type(None), bool, int, float, str, bytes, type)
BUILT_IN = (int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset)
OWN_WAY = ("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__slots__")
Found = tuple[ModuleType, str]  # a module and a name in it


class Sentinels:
    """Finds sentinels while something is pickled.

    A sentinel is an instance that the module of its class keeps under a private name, or under
    that of a constant, and that holds nothing which may have changed since it was imported.

    Args:
        copied: whether there may be copies of sentinels, as in what Serve's decorator pickled.
    """

    def __init__(self, copied: bool = False) -> None:
        self._copied = copied
        self._known: dict[type, tuple[tuple[Found, Any], ...]] = {}

    def find(self, thing: Any) -> Found | None:
        """Where a sentinel is found in the replica too; None for what is no sentinel."""
        kind = type(thing)
        if kind is object:
            return _anywhere(thing)
        known = self._known.get(kind)
        if known is None:
            known = self._known[kind] = tuple(_of_class(kind))
        for found, value in known:
            if value is thing or (self._copied and len(known) == 1 and _alike(value, thing)):
                return found
        return None


def _of_class(kind: type) -> list[tuple[Found, Any]]:
    """What a module keeps of a class that it defines."""
    module = sys.modules.get(getattr(kind, "__module__", None) or "")
    if module is None or not _is_plain(kind) or not _by_name(module):
        return []
    return [
        ((module, name), value)
        for name, value in list(vars(module).items())
        if type(value) is kind and _is_constant(name) and _holds_little(value)
    ]


def _is_plain(kind: type) -> bool:
    """Whether objects of a class are copied attribute by attribute, so that a copy is another."""
    bases = [base for base in kind.__mro__ if base is not object]
    return not issubclass(kind, BUILT_IN) and not any(n in vars(b) for n in OWN_WAY for b in bases)


def _is_constant(name: str) -> bool:
    return not name.startswith("__") and (name.startswith("_") or name.isupper())


def _holds_little(thing: Any) -> bool:
    return all(isinstance(each, PLAIN) for each in getattr(thing, "__dict__", {}).values())


def _alike(one: Any, other: Any) -> bool:
    return _holds_little(other) and bool(vars(one) == vars(other))


def _by_name(module: ModuleType) -> bool:
    """Whether what a module holds is found under its name where code runs."""
    parts = module.__name__.split(".")
    packages = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
    by_value = {"__main__", "builtins", *cloudpickle.list_registry_pickle_by_value()}
    return not packages & by_value


def _anywhere(thing: Any) -> Found | None:
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and _by_name(module):
            for name, value in list(vars(module).items()):
                if value is thing:
                    return module, name
    return None
