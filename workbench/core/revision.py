"""Revisions as values: what was deployed, how it went, and what differs between two of them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from .aligned import aligned

PENDING, SERVED, FAILED = "pending", "served", "failed"
INTERRUPTED, DELETED = "interrupted", "deleted"
KEEP = "keep"


@dataclass(frozen=True)
class DeploymentRecord:
    """One deployment of a revision.

    Attributes:
        name: deployment name.
        source: text of the class, function or app as written, or "" when there is none.
        fingerprint: hex digest by part: code, state, actor, light.
        options: what was chosen for it, of values that JSON can carry.
        action: keep, tune, swap, replace, add or remove.
        reason: why that action, in the user's words.
        took_ms: how long the action took, or None.
    """

    name: str
    source: str
    fingerprint: dict[str, str]
    options: dict[str, Any]
    action: str
    reason: str
    took_ms: float | None


@dataclass(frozen=True)
class Revision:
    """One revision of an application.

    Attributes:
        app: application name.
        number: 1 for the first one, then counting up.
        route_prefix: path of its ingress.
        created_s: seconds since the epoch when its deploy began.
        note: the user's note.
        outcome: pending, served, failed, interrupted or deleted.
        reason: why it does not serve, or "".
        kernel: who deployed it, such as "pid 4711, 05_rag.ipynb".
        took_ms: from the call of `deploy()` until it served, or None.
        deployments: its deployments, callees before callers.
    """

    app: str
    number: int
    route_prefix: str
    created_s: float
    note: str
    outcome: str
    reason: str
    kernel: str
    took_ms: float | None
    deployments: tuple[DeploymentRecord, ...]

    @property
    def actions(self) -> str:
        """What happened to whom, callers first, what was kept last: "RAG swap, LLM keep"."""
        callers_first = self.deployments[::-1]
        ordered = sorted(callers_first, key=lambda each: each.action == KEEP)
        return ", ".join(f"{each.name} {each.action}" for each in ordered)


class Revisions(tuple[Revision, ...]):
    """The history of one application, oldest first; shows itself newest first.

    Args:
        revisions: oldest first.
        serving: number of the revision that serves now, or None.
    """

    serving: int | None

    def __new__(cls, revisions: Iterable[Revision] = (), *, serving: int | None = None) -> Self:
        """Make the tuple; a tuple takes its content here, not in `__init__`."""
        made = super().__new__(cls, tuple(revisions))
        made.serving = serving
        return made

    def __repr__(self) -> str:
        """A table without times and processes, so that a notebook's output stays the same."""
        rows: list[tuple[str, ...]] = [("", "revision", "outcome", "actions", "note")]
        rows += [
            (
                "*" if each.number == self.serving else "",
                str(each.number),
                each.outcome,
                each.actions,
                " ".join(each.note.split()),
            )
            for each in reversed(self)
        ]
        return "\n".join(aligned(rows)) if self else "no revisions"


@dataclass(frozen=True)
class DeploymentDiff:
    """What differs in one deployment.

    Attributes:
        name: deployment name.
        source: lines of the unified diff of its source; empty when it is the same.
        options: lines of the unified diff of its options, one option per line; likewise.
        parts: parts of the fingerprint that differ although source and options are the same.
    """

    name: str
    source: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def hidden(self) -> str:
        """What neither source nor options show, as a sentence, or ""."""
        if not self.parts:
            return ""
        return f"{self.name}: {' and '.join(self.parts)} changed outside its source and options"


@dataclass(frozen=True)
class Diff:
    """What differs between two revisions of an application.

    Attributes:
        app: application name.
        a: number of the revision on the "-" side.
        b: number of the revision on the "+" side.
        deployments: those that differ, in the order of revision `b`, removed ones last.
        added: names that only `b` has.
        removed: names that only `a` has.
    """

    app: str
    a: int
    b: int
    deployments: tuple[DeploymentDiff, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"added: {name}" for name in self.added]
        lines += [f"removed: {name}" for name in self.removed]
        for each in self.deployments:
            lines += [*each.source, *each.options, *filter(None, [each.hidden])]
        return "\n".join(lines) or "no difference"

    __repr__ = __str__


def diff_of(a: Revision, b: Revision) -> Diff:
    """Compare two revisions, deployment by deployment.

    Args:
        a: the "-" side, usually the older one.
        b: the "+" side.

    Returns:
        Unified diffs of source and options. A deployment that one side lacks is compared with
        nothing, so all its lines appear.
    """
    old = {each.name: each for each in a.deployments}
    new = {each.name: each for each in b.deployments}
    names = [*new, *(name for name in old if name not in new)]
    pairs = (_compared(name, old.get(name), new.get(name), a.number, b.number) for name in names)
    return Diff(
        app=b.app,
        a=a.number,
        b=b.number,
        deployments=tuple(each for each in pairs if each != DeploymentDiff(each.name)),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
    )


def _compared(
    name: str, old: DeploymentRecord | None, new: DeploymentRecord | None, a: int, b: int
) -> DeploymentDiff:
    source = _unified(name, _source_lines(old), _source_lines(new), a, b)
    options = _unified(f"{name} options", _option_lines(old), _option_lines(new), a, b)
    hidden = () if source or options or not old or not new else _changed_parts(old, new)
    return DeploymentDiff(name, source, options, hidden)


def _unified(what: str, old: list[str], new: list[str], a: int, b: int) -> tuple[str, ...]:
    before, after = f"{what} (revision {a})", f"{what} (revision {b})"
    return tuple(difflib.unified_diff(old, new, before, after, lineterm=""))


def _source_lines(record: DeploymentRecord | None) -> list[str]:
    text = record.source.rstrip("\n") if record else ""
    return text.split("\n") if text else []


def _option_lines(record: DeploymentRecord | None) -> list[str]:
    options: Mapping[str, Any] = record.options if record else {}
    return [f"{name} = {_plain(options[name])}" for name in sorted(options)]


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)


def _changed_parts(old: DeploymentRecord, new: DeploymentRecord) -> tuple[str, ...]:
    names = {**old.fingerprint, **new.fingerprint}
    return tuple(n for n in names if old.fingerprint.get(n) != new.fingerprint.get(n))
