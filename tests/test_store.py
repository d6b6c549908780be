"""What the store takes from replicas and notebooks that speak late, or to another store before."""

from __future__ import annotations

import asyncio

from workbench.replica.store import PREPARE, Answers, Order, Store

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
