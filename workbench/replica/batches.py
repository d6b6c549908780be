"""Fills and counts the batches of methods decorated by `@serve.batch`.

Serve closes a batch when its wait is over, though an earlier one may run for seconds more: what
comes meanwhile lands in small batches that stand in line. Here a batch that cannot begin yet takes
up what comes, until it is full.

Serve measures waits from the batch's first request on, and in metrics that arrive later; here every
request's own wait counts.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing, nullcontext
from contextvars import ContextVar
from types import FunctionType
from typing import Any

from .figures import Figures, Queue

COUNTED = "workbench_counted"
SLOTS = "workbench_slots"
STEPS = 3  # of the event loop: the queue hands a batch out, its task starts, the function runs


class Slots:
    """How many batches of one queue may run at once.

    A batch's place is free as soon as its function has ended: the next one begins before the
    answers of this one are written, which would leave the model idle.
    """

    def __init__(self, lazy: Any) -> None:
        self._lazy, self._taken = lazy, 0
        self._changed: asyncio.Future[None] | None = None
        # Requests whose function has not ended, of the batch in whose task this is asked. There is
        # one call for each multiplexed model.
        self._left: ContextVar[list[int]] = ContextVar("left")

    async def take(self, tasks: Collection[asyncio.Task[None]]) -> None:
        """Wait for a place.

        Args:
            tasks: those that run batches or write their answers. A batch whose requests were all
                cancelled ends without a call, so there are never more places taken than tasks.
        """
        while (taken := min(self._taken, len(tasks))) >= self._lazy.max_concurrent_batches:
            self._changed = asyncio.get_running_loop().create_future()
            for task in tasks:
                task.add_done_callback(self._wake)
            await self._changed
        self._taken = taken + 1

    def begin(self, size: int) -> None:
        """A task for a batch of so many requests is about to be made in this context."""
        self._left.set([size])

    def ended(self, size: int) -> bool:
        """The function ended for so many requests; whether the next batch waits to begin."""
        left = self._left.get()
        left[0] -= size
        if left[0] > 0:
            return False
        self._taken -= 1
        return self._wake()

    def _wake(self, _: object = None) -> bool:
        if self._changed is None or self._changed.done():
            return False
        self._changed.set_result(None)
        return True


# --- private names of Ray -------------------------------------------------------------------------
# set_max_batch_size.__self__: Serve's object behind a batched function; no public name leads to it.
# its handle_batch_func: what runs each batch; counting outside would see requests, not batches.
# its _queue: None until the first call; from then on an exchanged handle_batch_func has no effect.
# its queue, with wait_for_batch, tasks, semaphore, queue, requests_available_event: how a batch is
#   made, and which ones run. Without them batches are as small as Serve makes them.


def _queue_of(member: Any) -> Any:
    return member.set_max_batch_size.__self__


def _is_fresh(queue: Any) -> bool:
    return getattr(queue, "_queue", MISSING) is None


def _run_of(queue: Any) -> Any:
    return queue.handle_batch_func


def _run_by(queue: Any, run: Any) -> None:
    queue.handle_batch_func = run


def _fill(lazy: Any) -> None:
    """Have a queue's batches take up what comes until they can begin. Once is enough."""
    made = lazy.queue
    if hasattr(lazy, SLOTS) or made.batch_size_fn is not None:
        return
    form, slots = made.wait_for_batch, Slots(lazy)
    made.semaphore = nullcontext()  # it would hold a batch until the last one's answers

    async def formed() -> tuple[list[Any], int]:
        batch, _ = await form()
        await slots.take(made.tasks)
        while len(batch) < made.max_batch_size and not made.queue.empty():
            batch.append(made.queue.get_nowait())
        if made.queue.empty():
            made.requests_available_event.clear()
        slots.begin(len(batch))
        return batch, len(batch)

    made.wait_for_batch = formed
    setattr(lazy, SLOTS, slots)


MISSING = object()  # stands for a queue of another Ray, which we leave alone
# --- end of private names -------------------------------------------------------------------------


def counted(target: Any, figures: Figures) -> Any:
    """Have the batches of a function, or of a class's methods, counted. Once is enough.

    Args:
        target: the user's class or function, before its first call; or anything else.
        figures: where the batches are counted.

    Returns:
        The class itself, what stands for the function, or the target as it is.
    """
    if not inspect.isclass(target):
        return _counted(target, figures) if _is_countable(target) else target
    for base in target.__mro__[:-1]:
        for name, member in list(vars(base).items()):
            if _is_countable(member):
                setattr(base, name, _counted(member, figures))
    return target


def _is_countable(member: Any) -> bool:
    if not isinstance(member, FunctionType) or hasattr(member, COUNTED):
        return False
    return hasattr(member, "set_max_batch_size") and _is_fresh(_queue_of(member))


def _counted(member: Any, figures: Figures) -> Any:
    queue, function = _queue_of(member), member.__wrapped__
    if isinstance(function, FunctionType):
        # Serve asks for it at each request.
        function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # inspect reads it
    run = _run_of(queue)
    waiting = getattr(run, COUNTED, None)  # it may be reached by another name too
    if waiting is None:
        waiting = figures.queue()
        _run_by(queue, _noting(run, waiting, figures, queue))
    call = _waiting_call if inspect.iscoroutinefunction(member) else _waiting_stream
    made = call(member, waiting, queue)
    made.__wrapped__ = function  # by which Serve finds out that it is a method
    setattr(made, COUNTED, True)
    return made


def _waiting_call(member: Any, waiting: Queue, queue: Any) -> Any:
    @functools.wraps(member)  # the setters that Serve put on it too
    async def call(*args: Any, **kwargs: Any) -> Any:
        _fill(queue)
        request = waiting.join()
        try:
            return await member(*args, **kwargs)
        finally:
            waiting.leave(request)  # cancelled, or refused before it was queued

    return call


def _waiting_stream(member: Any, waiting: Queue, queue: Any) -> Any:
    @functools.wraps(member)  # a plain function that queues at once, as Serve's own is
    def call(*args: Any, **kwargs: Any) -> Any:
        _fill(queue)
        request = waiting.join()
        try:
            return _passed_on(member(*args, **kwargs), request, waiting)
        except BaseException:
            waiting.leave(request)
            raise

    return call


async def _passed_on(items: Any, request: object, waiting: Queue) -> AsyncIterator[Any]:
    try:
        async with aclosing(items):
            async for item in items:
                yield item
    finally:
        waiting.leave(request)


def _noting(run: Any, waiting: Queue, figures: Figures, queue: Any) -> Any:
    if inspect.isasyncgenfunction(run):

        @functools.wraps(run)
        async def noted(*args: Any, **kwargs: Any) -> Any:
            size = _size(args, kwargs)
            figures.batch(waiting, size)
            try:
                async with aclosing(run(*args, **kwargs)) as results:
                    async for result in results:
                        yield result
            finally:
                _ended(queue, size)

    else:

        @functools.wraps(run)
        async def noted(*args: Any, **kwargs: Any) -> Any:
            size = _size(args, kwargs)
            figures.batch(waiting, size)
            try:
                return await run(*args, **kwargs)
            finally:
                if _ended(queue, size):
                    for _ in range(STEPS):
                        await asyncio.sleep(0)

    setattr(noted, COUNTED, waiting)
    return noted


def _ended(queue: Any, size: int) -> bool:
    slots = getattr(queue, SLOTS, None)
    return slots is not None and slots.ended(size)


def _size(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How many requests: every argument but `self` is a list with an item of each."""
    lists = [*args, *kwargs.values()]
    return len(lists[-1]) if lists and isinstance(lists[-1], list) else 0
