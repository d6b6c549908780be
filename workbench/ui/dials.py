"""One control per knob: it says what is true, and passes on what is wished."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets

from workbench.core import knobs
from workbench.core.knobs import Knob
from workbench.core.wishes import Report

from . import texts

Wished = Callable[[str, Any], None]
NAME_PX, INPUT_PX = 180, 200
WIDE = {"width": f"{NAME_PX + INPUT_PX}px", "flex": f"0 0 {NAME_PX + INPUT_PX}px"}
TALL = {"width": f"{NAME_PX + INPUT_PX}px", "height": "64px"}
NARROW = {"width": f"{NAME_PX + 100}px"}
STEPPER = {"width": "84px", "flex": "0 0 84px"}
SAID = {"flex": "1 1 120px", "min_width": "120px", "margin": "4px 0 0 8px"}
BUTTON = {"width": "auto"}
STYLE = {"description_width": f"{NAME_PX}px"}


@dataclass(frozen=True)
class Range:
    """The range of a slider, which is narrower than what the knob takes.

    Attributes:
        low: left end.
        high: right end, at least; it grows so that the value stands left of the middle.
        step: distance of two values.
        most: right end, at most.
    """

    low: float
    high: float
    step: float
    most: float


SLIDERS = {
    knobs.REPLICAS: Range(1, 8, 1, 1000),
    knobs.MIN_REPLICAS: Range(0, 8, 1, 1000),
    knobs.MAX_REPLICAS: Range(1, 8, 1, 1000),
    knobs.TARGET_ONGOING: Range(0.5, 10, 0.5, 10_000),
    knobs.ONGOING: Range(1, 64, 1, 100_000),
    knobs.BATCH_SIZE: Range(1, 32, 1, 10_000),
    knobs.BATCH_WAIT: Range(0, 0.5, 0.005, 600),
    knobs.GPU_MEMORY: Range(0.05, 1, 0.05, 1),
}
WHAT_COSTS = {knobs.NEW_PROCESSES: "apply (new processes)", knobs.IN_PLACE: "apply"}


class Dial:
    """A control for one knob: a slider, or a field with a button where a change costs more.

    Args:
        knob: the knob.
        wished: is called with the knob's name and the value that the user wants.
    """

    def __init__(self, knob: Knob, wished: Wished) -> None:
        self.name, self.true = knob.name, knob.value
        self.settled_s = 0.0  # knobs read before this moment know nothing of the last wish
        self._wished, self._writer = wished, 0
        self._integer = _is_integer(knob.name)
        self.input = _control(knob)
        self.stepper = None
        if knob.name in SLIDERS:  # it carries the label that a slider cannot give to its handle
            self.stepper = _stepper(knob, STEPPER, description=knob.name)
            self.stepper.add_class("wb-step")
        self.said = ipywidgets.HTML(layout=SAID)
        self.inputs = [each for each in (self.input, self.stepper) if each is not None]
        for each in self.inputs:
            each.tooltip = f"{knob.name}: {knob.takes}; {knob.cost}"
        parts = [*self.inputs, self.said]
        self._drafts = _needs_button(knob)
        if self._drafts:
            button = ipywidgets.Button(description=WHAT_COSTS[knob.cost], layout=BUTTON)
            button.tooltip = f"set {knob.name}: {knob.cost}"
            button.on_click(lambda _: self._wish(self.input.value))
            parts.insert(1, button)
        else:
            for each in self.inputs:
                each.observe(lambda change: self._wish(change["new"]), "value")
        self.row = ipywidgets.HBox(parts)

    def _wish(self, value: Any) -> None:
        if self._writer == threading.get_ident():
            return  # it is this program that moved it
        if self.name == knobs.USER_CONFIG:
            with contextlib.suppress(ValueError):  # the text itself is refused, with that reason
                value = json.loads(value)
        value = int(value) if self._integer else value
        self._wished(self.name, value)
        if self.stepper is not None:
            self._write(value)  # slider and stepper stand at the same

    def show(self, value: Any, how: str = "") -> None:
        """Show what is true; what was typed and not applied stays until something else is true.

        Args:
            value: the value; None leaves the control as it is.
            how: HTML to say beside it when it differs from what was shown as true.
        """
        before, self.true = self.true, value
        if how and value != before and before is not None:  # from None it came with another knob
            self.said.value = how
        if value != before or not self._drafts:
            self.fall_back()

    def fall_back(self) -> None:
        """Let the control stand at what is true; where that is None it stays as it is."""
        if self.true is not None and self.reading() != self.true:
            self._write(self.true)

    def reading(self) -> Any:
        """The value that the control stands at; None when it holds no such value."""
        if self.name != knobs.USER_CONFIG:
            values = {each.value for each in self.inputs}
            return values.pop() if len(values) == 1 else None
        try:
            return json.loads(self.input.value)
        except ValueError:
            return None

    def _write(self, value: Any) -> None:
        self._writer = threading.get_ident()
        try:
            if self.name in SLIDERS:
                reach = SLIDERS[self.name]
                highest = _highest(reach, value)
                if highest != self.input.max:
                    self.input.max = highest
            for each in self.inputs:
                each.value = _shown(self.name, value)
        finally:
            self._writer = 0

    def report(self, each: Report) -> None:
        """Say how a wish for this knob stands."""
        self.said.value = texts.report(each)

    def visible(self, yes: bool) -> None:
        """Show the row or hide it."""
        display = None if yes else "none"
        if self.row.layout.display != display:
            self.row.layout.display = display


def _is_integer(name: str) -> bool:
    kind = knobs.KINDS[name]
    return kind is not None and kind.integer


def _needs_button(knob: Knob) -> bool:
    return knob.cost == knobs.NEW_PROCESSES or knob.name == knobs.USER_CONFIG


def _shown(name: str, value: Any) -> Any:
    return json.dumps(value, indent=1) if name == knobs.USER_CONFIG else value


def _highest(reach: Range, value: float) -> float:
    """The right end for a value: the range's own, or doubled until there is room."""
    high = reach.high
    while value > high / 2 and high < reach.most and value > reach.high / 2:
        high *= 2
    return min(high, reach.most)


def _control(knob: Knob) -> Any:
    about = {"description": knob.name, "style": STYLE}
    if knob.name in SLIDERS:
        return _slider(knob, about)
    if knob.name == knobs.USER_CONFIG:
        text = _shown(knob.name, {} if knob.value is None else knob.value)
        return ipywidgets.Textarea(value=text, layout=TALL, **about)
    return _stepper(knob, NARROW, **about)


def _stepper(knob: Knob, layout: dict[str, str], **about: Any) -> Any:
    kind = knobs.KINDS[knob.name]
    assert kind is not None  # user_config, the only one without, has a text field
    made = ipywidgets.BoundedIntText if kind.integer else ipywidgets.BoundedFloatText
    step = SLIDERS[knob.name].step if knob.name in SLIDERS else 1 if kind.integer else 0.1
    value = max(kind.low, 0) if knob.value is None else knob.value
    return made(value=value, min=kind.low, max=kind.high, step=step, layout=layout, **about)


def _slider(knob: Knob, about: dict[str, Any]) -> Any:
    reach = SLIDERS[knob.name]
    value = reach.low if knob.value is None else knob.value
    made = ipywidgets.IntSlider if _is_integer(knob.name) else ipywidgets.FloatSlider
    return made(
        value=value,
        min=min(reach.low, value),
        max=_highest(reach, value),
        step=reach.step,
        continuous_update=False,
        readout=False,
        layout=WIDE,
        **about,
    )
