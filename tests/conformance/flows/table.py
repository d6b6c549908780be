"""All flows."""

from __future__ import annotations

from . import cut, functions, values
from .book import Flow

FLOWS: list[Flow] = [*cut.FLOWS, *functions.FLOWS, *values.FLOWS]
