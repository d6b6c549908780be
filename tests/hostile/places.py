"""Where in a target a value may lie, and targets that are strange by themselves."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from ray import serve

from .things import (
    Abstract,
    Anything,
    AsyncMade,
    Colour,
    Frozen,
    GeneratorMade,
    Generic,
    Meta,
    Own,
    Properties,
    Slots,
    generator,
)


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


class Pair:
    """Takes two values."""

    def __init__(self, first: Any, second: Any = None) -> None:
        self.values = first, second

    def __call__(self) -> int:
        return 1


def attribute_of(value: Any) -> Any:
    """A class that has a value as attribute."""

    class Has:
        held = value

        def __call__(self) -> int:
            return 1

    return Has


def stateful_with(value: Any) -> Any:
    """A FastAPI application that holds a value in its state."""
    api = api_with(1)
    api.state.value = value
    return api


def depends_on(value: Any) -> Any:
    """A FastAPI application whose dependency closes over a value."""
    api = FastAPI()

    @api.get("/")
    def answer(given: Annotated[Any, Depends(holding(value))]) -> str:
        return str(type(given))

    return api


def passes_through(value: Any) -> Any:
    """A FastAPI application whose middleware closes over a value."""
    api = api_with(1)

    @api.middleware("http")
    async def through(request: Request, call_next: Any) -> Any:
        return await call_next(request) if value is not request else None

    return api


def annotated_with(value: Any) -> Any:
    """A class whose method is annotated with a value."""

    class Annotates:
        def __call__(self) -> int:
            return 1

    Annotates.__call__.__annotations__["return"] = value
    return Annotates


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate without `functools.wraps`."""
    return lambda *args, **kwargs: function(*args, **kwargs)


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
    "class attribute": attribute_of,
    "base class": lambda value: type("Derived", (attribute_of(value),), {}),
    "user_config": lambda value: serve.deployment(user_config={"value": value})(Slots),
    "state of the application": stateful_with,
    "dependency": depends_on,
    "middleware": passes_through,
    "nested deployment": lambda value: serve.deployment(Pair).bind(bound_with(value), [value]),
    "keyword": lambda value: serve.deployment(Pair).bind(1, second={"deep": [value]}),
    "annotation": annotated_with,
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
