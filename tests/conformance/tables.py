"""The table that a part prints at its end: what its tests recorded, added up.

A test records by pytest's `record_property(name, value)`: texts are counted, numbers are summed.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclasses.dataclass
class Table:
    """What became of the tests of one part.

    Attributes:
        cases: tests that ran.
        held: those that passed.
        recorded: what they recorded, by name and text; numbers stand under "".
        failed: ids of those that did not pass.
    """

    cases: int = 0
    held: int = 0
    recorded: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)
    failed: list[str] = dataclasses.field(default_factory=list)

    def add(self, report: pytest.TestReport) -> None:
        """Count the end of a test: its call, or the set-up or tear-down that failed."""
        if report.when != "call" and not report.failed:
            return
        self.cases += report.when != "teardown"
        self.held += report.when == "call" and report.passed
        if not report.passed:
            self.failed.append(report.nodeid)
        for name, value in report.user_properties:
            number = isinstance(value, int)
            counter = self.recorded.setdefault(str(name), Counter())
            counter["" if number else str(value)] += value if isinstance(value, int) else 1

    def lines(self, part: str) -> list[str]:
        """The table as text."""
        found = [f"{part}: {self.held} of {self.cases} cases held"]
        for name, counter in sorted(self.recorded.items()):
            counts = (f"{text} {count}".strip() for text, count in sorted(counter.items()))
            found.append(f"  {name}: {', '.join(counts)}")
        return [*found, *(f"  failed: {each}" for each in self.failed)]


def part_of(path: Path) -> str | None:
    """The part that a test file belongs to: the folder that it stands in."""
    parts = path.relative_to(HERE).parts if path.is_relative_to(HERE) else ()
    return parts[0] if len(parts) > 1 else None


def written(tables: dict[str, Table], path: str) -> None:
    """Append tables to a file, a line each."""
    with Path(path).open("a") as file:
        for part, table in tables.items():
            file.write(json.dumps({"part": part, "lines": table.lines(part)}) + "\n")


def read(path: str) -> list[str]:
    """The lines of all tables in a file."""
    rows = [json.loads(row) for row in Path(path).read_text().splitlines()]
    return [line for row in rows for line in row["lines"]]
