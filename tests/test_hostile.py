"""Targets that no one would deploy: each becomes a graph or is refused with its reason."""

from __future__ import annotations

import abc
import asyncio
import collections
import contextlib
import dataclasses
import datetime
import enum
import functools
import io
import itertools
import re
import signal
import socket
import sys
import threading
import types
import typing
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from ray import serve

import workbench
from workbench.adapters import ray_graph
from workbench.core.graph import Graph

SECONDS = 20  # none may hang


class Meta(type):
    """Makes classes that lie about their name."""

    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __repr__(cls) -> str:
        raise RuntimeError("no repr")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("no comparing")

    def __hash__(cls) -> int:
        return 1


class Raises:
    """Everything that can be asked raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparing")

    def __hash__(self) -> int:
        raise RuntimeError("no hashing")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __call__(self) -> int:
        return 1


class Anything:
    """Has every attribute."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self


class Endless:
    """Looks itself up for ever."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "_")

    def __call__(self) -> int:
        return 1


class Liar:
    """Claims to be something else."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return FastAPI

    def __call__(self) -> int:
        return 1


class Quits:
    """Leaves the process when it is pickled."""

    def __reduce__(self) -> Any:
        raise SystemExit("pickled")

    def __call__(self) -> int:
        return 1


class Interrupts:
    """As if the user had pressed Ctrl-C while it is pickled."""

    def __reduce__(self) -> Any:
        raise RecursionError("too deep")

    def __call__(self) -> int:
        return 1


class Nonsense:
    """Pickles to nonsense."""

    def __reduce__(self) -> Any:
        return 42

    def __call__(self) -> int:
        return 1


class Properties:
    """Has properties that raise."""

    @property
    def weights(self) -> Any:
        raise ZeroDivisionError

    @functools.cached_property
    def more(self) -> Any:
        raise ZeroDivisionError

    def __call__(self) -> int:
        return 1


class Slots:
    """Has no dictionary."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1

    def __call__(self) -> int:
        return self.value


class GeneratorMade:
    """Its constructor is a generator."""

    def __init__(self) -> Any:  # type: ignore[misc]
        yield 1

    def __call__(self) -> int:
        return 1


class AsyncMade:
    """Its constructor is a coroutine, as Serve allows."""

    async def __init__(self) -> None:  # type: ignore[misc]
        await asyncio.sleep(0)

    def __call__(self) -> int:
        return 1


@dataclasses.dataclass(frozen=True, order=True)
class Frozen:
    """A dataclass."""

    value: int = 1
    more: list[int] = dataclasses.field(default_factory=list)

    def __call__(self) -> int:
        return self.value


class Colour(enum.Enum):
    """An enumeration."""

    RED = 1


class Abstract(abc.ABC):
    """Cannot be made."""

    @abc.abstractmethod
    def __call__(self) -> int: ...


class Own(metaclass=Meta):
    """Made by the metaclass that raises."""

    def __call__(self) -> int:
        return 1


class Generic(typing.Generic[typing.TypeVar("T")]):
    """A generic class."""

    def __call__(self) -> int:
        return 1


def holding(value: Any) -> Callable[[], Any]:
    """A function that closes over a value."""

    def call() -> Any:
        return value

    return call


def instance_with(value: Any) -> Any:
    """An instance that holds a value."""

    class Holder:
        def __init__(self) -> None:
            self.value = value

        def __call__(self) -> int:
            return 1

    return Holder()


def bound_with(value: Any) -> Any:
    """A deployment bound to a value."""

    @serve.deployment
    class Bound:
        def __init__(self, value: Any) -> None:
            self.value = value

        def __call__(self) -> int:
            return 1

    return Bound.bind(value)


def api_with(value: Any) -> Any:
    """A FastAPI application whose route closes over a value."""
    api = FastAPI()

    @api.get("/")
    def answer() -> str:
        return str(type(value))

    return api


def method_with(value: Any) -> Any:
    """A class whose method has a value as default."""

    class Defaults:
        def __call__(self, given: Any = value) -> int:
            return 1

    return Defaults


def endless_list() -> list[Any]:
    """A list that holds itself."""
    made: list[Any] = []
    made.append(made)
    return made


def deep(depth: int) -> list[Any]:
    """Lists in lists."""
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def generator() -> Iterator[int]:
    """A generator function."""
    yield 1


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate without `functools.wraps`."""
    return lambda *args, **kwargs: function(*args, **kwargs)


