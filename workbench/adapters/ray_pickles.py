"""Spares cloudpickle from reading the names of all modules for every function that it pickles.

It looks among them for submodules that a function reaches through their package, as
`concurrent.futures` is by `import concurrent.futures`; with torch imported there are thousands.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable, Iterator
from types import CodeType, ModuleType
from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
# _find_imported_submodules: what looks for them; cloudpickle has no other way to replace it.
from ray.cloudpickle import cloudpickle

# --- end of private names

_one_at_a_time = threading.RLock()
Parts = tuple[str, frozenset[str]]  # a module and the names that lead to it from its package
_index: tuple[list[str], dict[str, list[Parts]]] = ([], {})


@contextlib.contextmanager
def modules_indexed() -> Iterator[None]:
    """What is pickled meanwhile finds the submodules by an index, made anew after imports."""
    index = _by_package()

    def used(code: CodeType, reached: Iterable[Any]) -> list[ModuleType]:
        packages = [m.__name__ for m in reached if isinstance(m, ModuleType) and _is_in_one(m)]
        below = [each for package in packages for each in index.get(package, ())]
        names = set(code.co_names) if below else set()
        return [sys.modules[n] for n, parts in below if parts <= names and n in sys.modules]

    with _one_at_a_time:
        before = cloudpickle._find_imported_submodules
        cloudpickle._find_imported_submodules = used
        try:
            yield
        finally:
            cloudpickle._find_imported_submodules = before


def _is_in_one(module: ModuleType) -> bool:
    return bool(getattr(module, "__package__", None))


def _by_package() -> dict[str, list[Parts]]:
    """The modules below each package."""
    global _index
    names = list(sys.modules)
    if names != _index[0]:
        found: dict[str, list[Parts]] = {}
        for name in names:
            parts = (name or "").split(".")
            for length in range(1, len(parts)):
                below = name, frozenset(parts[length:])
                found.setdefault(".".join(parts[:length]), []).append(below)
        _index = names, found
    return _index[1]
