"""Live charts on one time axis, as SVG in one HTML widget: one message per tick.

Lines are stretched to the width that there is; their strokes and all texts keep their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import ipywidgets

from workbench.core.charts import (
    CHARTS,
    SECONDS,
    TALL,
    Chart,
    Mark,
    Window,
    path,
    rows,
    top,
    window,
)
from workbench.core.metrics import Sample

from . import comms, texts

EVERY_S = 20  # between two lines of the grid
ROWS = 3  # heights of the labels of marks, so that those of close ones can be read


def chart_html(chart: Chart, seen: Window, marks: Sequence[Mark], now_s: float) -> str:
    """One chart: title and legend, the axis of values, lines and marks.

    Args:
        chart: what it shows.
        seen: the samples of a deployment.
        marks: changes.
        now_s: seconds since the epoch at the right end.
    """
    values = rows(seen, chart)
    highest = top(values)
    lines = "".join(
        f'<path class="wb-l{i}" d="{path(row, highest)}"/>' for i, row in enumerate(values)
    )
    places = [SECONDS - (now_s - each.at_s) for each in marks]
    strokes = "".join(f"M{place:.1f} 0V{TALL}" for place in places)
    labels = "".join(
        f'<i style="left:{100 * place / SECONDS:.1f}%;top:{1 + 12 * (i % ROWS)}px">'
        f"{escape(each.label)}</i>"
        for i, (each, place) in enumerate(zip(marks, places, strict=True))
    )
    axis = "".join(f"<span>{value:g}</span>" for value in (highest, highest / 2, 0))
    return (
        f'{texts.legend(chart)}<div class="wb-plot"><div class="wb-y">{axis}</div>'
        f'<svg viewBox="0 0 {SECONDS} {TALL}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="wb-grid" d="{GRID}"/>{lines}<path class="wb-mark" d="{strokes}"/></svg>'
        f"{labels}</div>"
    )


def charts_html(
    samples: Sequence[Sample], deployment: str, marks: Sequence[Mark], now_s: float
) -> str:
    """All charts above one time axis."""
    seen = window(samples, deployment, now_s)
    body = "".join(chart_html(each, seen, marks, now_s) for each in CHARTS)
    ticks = "".join(f"<span>{-ago}</span>" for ago in range(SECONDS, -1, -EVERY_S))
    return f'{body}<div class="wb-x">{ticks}</div><div class="wb-x-name">seconds ago</div>'


GRID = "".join(f"M{x} 0V{TALL}" for x in range(0, SECONDS + 1, EVERY_S)) + "".join(
    f"M0 {y}H{SECONDS}" for y in (0, TALL // 2, TALL)
)


class Charts:
    """The charts of one deployment, which is chosen in a list. Holds no figures.

    Args:
        deployments: names, the ingress first.
    """

    def __init__(self, deployments: Sequence[str]) -> None:
        self.choice = ipywidgets.Dropdown(
            options=tuple(deployments),
            description="Charts of",
            tooltip="deployment whose figures the charts show",
            layout={"width": "280px"},
        )
        self._now, self._changes = ipywidgets.HTML(), ipywidgets.HTML(texts.changes(()))
        self._plots = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self._now, self.choice, self._plots, self._changes])
        self.widget.add_class("wb-chart")

    def offer(self, deployments: Sequence[str]) -> None:
        """Offer other deployments."""
        comms.offer(self.choice, deployments)

    def show(self, samples: Sequence[Sample], marks: tuple[Mark, ...], now_s: float) -> None:
        """Show the figures of the last two minutes and the changes in them."""
        comms.say(self._now, texts.figures(samples[-1] if samples else None))
        comms.say(self._plots, charts_html(samples, self.choice.value or "", marks, now_s))
        comms.say(self._changes, texts.changes(marks))
