"""The newest lines of the replicas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import ipywidgets

from . import comms, texts

ALL = "every deployment"
LINES = 60  # of all replicas together, so that the message stays small


class LogTail:
    """Shows lines. Holds none of them and no thread.

    Args:
        deployments: names to choose from.
    """

    def __init__(self, deployments: Sequence[str]) -> None:
        self.choice = ipywidgets.Dropdown(
            options=(ALL, *deployments),
            description="Lines of",
            tooltip="deployment whose lines are shown",
            layout={"width": "320px"},
        )
        self._lines = ipywidgets.HTML(texts.log_lines(()))
        self.widget = ipywidgets.VBox([self.choice, self._lines])

    @property
    def deployment(self) -> str | None:
        """The deployment whose lines are wanted; None for all."""
        return None if self.choice.value == ALL else self.choice.value

    def show(self, lines: Iterable[str]) -> None:
        """Replace the lines; the same ones cost no message."""
        comms.say(self._lines, texts.log_lines(lines))

    def offer(self, deployments: Sequence[str]) -> None:
        """Offer other deployments."""
        comms.offer(self.choice, (ALL, *deployments))
