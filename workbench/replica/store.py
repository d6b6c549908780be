"""One actor per cluster that knows the newest code of every deployment, and hands it out.

Replicas wait here for new code, so that it reaches them within milliseconds and without taking a
request's place; a replica that starts asks here whether the code that Serve started it with is
still the newest. New code comes in two steps: every replica prepares it and says whether it can,
then every replica exchanges it, callees before callers. Serve stays the only source of truth about
which replicas run: the notebook's process names those that are gone.

A cell is the code of one deployment for one generation of its processes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from .releases import Blobs, Guard, Releases, put_back
from .routers import Look, Routers
from .series import Row, Series

NAME, NAMESPACE = "workbench-store", "workbench"
POLL_S = 20.0
PATIENCE_S = 5.0
LEASE_S = 10.0
SILENT_S = 3.0  # after which a notebook that holds an application up is taken for dead
BUSY_S = 20.0
TRIES, TRY_S = 5, 2.0  # to put back
Key = tuple[str, str, str]  # application, deployment, version
Order = tuple[int, str, bytes]  # number, what to do, pickled package
Answers = tuple[list[str], dict[str, str], bool]  # who is waited for, errors, all is exchanged
LEAVE = -1
RESTARTED = "the store of the newest code was restarted meanwhile, and the change with it"
WAITED, BUSY = "waited", "busy"
PREPARE, EXCHANGE, UNDO = "prepare", "exchange", "undo"


@dataclass
class Cell:
    """The code of one deployment for one generation of its processes."""

    revision: int
    digests: dict[str, Any]
    blob: bytes = b""
    members: set[str] = field(default_factory=set)
    order: Order = (0, "", b"")
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


@dataclass
class Change:
    """New code on its way to the replicas of one application."""

    blobs: Blobs
    before: Blobs = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Store:
    """The actor. All methods are async, so that they interleave only where they wait."""

    async def __init__(self) -> None:  # type: ignore[misc]  # Ray awaits it
        self._cells: dict[Key, Cell] = {}
        self._current: dict[str, dict[str, str]] = {}
        self._changes: dict[str, Change] = {}
        self._guards: dict[str, Guard] = {}
        self._undone: set[str] = set()  # what was put back since it was guarded last
        self._undoing: set[str] = set()
        self._unsettled: dict[str, Blobs] = {}  # what was exchanged since, as it was before
        self._releases = Releases()
        self._series = Series()
        self._routers = Routers(self._series.now)

    # --- what replicas ask ---

    async def newest(self, key: Key, revision: int) -> bytes:
        """Code that is newer than `revision`, or b""."""
        cell = self._cells.get(key)
        return cell.blob if cell is not None and cell.revision > revision else b""

    async def enter(
        self, key: Key, replica: str, held: tuple[int, dict[str, Any], bytes]
    ) -> tuple[bytes, int]:
        """A replica is ready with the code that it holds: revision, digests, package or b"".

        Returns:
            Newer code that it must take first, or b""; and the number of the last order, or
            LEAVE when it must end.
        """
        revision, digests, blob = held
        cell = self._cells.setdefault(key, Cell(revision, digests, blob))
        if cell.revision < revision:
            if cell.order[0]:  # what it holds was undone before it was heard of here
                return (cell.blob, 0) if cell.blob else (b"", LEAVE)
            cell.revision, cell.digests, cell.blob = revision, digests, blob  # forgotten here
        if cell.revision > revision:
            return cell.blob, 0
        cell.members.add(replica)
        number, what, _ = cell.order
        return b"", number if what != PREPARE else number - 1

    async def remember(self, key: Key) -> None:
        """A replica that had entered before says which generation it belongs to."""
        app, deployment, version = key
        self._current.setdefault(app, {}).setdefault(deployment, version)

    async def next_order(
        self, key: Key, replica: str, after: int, done: str | None
    ) -> Order | None:
        """Wait for an order that is newer than number `after`; None when there is none yet.

        Args:
            key: application, deployment and version of the replica.
            replica: its id.
            after: number of the last order that it took.
            done: why that order could not be carried out, "" when it was; None when this was said
                before. An answer to an order that a later one overtook is nobody's any more.
        """
        cell = self._cells.get(key)
        if done is not None and (cell is None or after == cell.order[0]):
            self._report(key, replica, done)
        if cell is None or replica not in cell.members:
            return (-1, "enter", b"")
        async with cell.changed:
            try:
                wait = cell.changed.wait_for(lambda: cell.order[0] > after)
                await asyncio.wait_for(wait, POLL_S)
            except TimeoutError:
                return None
        return cell.order

    def _report(self, key: Key, replica: str, error: str) -> None:
        change = self._changes.get(key[0])
        if change is None:
            return
        change.pending.discard(replica)
        if error:
            change.errors[replica] = error
        change.heard.set()

    async def figure(self, app: str, deployment: str, replica: str, blob: bytes) -> None:
        """A replica's figures, once a second."""
        self._series.put(app, deployment, replica, blob)

    # --- what notebooks ask ---

    async def committed(self, app: str) -> dict[str, tuple[str, int, dict[str, Any]]]:
        """Version, revision and digests of each deployment's newest code."""
        found = {}
        for deployment, version in self._current.get(app, {}).items():
            cell = self._cells.get((app, deployment, version))
            if cell is not None:
                found[deployment] = (version, cell.revision, cell.digests)
        return found

    async def release(self, app: str) -> bytes:
        """The pickled release that serves, or b"" where none is known."""
        return await self._releases.of(app)

    async def settle(
        self,
        app: str,
        generations: dict[str, tuple[str, int, dict[str, Any]]],
        release: bytes = b"",
    ) -> None:
        """From now on these versions serve; others of the application are forgotten.

        Args:
            app: application name.
            generations: version, revision and digests by deployment; empty when it was deleted.
            release: all of it, pickled; b"" when what is known of it goes on being true.
        """
        self._unsettled.pop(app, None)
        self._guards.pop(app, None)  # what is settled is not put back
        if release or not generations:
            self._releases.keep(app, release)
        self._current[app] = {d: version for d, (version, _, _) in generations.items()}
        for deployment, (version, revision, digests) in generations.items():
            cell = self._cells.setdefault((app, deployment, version), Cell(revision, digests))
            if cell.revision <= revision:
                cell.revision, cell.digests = revision, digests
        for key in [k for k in self._cells if k[0] == app and self._is_old(k)]:
            del self._cells[key]
        if not generations:
            self._current.pop(app, None)
            self._series.forget(app)

    def _is_old(self, key: Key) -> bool:
        return self._current[key[0]].get(key[1]) != key[2]

    async def figures(self, app: str, after_s: float) -> tuple[float, list[Row], list[Look]]:
        """The time here, and what replicas and routers told after a moment; see `Series.newer`."""
        after_s = after_s if after_s > 0 else self._series.now() + after_s
        looks = await self._routers.newer(app, after_s)
        now, rows = self._series.newer(app, after_s)
        return now, rows, looks

    async def prepare(self, app: str, blobs: Blobs, wait_s: float) -> Answers:
        """Have every replica of these cells prepare new code, and exchange it once all have.

        Replicas that need longer than `wait_s` exchange nothing before `exchange` is called: the
        caller may be gone by then.

        Args:
            app: application name.
            blobs: pickled package, revision and digests by cell, callees before callers.
            wait_s: seconds to wait for answers.

        Returns:
            Replicas that have not answered yet, errors by replica, and whether all is exchanged.
        """
        self._changes[app] = change = Change(blobs)
        for key, (blob, _, _) in blobs.items():
            await self._order(change, key, PREPARE, blob)
        pending, errors, _ = await self.answers(app, wait_s)
        if pending or errors or self._changes.get(app) is not change:
            return pending, errors, False
        return await self.exchange(app, wait_s)

    async def exchange(self, app: str, wait_s: float) -> Answers:
        """Have every replica exchange its code for what it prepared; goes on without the caller."""
        change = self._changes.get(app)
        if change is not None:
            change.task = asyncio.create_task(self._exchange(app, change))
        return await self.answers(app, wait_s)

    async def _exchange(self, app: str, change: Change) -> None:
        unsettled = self._unsettled.setdefault(app, {})
        for key, (blob, revision, digests) in change.blobs.items():
            cell = self._cells[key]
            change.before[key] = cell.blob, cell.revision, cell.digests
            unsettled.setdefault(key, change.before[key])
            cell.blob, cell.revision, cell.digests = blob, revision, digests
            await self._order(change, key, EXCHANGE, blob)
            await self._heard(change)
            if change.errors:
                await self._undo(change)
                return

    async def _undo(self, change: Change) -> None:
        for key, (blob, revision, digests) in reversed(change.before.items()):
            cell = self._cells[key]
            cell.blob, cell.revision, cell.digests = blob, revision, digests
            await self._order(change, key, UNDO, b"")
            await self._heard(change)
        change.before.clear()

    async def answers(self, app: str, wait_s: float) -> Answers:
        """Wait until every replica has answered, but no longer than `wait_s` seconds.

        Returns:
            Replicas that have not answered yet (or "" while more is to come), errors, and whether
            all is exchanged.
        """
        change = self._changes.get(app)
        if change is None:
            return [], {"": RESTARTED}, False
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while self._waits(change) and loop.time() < until:
            change.heard.clear()
            try:
                await asyncio.wait_for(change.heard.wait(), max(until - loop.time(), 0.0))
            except TimeoutError:
                break
        waiting = sorted(change.pending) or ([""] if self._waits(change) else [])
        complete = change.task is not None and not waiting and not change.errors
        if complete and self._changes.get(app) is change:
            del self._changes[app]
        return waiting, dict(change.errors), complete

    async def cancel(self, app: str) -> None:
        """Give a change up: what was exchanged is exchanged back."""
        change = self._changes.pop(app, None)
        if change is None:
            return
        if change.task is not None:
            await change.task
        await self._undo(change)
        for key in change.blobs:
            await self._order(change, key, UNDO, b"")

    async def revert(self, app: str) -> None:
        """Have what was exchanged since the last `settle` exchanged back, release or none."""
        await self.cancel(app)
        change = Change({}, before=self._unsettled.pop(app, {}))
        self._changes[app] = change
        await self._undo(change)
        self._changes.pop(app, None)

    async def drop(self, app: str, replicas: list[str]) -> None:
        """These replicas are gone: nobody waits for them."""
        for key, cell in self._cells.items():
            if key[0] == app:
                cell.members.difference_update(replicas)
        change = self._changes.get(app)
        if change is not None:
            change.pending.difference_update(replicas)
            change.heard.set()

    async def guard(
        self, app: str, application: bytes, route_prefix: str, back: Blobs, owner: str
    ) -> None:
        """Put all this back unless `heard_of` is called every few seconds, or `unguard` once."""
        now = asyncio.get_running_loop().time()
        self._undone.discard(app)
        guard = self._guards[app] = Guard(now + LEASE_S, application, route_prefix, back, owner)
        asyncio.get_running_loop().create_task(self._watch(app, guard))

    async def heard_of(self, app: str) -> bool:
        """The notebook's process lives; False when it was taken for dead before."""
        guard = self._guards.get(app)
        if guard is not None:  # else it was put back, or a store before this one had it
            guard.until = asyncio.get_running_loop().time() + LEASE_S
        return app not in self._undone

    async def unguard(self, app: str) -> None:
        """The change is over, well or not."""
        self._guards.pop(app, None)

    async def alone(self, app: str, owner: str) -> str:
        """Wait until nobody else changes an application; what a silent one began is undone at once.

        Returns:
            "" when nobody did, WAITED when what was known before is old, BUSY after BUSY_S.
        """
        loop = asyncio.get_running_loop()
        began, waited = loop.time(), ""
        while app in self._guards or app in self._undoing:
            if loop.time() > began + BUSY_S:
                return BUSY
            waited, guard = WAITED, self._guards.get(app)
            if guard is not None and guard.owner == owner:
                return ""  # of deploy(wait=False); what follows takes its place
            if guard is not None and loop.time() > guard.until - LEASE_S + SILENT_S:
                guard.until = 0.0
            await asyncio.sleep(0.1)
        return waited

    async def _watch(self, app: str, guard: Guard) -> None:
        loop = asyncio.get_running_loop()
        while self._guards.get(app) is guard and loop.time() < guard.until:
            await asyncio.sleep(0.25)
        if self._guards.get(app) is not guard:
            return
        del self._guards[app]
        self._undone.add(app)
        self._undoing.add(app)
        try:
            await self._put_back(app, guard)
        finally:
            self._undoing.discard(app)

    async def _put_back(self, app: str, guard: Guard) -> None:
        await self.cancel(app)
        if guard.back:
            change = self._changes[app] = Change(guard.back)
            await self._exchange(app, change)
            self._changes.pop(app, None)
        for tries in reversed(range(TRIES)):  # Serve's controller may be coming up again
            try:
                await asyncio.to_thread(put_back, app, guard.application, guard.route_prefix)
                return
            except Exception:
                if not tries:
                    raise
                await asyncio.sleep(TRY_S)

    def _waits(self, change: Change) -> bool:
        return bool(change.pending) or (change.task is not None and not change.task.done())

    async def _order(self, change: Change, key: Key, what: str, blob: bytes) -> None:
        cell = self._cells.setdefault(key, Cell(0, {}))
        change.pending |= cell.members
        async with cell.changed:
            cell.order = (cell.order[0] + 1, what, blob)
            cell.changed.notify_all()

    async def _heard(self, change: Change) -> None:
        """Wait for the replicas; those that say nothing for long are not waited for."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while change.pending and loop.time() < until:
            change.heard.clear()
            try:
                await asyncio.wait_for(change.heard.wait(), until - loop.time())
            except TimeoutError:
                break
            finally:
                change.heard.set()  # for whoever waits for answers
        change.pending.clear()
