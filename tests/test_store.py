"""What the store takes from replicas and notebooks that speak late, or to another store before."""

from __future__ import annotations

import asyncio

import pytest

from workbench.replica.store import BUSY, PREPARE, WAITED, Answers, Order, Store

KEY = ("app", "Echo", "v1")
BLOBS = {KEY: (b"new code", 2, {})}


async def _store() -> Store:
    store = object.__new__(Store)
    await store.__init__()  # type: ignore[misc]  # as Ray does it
    return store


async def _overtaken() -> tuple[Answers, Order | None]:
    """Replica "slow" answers the first change's order while the second change waits for it."""
    store = await _store()
    await store.enter(KEY, "slow", (1, {}, b"old code"))
    await store.prepare("app", BLOBS, 0.0)
    first = await store.next_order(KEY, "slow", 0, None)
    assert first is not None and first[1] == PREPARE
    await store.cancel("app")
    await store.prepare("app", BLOBS, 0.0)
    late = asyncio.create_task(store.next_order(KEY, "slow", first[0], ""))
    return await store.answers("app", 0.05), await late


def test_a_late_answer_is_not_taken_for_that_of_a_newer_order() -> None:
    """Nothing is exchanged before the replica has said that it prepared this very code."""
    (waiting, errors, complete), order = asyncio.run(_overtaken())
    assert (waiting, errors, complete) == (["slow"], {}, False)
    assert order is not None
    assert order[1] == PREPARE


def test_a_store_that_was_restarted_takes_nobody_for_dead() -> None:
    """It has no guards; a notebook in the middle of a deploy goes on."""

    async def heard() -> bool:
        return await (await _store()).heard_of("app")

    assert asyncio.run(heard())


class _Guarded:
    """A store in which one notebook has begun to change an application, and what was put back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put_back: list[str] = []
        names = {
            "put_back": lambda app, *_: self.put_back.append(app),
            "SILENT_S": 0.3,
            "BUSY_S": 1.0,
        }
        for method in (Store.alone, Store._put_back):
            for name, value in names.items():  # Ray may have shipped and reloaded the class
                monkeypatch.setitem(method.__globals__, name, value)

    async def alone(self, asking: str, heard: bool) -> str:
        store = await _store()
        await store.guard("app", b"before", "/app", {}, "first")
        heart = asyncio.create_task(self._beat(store)) if heard else None
        answer = await store.alone("app", asking)
        if heart is not None:
            heart.cancel()
        return answer

    async def _beat(self, store: Store) -> None:
        while True:
            await store.heard_of("app")
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("asking", "heard", "answer", "put_back"),
    [
        ("second", False, WAITED, ["app"]),
        ("second", True, BUSY, []),
        ("first", True, "", []),
    ],
)
def test_only_one_notebook_changes_an_application(
    monkeypatch: pytest.MonkeyPatch, asking: str, heard: bool, answer: str, put_back: list[str]
) -> None:
    """What a dead one began is undone before, not after, the next one's change."""
    guarded = _Guarded(monkeypatch)

    assert asyncio.run(guarded.alone(asking, heard)) == answer
    assert guarded.put_back == put_back