VALUES: dict[str, Callable[[], Any]] = {
    "lock": threading.Lock,
    "condition": threading.Condition,
    "thread": threading.Thread,
    "socket": socket.socket,
    "file": lambda: Path(__file__).open(),  # noqa: SIM115
    "generator": generator,
    "coroutine": lambda: asyncio.sleep(0),
    "frame": sys._getframe,
    "weakref": lambda: weakref.ref(Frozen),
    "module": lambda: types.ModuleType("made"),
    "memoryview": lambda: memoryview(b"x"),
    "endless list": endless_list,
    "deep list": lambda: deep(20_000),
    "raises": Raises,
    "anything": Anything,
    "endless": Endless,
    "liar": Liar,
    "quits": Quits,
    "interrupts": Interrupts,
    "nonsense": Nonsense,
    "properties": Properties,
    "slots": Slots,
    "own": Own,
    "nan": lambda: float("nan"),
    "bytes": lambda: b"\x00" * 10_000_000,
    "set of types": lambda: {int, str, Frozen},
    "regex": lambda: re.compile("a(b)c"),
    "date": lambda: datetime.datetime.now(datetime.UTC),
    "count": itertools.count,
    "namedtuple": lambda: collections.namedtuple("Point", "x y")(1, 2),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "enum": lambda: Colour.RED,
    "stdout": lambda: sys.stdout,
    "stringio": io.StringIO,
    "partial": lambda: functools.partial(print, 1),
    "exception": lambda: ValueError("x"),
    "ellipsis": lambda: ...,
    "surrogate": lambda: "\ud800",
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "itself": lambda value: value,
    "closure": holding,
    "instance": instance_with,
    "argument": bound_with,
    "route": api_with,
    "default": method_with,
    "partial": lambda value: functools.partial(print, value),
    "list": lambda value: [value],
    "lambda": lambda value: lambda: value,
}
TARGETS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "number": lambda: 7,
    "text": lambda: "RAG",
    "builtin": lambda: len,
    "builtin class": lambda: dict,
    "class of slots": lambda: Slots,
    "class with properties": lambda: Properties,
    "generator constructor": lambda: GeneratorMade,
    "async constructor": lambda: AsyncMade,
    "dataclass": lambda: Frozen,
    "enumeration": lambda: Colour,
    "abstract": lambda: Abstract,
    "metaclass": lambda: Meta,
    "made by a metaclass": lambda: Own,
    "generic": lambda: Generic,
    "alias": lambda: Generic[int],
    "union": lambda: int | str,
    "lambda": lambda: lambda: 1,
    "generator function": lambda: generator,
    "decorated": lambda: decorated(generator),
    "bound method": lambda: Slots().__call__,
    "class method": lambda: dict.fromkeys,
    "router": APIRouter,
    "the module": lambda: sys.modules[__name__],
    "a type made at run time": lambda: type("Made", (), {"__call__": lambda self: 1}),
    "a type with no module": lambda: type("Made", (), {"__module__": None}),
    "deployment": lambda: serve.deployment(Slots),
    "mock of everything": Anything,
}


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise where something hangs."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"not within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judged(target: Any) -> str:
    """Whether it is a graph, or why it is none; anything else raises."""
    try:
        with limited():
            graph = ray_graph.graph_of(target, {})
            ray_graph.target_name(target)
    except workbench.WorkbenchError as refused:
        assert str(refused)
        return type(refused).__name__
    assert isinstance(graph, Graph)
    return "graph"


@pytest.mark.parametrize("what", TARGETS)
def test_a_strange_target_is_taken_or_refused(what: str) -> None:
    """With a reason, in a moment, and without leaving Python."""
    assert judged(TARGETS[what]()) in ("graph", "PlanError")


@pytest.mark.parametrize("value", VALUES)
def test_a_strange_value_is_taken_or_refused_wherever_it_is(value: str) -> None:
    """In a closure, an instance, an argument, a route, a default."""
    for place, put in PLACES.items():
        try:
            target = put(VALUES[value]())
        except (Exception, SystemExit):
            continue  # Serve's own `bind`
        assert judged(target) in ("graph", "PlanError"), place


@pytest.mark.parametrize("place", ["closure", "instance", "argument"])
def test_code_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """With what makes it so where that can be told; the history could not keep it."""
    monkeypatch.setattr(ray_graph, "LARGEST_BYTES", 10_000_000)
    with pytest.raises(workbench.PlanError, match=r"holds 0\.02 GB") as refused:
        ray_graph.graph_of(PLACES[place](bytes(20_000_000)), {})

    assert "load it in the constructor" in str(refused.value)
    assert ("'value' has 0.02 GB" in str(refused.value)) == (place == "closure")
