"""Live charts on one time axis. The only module that knows bqplot.

A tick sends the values of each chart once, as 32-bit floats, and nothing else: the seconds of the
axis stay, and the marks of changes stand in true time on a scale that moves under them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bqplot
import ipywidgets
import numpy as np

from workbench.core.charts import CHARTS, GRID, SECONDS, Chart, Mark, top, window
from workbench.core.metrics import Sample

from . import comms, style, texts

HEIGHT_PX, LAST_HEIGHT_PX = 104, 126  # the last one carries the axis of all
MARGIN = {"top": 10, "bottom": 8, "left": 52, "right": 14}
LAST_MARGIN = {**MARGIN, "bottom": 30}
HEIGHTS = np.array([0.86, 0.64, 0.42])  # of labels, so that those of close marks can be read


class Plot:
    """One chart.

    Args:
        chart: what it shows.
        seconds: scale of the seconds ago.
        moments: scale of true time, for the marks.
        last: whether it carries the time axis.
    """

    def __init__(self, chart: Chart, seconds: Any, moments: Any, last: bool) -> None:
        self._chart = chart
        self._scale, self._unit = bqplot.LinearScale(min=0, max=1), bqplot.LinearScale(min=0, max=1)
        self._rows = np.full((len(chart.lines), len(GRID)), np.nan, np.float32)
        self._lines = bqplot.Lines(
            x=np.array(GRID, np.float32),
            y=self._rows,
            scales={"x": seconds, "y": self._scale},
            colors=[colour for colour, _ in style.LINES[: len(chart.lines)]],
            stroke_width=2,
            preserve_domain={},
        )
        here = {"x": moments, "y": self._unit}
        self._strokes = bqplot.Lines(
            x=np.zeros((1, 2)),
            y=np.zeros((1, 2)),
            scales=here,
            colors=[style.MARK],
            stroke_width=1.5,
            visible=False,
        )
        self._labels = bqplot.Label(
            x=np.zeros(1),
            y=np.ones(1),
            text=[""],
            scales=here,
            colors=[style.MARK],
            default_size=11,
            x_offset=3,
            y_offset=4,
            visible=False,
        )
        across = bqplot.Axis(
            scale=seconds,
            tick_values=np.arange(-SECONDS, 1, 20),
            label="seconds ago" if last else "",
            label_offset="26px",
            tick_format="d",
            tick_style={} if last else {"display": "none"},
            grid_lines="solid",
        )
        self._up = bqplot.Axis(
            scale=self._scale,
            orientation="vertical",
            tick_values=_ticks(1.0),
            tick_format="~g",
            grid_lines="solid",
        )
        height = LAST_HEIGHT_PX if last else HEIGHT_PX
        self._figure = bqplot.Figure(
            marks=[self._lines, self._strokes, self._labels],
            axes=[across, self._up],
            fig_margin=LAST_MARGIN if last else MARGIN,
            animation_duration=0,
            min_aspect_ratio=0.1,
            max_aspect_ratio=100,
            background_style={"fill": "none"},
            padding_x=0,
            padding_y=0,
            layout={"width": "100%", "height": f"{height}px", "min_width": "260px"},
        )
        legend = ipywidgets.HTML(texts.legend(chart))
        self.widget = ipywidgets.VBox([legend, self._figure])

    def show(self, samples: Sequence[Sample], deployment: str, now_s: float) -> None:
        """Show the figures of a deployment; what is there already costs no message."""
        rows = window(samples, deployment, self._chart, now_s)
        new = np.array(rows, np.float32)
        if new.tobytes() == self._rows.tobytes():
            return
        self._rows = new
        highest = top(rows)
        if highest != self._scale.max:
            self._scale.max, self._up.tick_values = highest, _ticks(highest)
        self._lines.y = new

    def mark(self, marks: Sequence[Mark]) -> None:
        """Show where something changed."""
        at_s = np.array([each.at_s for each in marks])
        if len(marks):
            with self._strokes.hold_sync():
                self._strokes.x = np.stack([at_s, at_s], axis=1)
                self._strokes.y = np.tile([0.0, 1.0], (len(marks), 1))
                self._strokes.visible = True
            with self._labels.hold_sync():
                self._labels.x, self._labels.y = at_s, HEIGHTS[np.arange(len(marks)) % 3]
                self._labels.text = [each.label for each in marks]
                self._labels.visible = True
        else:
            self._strokes.visible = self._labels.visible = False


def _ticks(highest: float) -> Any:
    return np.array([0.0, highest / 2, highest])


class Charts:
    """The charts of one deployment, which is chosen in a list. Holds no figures.

    Args:
        deployments: names, the ingress first.
    """

    def __init__(self, deployments: Sequence[str]) -> None:
        seconds = bqplot.LinearScale(min=-SECONDS, max=0)
        self._moments = bqplot.LinearScale(min=0, max=SECONDS)
        self._plots = [
            Plot(each, seconds, self._moments, last=each is CHARTS[-1]) for each in CHARTS
        ]
        self._marks: tuple[Mark, ...] = ()
        self.choice = ipywidgets.Dropdown(
            options=tuple(deployments),
            description="Charts of",
            tooltip="deployment whose figures the charts show",
            layout={"width": "280px"},
        )
        self._now, self._changes = ipywidgets.HTML(), ipywidgets.HTML(texts.changes(()))
        plots = [each.widget for each in self._plots]
        self.widget = ipywidgets.VBox([self._now, self.choice, *plots, self._changes])
        self.widget.add_class("wb-chart")

    def offer(self, deployments: Sequence[str]) -> None:
        """Offer other deployments."""
        comms.offer(self.choice, deployments)

    def show(self, samples: Sequence[Sample], marks: tuple[Mark, ...], now_s: float) -> None:
        """Show the figures of the last two minutes and the changes in them."""
        newest = samples[-1] if samples else None
        comms.say(self._now, texts.figures(newest))
        for plot in self._plots:
            plot.show(samples, self.choice.value or "", now_s)
        if marks != self._marks:
            self._changes.value = texts.changes(marks)
            for plot in self._plots:
                plot.mark(marks)
        if marks:
            with self._moments.hold_sync():
                self._moments.min, self._moments.max = now_s - SECONDS, now_s
        self._marks = marks
