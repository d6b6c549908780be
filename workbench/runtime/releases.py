"""Which release of an application serves: what the history says, checked against what runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from workbench.adapters import history
from workbench.adapters.history import History
from workbench.core.graph import Node
from workbench.core.revision import KEEP, PENDING, DeploymentRecord
from workbench.core.rollout import STAMP
from workbench.errors import PlanError, WorkbenchError

from . import cluster, rollout
from .request import Live, Look
from .rollout import Good

NOTE = "recorded again from the cluster"
REASON = "the history did not have what serves"


class Keeper(Protocol):
    """Keeps releases on the cluster."""

    def release(self, app: str) -> bytes:
        """The release that serves, or b"" where none is known."""


def serving(
    app: str,
    live: Live,
    past: History,
    keeper: Keeper,
    say: Callable[[str], None] = lambda text: None,
) -> Good | None:
    """The release that serves, with all that is needed to run it again.

    The history may be lost, damaged, of another version, or that of another notebook; so it is
    believed where it agrees with what runs. Else the cluster's own copy is, and it is recorded.

    Args:
        app: application name.
        live: what runs of it.
        past: the history.
        keeper: the cluster's own copy.
        say: told what was recorded again.

    Returns:
        The release under the number that the history has for it, or None when nobody knows it.

    Raises:
        ClusterError: the cluster does not answer.
    """
    good = _recorded(app, past)
    if good is not None and agrees(good, live):
        return good
    good = _kept(app, keeper)
    if good is None or not agrees(good, live):
        return None
    return _record(app, good, past, say)


def known(look: Look, say: Callable[[str], None] = lambda text: None) -> Good | None:
    """The same for an application that is only looked at; None also when it does not run."""
    _, live = look.answer()
    if not live.details:
        return None
    return serving(look.name, look.again(live), history.here(), look.store, say)


def latest(look: Look) -> Good | None:
    """The release that serves, or that served until a change which is on its way; to look at."""
    good = known(look)
    if good is None and look.answer()[1].details:
        good = _recorded(look.name, history.here()) or _kept(look.name, look.store)
    return good


def recall(app: str) -> None:
    """Record what serves if the history lacks it and the cluster can be asked."""
    with contextlib.suppress(WorkbenchError):
        cluster.check_there()
        known(Look(app))


def agrees(good: Good, live: Live) -> bool:
    """Whether a release is what runs, as far as that is known of each deployment.

    The cluster knows the code of each by its version and revision. Where it does not, as in the
    seconds after its store was restarted, the mark in Serve's own options tells.
    """
    names = set(live.generations) or set(live.deployments)
    if names != set(good.shipped):
        return False
    for name in names:
        known, package = live.generations.get(name), good.shipped[name]
        if known is None:
            config = live.deployments[name].get("deployment_config") or {}
            if config.get(STAMP) != good.stamps[name]:
                return False
        elif (known.version, known.revision) != (package.version, package.revision):
            return False
    return True


def _recorded(app: str, past: History) -> Good | None:
    try:
        found = past.serving(app)
        if found is None:
            return None
        return rollout.good_of(past.graph(app, found.number), app, found.number)
    except WorkbenchError:
        return None


def _kept(app: str, keeper: Keeper) -> Good | None:
    blob = keeper.release(app)
    try:
        return rollout.good_of(blob, app) if blob else None
    except PlanError:  # this Python cannot load it
        return None


def _record(app: str, good: Good, past: History, say: Callable[[str], None]) -> Good:
    """Note in the history what serves, under its own number unless the history has come further."""
    records = [record_of(node.name, node, KEEP, REASON) for node in good.graph.nodes]
    try:
        begun = past.revision(app, good.number)
        pending = begun is not None and begun.outcome == PENDING  # its deploy is about to note it
        facts = app, good.route_prefix, NOTE, "", good.number - 1
        number = good.number if pending else past.begin(*facts)
        past.served(app, number, rollout.dumped(good), 0.0, records)
    except WorkbenchError:
        return good  # it cannot be written; the service goes on
    if not pending:
        say(f"{REASON}; it is recorded as revision {number} now")
    return rollout.numbered(good, number)


def record_of(
    name: str, node: Node | None, action: str, reason: str, took_ms: float | None = None
) -> DeploymentRecord:
    """What the history keeps of one deployment; `node` is None when it was removed."""
    return DeploymentRecord(
        name=name,
        source="" if node is None else node.source,
        fingerprint={} if node is None else node.fingerprint.summary(),
        options={} if node is None else node.options,
        action=action,
        reason=reason,
        took_ms=took_ms,
    )
