"""Which class is meant by a pickle: a class of the notebook is one class on both sides.

Ray's pickler names each class that it sends by value, and a process that knows the name takes its
own class. The notebook and its replicas give a class the same name here, so that what travels
through handles, in both directions, is an instance of the class that runs there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

# --- private names of Ray: pinned by tests/test_ray_contract.py
# _DYNAMIC_CLASS_TRACKER_BY_CLASS, _BY_ID, _LOCK: the names by which pickles know classes; there is
#   no public way to give one.
# _class_setstate: fills a class that came in a pickle, also one that was there before: its methods
#   would become copies with other globals, and its variables those of the sender.
from ray.cloudpickle import cloudpickle

# --- end of private names


def holder(name: str) -> type | None:
    """The class that what comes under a name is of, or None."""
    found: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(name)
    return found


def name_of(cls: type) -> str:
    """The name that a class has."""
    return str(cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[cls])


def is_named(cls: type) -> bool:
    """Whether a class has its name already."""
    return cls in _ours()


def use(classes: Mapping[str, type]) -> None:
    """What comes under these names is of these classes from now on, whatever it was before.

    No pickle changes them any more.
    """
    with cloudpickle._DYNAMIC_CLASS_TRACKER_LOCK:
        for known_by, cls in classes.items():
            cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[cls] = known_by
            cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[known_by] = cls
    _ours().update(classes.values())


def _ours() -> WeakSet[type]:
    """Classes that pickles do not change. It is kept with Ray's function, one per process."""
    if not hasattr(cloudpickle._class_setstate, SPARED):
        cloudpickle._class_setstate = _sparing(cloudpickle._class_setstate)
    found: WeakSet[type] = getattr(cloudpickle._class_setstate, SPARED)
    return found


def _sparing(fill: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    spared = WeakSet[type]()

    @functools.wraps(fill)  # pickles name it: it must be found under that name
    def filled(cls: Any, state: Any) -> Any:
        return cls if cls in spared else fill(cls, state)

    setattr(filled, SPARED, spared)
    return filled


SPARED = "workbench_spared"
_ours()  # before the first pickle: one that has begun would hold Ray's own function by value
