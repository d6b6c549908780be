"""What a deploy would do to each deployment, and why. Pure: two graphs in, a plan out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import PlanError

from .fingerprint import Fingerprint
from .graph import KEY

KEEP, TUNE, SWAP, REPLACE, ADD, REMOVE = "keep", "tune", "swap", "replace", "add", "remove"
MODES = ("auto", "swap", "replace")
# Serve looks for these methods once, when a replica starts.
CONFIG = "user_config"
WITH_CODE = (CONFIG, KEY)  # options that go to the replicas with the code
HOOKS = (
    *("__call__", "reconfigure", "check_health", "record_autoscaling_stats"),
    *("record_routing_stats", "record_replica_metadata"),
)


@dataclass(frozen=True)
class Action:
    """What happens to one deployment.

    Attributes:
        deployment: deployment name.
        kind: keep, tune, swap, replace, add or remove.
        reason: why, in the user's words.
        options: whether Serve must be told of it.
        exchanges: whether new code or configuration goes to the live replicas.
    """

    deployment: str
    kind: str
    reason: str
    options: bool = False
    exchanges: bool = False

    def __str__(self) -> str:
        return f"{self.deployment}: {self.kind} ({self.reason})"


@dataclass(frozen=True)
class Plan:
    """What `deploy()` would do; making one changes nothing.

    Attributes:
        app: application name.
        route_prefix: path under which the ingress will answer.
        actions: one entry per deployment, callees before callers, removals last.
    """

    app: str
    route_prefix: str
    actions: tuple[Action, ...]

    def of(self, *kinds: str) -> list[str]:
        """Names of the deployments to which one of these happens, callees before callers."""
        return [each.deployment for each in self.actions if each.kind in kinds]

    def __str__(self) -> str:
        return "\n".join([f"{self.app} at {self.route_prefix}", *(f"  {a}" for a in self.actions)])

    __repr__ = __str__


def make_plan(
    app: str,
    route_prefix: str,
    wanted: Mapping[str, Fingerprint],
    live: Mapping[str, Fingerprint | None],
    mode: str = "auto",
) -> Plan:
    """Compare the deployments that are wanted with those that run.

    Args:
        app: application name.
        route_prefix: path under which the ingress will answer.
        wanted: fingerprints of the new graph, callees before callers.
        live: fingerprints of what runs; None where it is not known.
        mode: "auto"; "replace" for new processes throughout; "swap" to refuse anything that
            would need new processes.

    Returns:
        The plan.

    Raises:
        PlanError: `mode` is none of these, or "swap" was asked for and would be unsound.
    """
    if mode not in MODES:
        raise PlanError(f"mode={mode!r} is unknown", f"one of {', '.join(map(repr, MODES))}")
    actions = [_action(name, new, live, mode) for name, new in wanted.items()]
    gone = [
        Action(name, REMOVE, "no longer in the graph", True) for name in live if name not in wanted
    ]
    refused = [each for each in (*actions, *gone) if each.kind in (REPLACE, ADD, REMOVE)]
    if mode == "swap" and refused:
        reasons = "; ".join(f"{a.deployment!r} needs {a.kind}: {a.reason}" for a in refused)
        raise PlanError(f"mode='swap' is refused: {reasons}", "leave mode out, nothing was changed")
    return Plan(app, route_prefix, tuple(actions + gone))


def _action(
    name: str, new: Fingerprint, live: Mapping[str, Fingerprint | None], mode: str
) -> Action:
    if name not in live:
        return Action(name, ADD, "not running yet", options=True)
    old = live[name]
    if mode == "replace":
        return Action(name, REPLACE, "asked for by mode='replace'", options=True)
    if old is None:
        return Action(name, REPLACE, "what runs now is not known here", options=True)
    return compare(name, old, new)


def compare(name: str, old: Fingerprint, new: Fingerprint) -> Action:
    """What must happen to a deployment so that it becomes `new`."""
    tuned = changed(old.light, new.light)
    for_serve = [each for each in tuned if each not in WITH_CODE]
    knobs = changed(old.tuned, new.tuned)
    forced = _needs_processes(old, new)
    if forced:
        return Action(name, REPLACE, forced, options=True)
    edited = changed(old.code, new.code)
    if edited:
        unsound = _unsound(old, new)
        said = said_of(edited)
        if unsound:
            return Action(name, REPLACE, f"{said} changed, and {unsound}", options=True)
        more = f"; {_listed(tuned)} too" if tuned else ""
        reason = f"{said} changed, what its state depends on did not{more}"
        return Action(name, SWAP, reason, bool(for_serve), exchanges=True)
    if tuned or knobs:
        reason = f"{_listed(knobs or tuned)} changed"
        exchanges = bool(knobs) or any(each in WITH_CODE for each in tuned)
        return Action(name, TUNE, reason, bool(for_serve), exchanges)
    return Action(name, KEEP, "nothing changed")


def _needs_processes(old: Fingerprint, new: Fingerprint) -> str:
    if old.kind != new.kind:
        return f"it was {old.kind!r} and is {new.kind!r} now"
    resources = changed(old.actor, new.actor)
    if resources:
        return f"{_listed(resources)} changed, which belongs to the process"
    if CONFIG in old.light and CONFIG not in new.light:
        return f"{CONFIG} was taken away, and what it did cannot be undone in place"
    depends = changed(old.state, new.state)
    if depends:
        return f"{_listed(depends)} changed, which its state depends on"
    return ""


def _unsound(old: Fingerprint, new: Fingerprint) -> str:
    if new.fixed or old.fixed:
        return new.fixed or old.fixed
    for name, way in new.calls.items():
        before = old.calls.get(name)
        if before is not None and before != way:
            return f"`{name}` turned from {before} to {way}"
    hooks = [n for n in HOOKS if (n in old.calls) != (n in new.calls)]
    return f"Serve looks for `{hooks[0]}` only when a replica starts" if hooks else ""


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names whose digests differ, or that are on one side alone; the new ones' order first."""
    return [n for n in dict.fromkeys([*new, *old]) if old.get(n) != new.get(n)]


def said_of(edited: Iterable[str]) -> str:
    """Names of edited members for a sentence; routes are said when nothing nearer is."""
    shown = (n for n in edited if n == "__call__" or not n.startswith("__"))
    names = [n for n in shown if n != "routes"]
    return _listed([f"`{n}`" if n.isidentifier() else n for n in names] or ["the code"])


def _listed(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
