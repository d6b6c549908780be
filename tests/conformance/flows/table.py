"""All flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from . import classes, cut, functions, targets, values, web
from .book import Flow

FLOWS: list[Flow] = [
    *cut.FLOWS,
    *functions.FLOWS,
    *values.FLOWS,
    *classes.FLOWS,
    *web.FLOWS,
    *targets.FLOWS,
]
# Flows that do not hold yet, one a line; whoever mends one takes its line out.
PENDING = set((Path(__file__).parent / "pending.txt").read_text().splitlines())


def params(flows: list[Flow], *marks: Any, short: frozenset[str] = frozenset()) -> list[Any]:
    """Flows as parameters of a test.

    Args:
        flows: the flows.
        marks: marks of those whose names are not in `short`.
        short: names of flows that the short form of the suite runs too.
    """
    known = [pytest.mark.xfail]
    return [
        pytest.param(
            f,
            id=f.name,
            marks=[*(() if f.name in short else marks), *(known if f.name in PENDING else ())],
        )
        for f in flows
    ]
