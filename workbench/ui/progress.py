"""The lines of a deploy while it runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from workbench.core.status import ProgressLine

from . import display, tables

QUIET_S = 0.2


class Progress:
    """Shows a deploy: a table that changes in a notebook, printed lines elsewhere.

    Args:
        notebook: whether a Jupyter front end shows it; found out when None.
    """

    def __init__(self, notebook: bool | None = None) -> None:
        self._notebook = display.in_notebook() if notebook is None else notebook
        self._widget: Any = None
        self._printed: dict[str, tuple[str, int, str]] = {}
        self._began_s = time.monotonic()

    def show(self, lines: Sequence[ProgressLine]) -> None:
        """Replace the lines; a deploy that is over at once shows none."""
        if self._notebook:
            if time.monotonic() - self._began_s > QUIET_S:
                self._show_table(lines)
            return
        for line in lines:
            seen = (line.state, line.running, line.detail)
            if self._printed.get(line.deployment) != seen:
                self._printed[line.deployment] = seen
                print(_text(line), flush=True)

    def finish(self, summary: str) -> None:
        """End with success: the summary alone stays."""
        self._close()
        print(summary, flush=True)

    def say(self, text: str) -> None:
        """Show a line by the way."""
        print(text, flush=True)

    def fail(self, text: str) -> None:
        """End with a failure."""
        self._close()
        if not self._notebook:
            print(text, flush=True)

    def _show_table(self, lines: Sequence[ProgressLine]) -> None:
        import ipywidgets
        from IPython.display import display as show

        if self._widget is None:
            self._widget = ipywidgets.HTML()
            show(self._widget)  # type: ignore[no-untyped-call]  # IPython's own
        self._widget.value = tables.progress_table(lines)

    def _close(self) -> None:
        if self._widget is not None:
            self._widget.close()  # the table goes; a saved notebook keeps the summary alone
            self._widget = None


def _text(line: ProgressLine) -> str:
    detail = f" ({line.detail})" if line.detail else ""
    return f"  {line.deployment}: {line.state}, {line.running}/{line.target} replicas{detail}"
