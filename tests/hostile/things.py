"""Objects that no one would deploy, or hold in what is deployed."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import enum
import functools
import threading
import types
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any

import torch
from fastapi import FastAPI


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


def endless_dictionary() -> dict[str, Any]:
    """A dictionary that holds itself."""
    made: dict[str, Any] = {}
    made["self"] = made
    return made


def generator() -> Iterator[int]:
    """A generator function."""
    yield 1


async def async_generator() -> AsyncIterator[int]:
    """An asynchronous one."""
    yield 1


def traceback_of() -> types.TracebackType | None:
    """The traceback of an error."""
    try:
        raise ValueError
    except ValueError as error:
        return error.__traceback__


def hooked() -> torch.Tensor:
    """A tensor whose hook cannot leave the process."""
    made, lock = torch.zeros(3, requires_grad=True), threading.Lock()
    made.register_hook(lambda gradient: gradient if lock else None)
    return made
