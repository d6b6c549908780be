"""How batches follow each other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import serve
from ray.serve import batching

from workbench.replica import batches
from workbench.replica.figures import Figures

SIZE = 4
ASKED = st.lists(
    st.tuples(st.sampled_from(["answer", "raise", "cancel"]), st.booleans()), min_size=12
)


@pytest.fixture(autouse=True, scope="module")
def alone() -> Any:
    """Serve warns of small limits, and asks a replica for them."""
    warned = "_warn_if_max_batch_size_exceeds_max_ongoing_requests"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching._BatchQueue, warned, lambda queue: None)
        yield


def test_the_next_batch_begins_before_the_answers_of_the_last_are_written() -> None:
    """Or the model would be idle meanwhile."""
    said: list[str] = []

    @serve.batch(max_batch_size=SIZE, batch_wait_timeout_s=0.001)
    async def run(xs: list[int]) -> list[int]:
        said.append("begins")
        await asyncio.sleep(0.01)
        said.append("ends")
        return xs

    counted = batches.counted(run, Figures())

    async def ask(x: int) -> None:
        await counted(x)
        said.append("answered")

    async def all_of_them() -> None:
        await asyncio.gather(*map(ask, range(3 * SIZE)))

    asyncio.run(all_of_them())

    answered = ["answered"] * SIZE
    following = ["ends", "begins", *answered]
    assert said == ["begins", *following, *following, "ends", *answered]


@given(ASKED, st.integers(1, 3))
def test_no_more_batches_run_than_may_whatever_becomes_of_their_requests(
    asked: list[tuple[str, bool]], most: int
) -> None:
    """Requests that are cancelled before or while they run, and functions that raise."""
    running, highest = 0, 0

    @serve.batch(max_batch_size=SIZE, batch_wait_timeout_s=0, max_concurrent_batches=most)
    async def run(whats: list[str]) -> list[str]:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.001)
        running -= 1
        if "raise" in whats:
            raise ValueError(whats)
        return whats

    counted = batches.counted(run, Figures())

    async def all_of_them() -> list[Any]:
        tasks = []
        for what, pause in asked:
            tasks.append(asyncio.create_task(counted(what)))
            if pause:
                await asyncio.sleep(0)
            if what == "cancel":
                tasks[-1].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert await counted("answer") == "answer"  # nothing is stuck
        return found

    found = asyncio.run(asyncio.wait_for(all_of_them(), 20))

    assert highest <= most
    for (what, _), answer in zip(asked, found, strict=True):
        kinds = {"answer": (str, ValueError), "raise": ValueError, "cancel": asyncio.CancelledError}
        assert isinstance(answer, kinds[what])
