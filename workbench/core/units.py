"""What code is made of: functions, classes and values as units that refer to each other.

A unit's own digest covers what stands in it; what it refers to are edges to other units. So one
walk gives the digest of anything together with all that it reaches, cycles included, and says by
name which part differs. Digests are the same in every kernel and hash seed: nothing of an
object's identity, a cell's number or a line's position enters them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Unit:
    """A function, a class or a value.

    Attributes:
        label: what it is called in the user's code, such as "`clean`".
        digest: hash of what stands in it.
        edges: units that it refers to, in the order of their mention.
        module: name of the user's own module that it was imported from, or "".
    """

    label: str
    digest: str = ""
    edges: list[Unit] = field(default_factory=list)
    module: str = ""


def reached(roots: Iterable[Unit], without: frozenset[Unit] = frozenset()) -> list[Unit]:
    """Every unit that `roots` lead to, in the order of a walk; `without` are not entered."""
    found: dict[Unit, None] = {}
    pending = list(roots)[::-1]
    while pending:
        unit = pending.pop()
        if unit not in found and unit not in without:
            found[unit] = None
            pending += unit.edges[::-1]
    return list(found)


def closure_digest(roots: Iterable[Unit], without: frozenset[Unit] = frozenset()) -> str:
    """Hash of units with all that they reach, and of how these refer to each other."""
    units = reached(roots, without)
    numbers = {unit: str(number) for number, unit in enumerate(units)}
    lines = (f"{u.digest} {' '.join(numbers.get(e, '-') for e in u.edges)}" for u in units)
    return _hash("\n".join(lines).encode())


def short_hash(value: object) -> str:
    """Hash of a value that shows all of itself in its repr."""
    return _hash(repr(value).encode())


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
