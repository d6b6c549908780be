"""`__del__` of the user's object: once, when its state ends."""

from __future__ import annotations

import asyncio
import gc

import pytest

from workbench.replica import destructors


class Base:
    ended: list[str]

    def __init__(self, name: str, ended: list[str]) -> None:
        self.name, self.ended = name, ended


def kept() -> type[Base]:
    """A class with a destructor, a new one each time."""

    class Kept(Base):
        def __del__(self) -> None:
            self.ended.append(self.name)

    return Kept


def test_an_object_that_is_spared_goes_without_its_del() -> None:
    """An exchange leaves it behind, and its state goes on in another object."""
    ended: list[str] = []
    cls, spared = kept(), set[int]()
    one, other = cls("one", ended), cls("other", ended)
    destructors.spare(one, spared)

    del one, other
    gc.collect()

    assert ended == ["other"]
    assert not spared  # an id may come again


def test_the_end_runs_it_once() -> None:
    """Serve's own call, and not Python's after it."""
    ended: list[str] = []
    one = kept()("one", ended)
    destructors.spare(one, set())

    asyncio.run(destructors.destroy(one))
    del one
    gc.collect()

    assert ended == ["one"]


@pytest.mark.parametrize("inherits", [False, True])
def test_it_may_be_a_coroutine_or_inherited(inherits: bool) -> None:
    """Serve accepts `async def __del__`; a base class may bring it."""
    ended: list[str] = []

    class Async(Base):
        async def __del__(self) -> None:
            await asyncio.sleep(0)
            self.ended.append(self.name)

    class Below(Async):
        pass

    one = (Below if inherits else Async)("one", ended)
    spared: set[int] = set()
    destructors.spare(one, spared)

    asyncio.run(destructors.destroy(one))

    assert ended == ["one"]


def test_an_object_without_it_is_left_alone() -> None:
    """Most have none."""
    one = Base("one", [])
    destructors.spare(one, spared := set())
    asyncio.run(destructors.destroy(one))

    assert not spared
    assert not hasattr(type(one), "__del__")
