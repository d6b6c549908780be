"""What a bench reports: one JSON line per figure, and a table of all of them at the end."""

from __future__ import annotations

import json
import operator
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

COMPARED = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
COLUMNS = ("figure", "value", "limit", "ok", "raw", "ratio")


@dataclass(frozen=True)
class Figure:
    """One measured value beside what it must reach.

    Attributes:
        name: bench and what was measured.
        value: the measurement, or None when the bench broke off.
        unit: of the value and of the baseline.
        limit: such as "<= 60"; "" when the figure is only told.
        ok: whether the limit is kept.
        baseline: the same measured of raw `serve.run` in the same run, or None.
        ratio: how many times better than the baseline, or None.
        facts: what else is worth knowing.
    """

    name: str
    value: float | None
    unit: str
    limit: str = ""
    ok: bool = True
    baseline: float | None = None
    ratio: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """The figure as one JSON object."""
        content = {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "limit": self.limit,
            "ok": self.ok,
        }
        if self.baseline is not None:
            content |= {"baseline": _short(self.baseline), "ratio": _short(self.ratio)}
        return json.dumps(content | self.facts)

    def row(self) -> tuple[str, ...]:
        """The figure as cells of the table."""
        cells = (self.value, self.baseline, self.ratio)
        value, raw, ratio = ("" if each is None else f"{each:.4g}" for each in cells)
        ok = "yes" if self.ok else "NO"
        return self.name, f"{value} {self.unit}", self.limit, ok, raw, ratio


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def kept(value: float, limit: str) -> bool:
    """Whether a value keeps a limit such as "<= 60"; no limit is always kept."""
    if not limit:
        return True
    sign, number = limit.split()
    return bool(COMPARED[sign](value, float(number)))


class Bench:
    """What one bench needs from the program around it.

    Args:
        url: where the cluster's ingresses answer.
        quick: fewer rounds, to try out a bench.
        out: where the JSON lines go.
    """

    def __init__(self, url: str, quick: bool, out: TextIO) -> None:
        self.url, self._quick, self._out = url, quick, out
        self.figures: list[Figure] = []

    def rounds(self, full: int, quick: int) -> int:
        """How often to repeat something."""
        return quick if self._quick else full

    def figure(
        self,
        name: str,
        value: float,
        unit: str,
        limit: str = "",
        *,
        baseline: float | None = None,
        **facts: Any,
    ) -> float | None:
        """Report a figure; returns the ratio to its baseline."""
        ratio = None if baseline is None else baseline / value
        self.report(Figure(name, value, unit, limit, kept(value, limit), baseline, ratio, facts))
        return ratio

    def broke_off(self, name: str, error: BaseException) -> None:
        """Report that a bench ended with an error."""
        facts = {"error": f"{type(error).__name__}: {error}"[:2000]}
        self.report(Figure(f"{name}: broke off", None, "", "", ok=False, facts=facts))

    def report(self, figure: Figure) -> None:
        """Print a figure and remember it."""
        self.figures.append(figure)
        print(figure.line(), file=self._out, flush=True)


def median(values: Sequence[float]) -> float:
    """The middle value, unrounded."""
    return statistics.median(values)


def rounded(values: Sequence[float], digits: int = 1) -> list[float]:
    """Values fit to be read, for the facts beside a figure."""
    return [round(each, digits) for each in values]


def table(figures: Sequence[Figure], out: TextIO = sys.stderr) -> None:
    """Print the figures for people."""
    rows = [COLUMNS, *(each.row() for each in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip(), file=out)
