"""Objects that pickle cannot carry by itself, and what they become in another process.

Locks, context variables and thread pools serve one process: another one gets its own. Functions
with a cache, and generic functions, are pickled by value like any other function of a notebook. A
function that keeps something for itself has a name, by which a process goes on using its own.
"""

from __future__ import annotations

import functools
import queue
import re
import threading
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

# --- private names of Ray: pinned by tests/test_ray_contract.py
# _make_function, _function_setstate: a function that refers to itself by a global can only be
#   made in two steps, and cloudpickle's are these.
# _function_getstate, Pickler._function_getnewargs: the other side of them.
# _should_pickle_by_reference: what is importable travels by its name.
from ray.cloudpickle import cloudpickle

# --- end of private names


@functools.cache
def _dispatching() -> CodeType:
    """The code of every function that `functools.singledispatch` makes."""
    made: Any = functools.singledispatch(repr)
    code: CodeType = made.__code__
    return code


def is_dispatcher(thing: Any) -> bool:
    """Whether a function was made by `functools.singledispatch`."""
    return isinstance(thing, FunctionType) and thing.__code__ is _dispatching()


def reduced(
    pickler: Any,
    thing: Any,
    name_of: Callable[[Any], str] = lambda function: "",
    shipped: Callable[[FunctionType], FunctionType] = lambda function: function,
) -> Any:
    """How to pickle what cloudpickle does not, or None.

    Args:
        pickler: a pickler of cloudpickle's.
        thing: any object.
        name_of: the name under which a process keeps a function; "" for none.
        shipped: the function that stands for another one where the code will run.
    """
    kind = type(thing)
    own = fresh().get(kind)
    if own is not None:
        return own(thing)
    if kind is functools._lru_cache_wrapper and _is_by_value(thing.__wrapped__):
        function: Any = thing.__wrapped__
        return _reduced_cache(pickler, thing, name_of(thing), shipped(function))
    if kind is not FunctionType:
        return None
    if is_dispatcher(thing) and _is_by_value(thing):
        return _reduced_dispatcher(pickler, thing, shipped)
    name = name_of(thing)
    return _reduced_keeper(pickler, name, shipped(thing)) if name else None


def _is_by_value(function: Any) -> bool:
    return isinstance(function, FunctionType) and not cloudpickle._should_pickle_by_reference(
        function
    )


def _reduced_cache(pickler: Any, thing: Any, name: str, function: FunctionType) -> tuple[Any, ...]:
    how = thing.cache_parameters()
    pieces = pickler._function_getnewargs(function)
    given = {k: v for k, v in vars(thing).items() if k not in (*vars(function), *MADE)}
    state = cloudpickle._function_getstate(function), given
    return (
        make_cached,
        (name, how["maxsize"], how["typed"], pieces),
        state,
        None,
        None,
        set_cached,
    )


MADE = (*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "cache_parameters")


def make_cached(name: str, maxsize: int | None, typed: bool, pieces: tuple[Any, ...]) -> Any:
    """A function with an empty cache; `set_cached` completes it. `name` is for who keeps it."""
    return functools.lru_cache(maxsize, typed)(cloudpickle._make_function(*pieces))


def set_cached(cached: Any, state: tuple[Any, dict[str, Any]]) -> Any:
    """Give a function that `make_cached` made its globals, closure and attributes."""
    of_function, given = state
    cloudpickle._function_setstate(cached.__wrapped__, of_function)
    functools.update_wrapper(cached, cached.__wrapped__)
    vars(cached).update(given)
    return cached


def _reduced_keeper(pickler: Any, name: str, function: FunctionType) -> tuple[Any, ...]:
    pieces, state = pickler._function_getnewargs(function), cloudpickle._function_getstate(function)
    return make_keeper, (name, pieces), state, None, None, set_keeper


def make_keeper(name: str, pieces: tuple[Any, ...]) -> Any:
    """A function without globals and closure; `set_keeper` completes it. `name` is as above."""
    return cloudpickle._make_function(*pieces)


def set_keeper(function: Any, state: Any) -> Any:
    """Give a function that `make_keeper` made its globals, closure and attributes."""
    return cloudpickle._function_setstate(function, state)


def _reduced_dispatcher(
    pickler: Any, thing: Any, shipped: Callable[[FunctionType], FunctionType]
) -> tuple[Any, ...]:
    registry: dict[type, Any] = dict(thing.registry)
    first = shipped(registry.pop(object))
    pieces = pickler._function_getnewargs(first)
    state = cloudpickle._function_getstate(first), registry
    return make_dispatcher, (pieces,), state, None, None, set_dispatcher


def make_dispatcher(pieces: tuple[Any, ...]) -> Any:
    """A generic function without its implementations; `set_dispatcher` completes it."""
    return functools.singledispatch(cloudpickle._make_function(*pieces))


def set_dispatcher(thing: Any, state: tuple[Any, dict[type, Any]]) -> Any:
    """Give a function that `make_dispatcher` made its globals and implementations."""
    of_function, registry = state
    cloudpickle._function_setstate(thing.__wrapped__, of_function)
    functools.update_wrapper(thing, thing.__wrapped__)
    for kind, function in registry.items():
        thing.register(kind, function)
    return thing


# What names in a pickle stand for where it is loaded, which has no `workbench` to import from.
MAKERS = {
    each.__name__: each
    for each in (
        *(make_cached, set_cached, make_keeper, set_keeper),
        *(make_dispatcher, set_dispatcher),
    )
}


def makers(known: MutableMapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The same for one load, with the functions that the process keeps: those are left as they are.

    Args:
        known: functions that keep something, by their names; new ones are added.
    """
    before = dict(known)  # held meanwhile, whoever else lets go of them
    kept = {id(each) for each in before.values()}

    def making(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(name: str, *how: Any) -> Any:
            found = known.get(name) or make(name, *how)
            if name:
                known[name] = found
            return found

        return made

    def setting(complete: Callable[..., Any]) -> Callable[..., Any]:
        return lambda thing, state: thing if id(thing) in kept else complete(thing, state)

    return {
        **MAKERS,
        **{"make_cached": making(make_cached), "set_cached": setting(set_cached)},
        **{"make_keeper": making(make_keeper), "set_keeper": setting(set_keeper)},
    }


COUNTED = re.compile(r"ThreadPoolExecutor-\d+_?\d*")  # Python's own names for a pool's threads


def _variable(thing: ContextVar[Any]) -> tuple[Any, ...]:
    try:
        default = Context().run(thing.get)
    except LookupError:
        return ContextVar, (thing.name,)
    return functools.partial(ContextVar, default=default), (thing.name,)


def _pool(thing: Any) -> tuple[Any, ...]:
    given, prefix = not COUNTED.fullmatch(thing._thread_name_prefix), thing._thread_name_prefix
    how = thing._max_workers, prefix if given else "", thing._initializer, thing._initargs
    return ThreadPoolExecutor, how


@functools.cache
def fresh() -> dict[type, Callable[[Any], Any]]:
    """What another process gets of its own: by type, how it is pickled."""
    return {
        type(threading.Lock()): lambda thing: (threading.Lock, ()),
        type(threading.RLock()): lambda thing: (threading.RLock, ()),
        threading.local: lambda thing: (threading.local, ()),
        queue.SimpleQueue: lambda thing: (queue.SimpleQueue, ()),
        WeakKeyDictionary: lambda thing: (WeakKeyDictionary, (dict(thing),)),
        WeakValueDictionary: lambda thing: (WeakValueDictionary, (dict(thing),)),
        ContextVar: _variable,
        ThreadPoolExecutor: _pool,
    }
