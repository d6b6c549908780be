"""Adds up what each part's tests recorded, and prints a table per part."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tables import Table, part_of, written

TABLES: dict[str, Table] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a test of one of the parts."""
    part = part_of(Path(__file__).parents[2] / report.fspath)
    if part is not None:
        TABLES.setdefault(part, Table()).add(report)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the tables, and append them to the file that was asked for."""
    for part, table in TABLES.items():
        terminalreporter.section(f"conformance, {part}")
        for line in table.lines(part):
            terminalreporter.write_line(line)
    if config.option.tables:
        written(TABLES, config.option.tables)
