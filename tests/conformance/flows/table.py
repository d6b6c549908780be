"""All flows."""

from __future__ import annotations

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
# Every sixth of them: the short form of the suite compares their answers too.
SAMPLE = frozenset(each.name for each in FLOWS[::6])


def params(flows: list[Flow], *marks: Any, short: frozenset[str] = frozenset()) -> list[Any]:
    """Flows as parameters of a test.

    Args:
        flows: the flows.
        marks: marks of those whose names are not in `short`.
        short: names of flows that the short form of the suite runs too.
    """
    return [pytest.param(f, id=f.name, marks=() if f.name in short else marks) for f in flows]
