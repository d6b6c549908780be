"""What a part prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .tables import HERE, Table, part_of, read, written


def report(outcome: Any, when: Any = "call", **recorded: object) -> pytest.TestReport:
    """The report of one phase of a test."""
    return pytest.TestReport(
        "test_a.py::test_a", ("test_a.py", 1, "test_a"), {}, outcome, None, when,
        user_properties=list(recorded.items()),
    )  # fmt: skip


def test_texts_are_counted_and_numbers_are_summed(tmp_path: Path) -> None:
    """A table says how many held, on which rungs, and of how many programs."""
    table, file = Table(), str(tmp_path / "tables")
    for each in (report("passed", rung="swap"), report("passed", rung="swap", programs=50)):
        table.add(each)

    table.add(report("failed", rung="keep", programs=5))
    written({"flows": table}, file)

    assert read(file) == [
        "flows: 2 of 3 cases held",
        "  programs: 55",
        "  rung: keep 1, swap 2",
        "  failed: test_a.py::test_a",
    ]


def test_a_set_up_that_fails_is_a_case_that_did_not_hold() -> None:
    """Else a part whose cluster does not start would print that all of nothing held."""
    table = Table()
    for each in (report("passed", "setup"), report("failed", "setup")):
        table.add(each)

    assert (table.held, table.cases, len(table.failed)) == (0, 1, 1)


def test_a_part_is_a_folder() -> None:
    """What tests the suite itself is no part."""
    assert part_of(HERE / "flows" / "test_rungs.py") == "flows"
    assert part_of(HERE / "test_tables.py") is None
    assert part_of(HERE.parent / "test_layers.py") is None
