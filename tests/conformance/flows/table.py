"""All flows."""

from __future__ import annotations

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
