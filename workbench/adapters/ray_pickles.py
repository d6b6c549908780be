"""How this process pickles for Ray: more kinds of objects than cloudpickle knows, and sooner.

cloudpickle looks among all modules for submodules that a function reaches through their package, as
`concurrent.futures` is by `import concurrent.futures`; with torch imported there are thousands.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections import ChainMap
from collections.abc import Iterable, Iterator
from types import CodeType, ModuleType
from typing import Any
from weakref import WeakSet

# --- private names of Ray: pinned by tests/test_ray_contract.py
# _find_imported_submodules: what looks for them; cloudpickle has no other way to replace it.
# _lookup_class_or_track, _class_setstate: what makes and fills a class that comes in a pickle.
from ray.cloudpickle import cloudpickle

# --- end of private names
from workbench.replica import pickles

# How objects are taken apart, by type.
REDUCERS = ChainMap(pickles.fresh(), cloudpickle.Pickler.dispatch_table)
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


def teach_cloudpickle() -> None:
    """Have Ray pickle what a deployment may hold, and leave this process's own classes alone.

    Serve pickles a class when it is decorated, and `@serve.ingress` loads the pickle of an
    application in the same process. Ray then fills the classes that the application refers to
    once more, though they are there: their methods become copies with other globals.
    """
    if cloudpickle.Pickler.reducer_override.__module__ == __name__:
        return
    reduce, track, fill = (
        cloudpickle.Pickler.reducer_override,
        cloudpickle._lookup_class_or_track,
        cloudpickle._class_setstate,
    )

    def reducer_override(self: Any, obj: Any) -> Any:
        reduced = pickles.reduced(self, obj)
        return reduce(self, obj) if reduced is None else reduced

    def _lookup_class_or_track(class_tracker_id: Any, class_def: Any) -> Any:
        found = track(class_tracker_id, class_def)
        if found is class_def and isinstance(found, type):
            _empty.add(found)
        return found

    @functools.wraps(fill)  # pickles name it: it must be found under that name
    def _class_setstate(obj: Any, state: Any) -> Any:
        if obj not in _empty:
            return obj
        _empty.discard(obj)
        return fill(obj, state)

    cloudpickle.Pickler.reducer_override = reducer_override
    cloudpickle._lookup_class_or_track = _lookup_class_or_track
    cloudpickle._class_setstate = _class_setstate


_empty = WeakSet[type]()  # classes that a pickle makes, until it fills them
teach_cloudpickle()
