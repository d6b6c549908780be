"""One card per deployment: its state, its GPUs, and a control for each knob."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from workbench.core import knobs
from workbench.core.knobs import Knob, Tuned
from workbench.core.metrics import DeploymentSample
from workbench.core.status import DeploymentStatus
from workbench.core.wishes import APPLIED, REFUSED, Report, Topic, Wish

from . import comms, texts
from .dials import SAID, STYLE, WIDE, Dial

SWITCH = "autoscaling"
LEAST, FACTOR = 2, 2  # switched on, Serve may go up to twice the number that runs


class Card:
    """Shows one deployment. Whoever calls its methods holds the panel's lock.

    Args:
        deployment: its name.
        found: its knobs.
        wish: takes what the user wishes.
        busy_with: whether a wish waits or is being carried out.
    """

    def __init__(
        self,
        deployment: str,
        found: Sequence[Knob],
        wish: Callable[[Wish], None],
        busy_with: Callable[[Topic], bool],
    ) -> None:
        self.deployment, self._wish, self._busy_with = deployment, wish, busy_with
        self.names = tuple(each.name for each in found)
        self.dials = {each.name: Dial(each, self._wished) for each in found}
        self._running = 1
        self._head, self._used = ipywidgets.HTML(), ipywidgets.HTML()
        self._switch = ipywidgets.Checkbox(
            value=self.autoscaling,
            description=SWITCH,
            tooltip="Serve adjusts the number of replicas between min_replicas and max_replicas",
            style=STYLE,
            layout=WIDE,
        )
        self._switch_said, self._writer = ipywidgets.HTML(layout=SAID), 0
        self._switch.observe(self._switched, "value")
        switch = ipywidgets.HBox([self._switch, self._switch_said])
        rows = [dial.row for dial in self.dials.values()]
        self.widget = ipywidgets.VBox([self._head, self._used, switch, *rows])
        self.widget.add_class("wb-card")
        self._lay_out()

    @property
    def autoscaling(self) -> bool:
        """Whether Serve adjusts the number of replicas."""
        dial = self.dials.get(knobs.MAX_REPLICAS)
        return dial is not None and dial.true is not None

    def show(
        self,
        status: DeploymentStatus | None,
        sample: DeploymentSample | None,
        gpus: float,
        simulated: bool,
    ) -> None:
        """Show what Serve says and what was measured."""
        if status is None:
            return
        self._running = max(status.replicas_running, 1)
        comms.say(self._head, texts.card_head(status, gpus, simulated))
        comms.say(self._used, texts.used(sample, status, simulated))

    def show_knobs(self, found: Mapping[str, Any], read_at_s: float, revision: int | None) -> None:
        """Show the true values, save where a wish is under way or came after they were read."""
        if any(self._busy(topic) for topic in (SWITCH, *knobs.SCALE)):
            found = {name: v for name, v in found.items() if name not in knobs.SCALE}
        for name, dial in self.dials.items():
            if name in found and read_at_s >= dial.settled_s and not self._busy(name):
                dial.show(found[name], how=texts.elsewhere(revision))
        self._lay_out()

    def _busy(self, topic: str) -> bool:
        return self._busy_with((self.deployment, topic))

    def report(self, each: Report, now_s: float) -> None:
        """Say how a wish for this deployment stands; a refused one falls back to what is true."""
        topic = each.wish.topic[1]
        if topic == SWITCH:
            self._switch_said.value = texts.report(each)
        elif topic in self.dials:
            self.dials[topic].report(each)
        if each.state == APPLIED and isinstance(each.result, Tuned):
            self._settle(each.result.values, now_s)
        elif each.state == REFUSED and topic in self.dials and not self._busy(topic):
            self.dials[topic].fall_back()
        if each.state in (APPLIED, REFUSED):
            self._lay_out()

    def _settle(self, values: Mapping[str, Any], now_s: float) -> None:
        if knobs.REPLICAS in values:
            values = {**dict.fromkeys(knobs.AUTOSCALING), **values}
        elif any(name in values for name in knobs.AUTOSCALING):
            values = {knobs.REPLICAS: None, **values}
        for name, value in values.items():
            if name in self.dials:
                self.dials[name].settled_s = now_s
                self.dials[name].show(value)

    def _lay_out(self) -> None:
        """Show the controls that count: one number, or the bounds."""
        on = self.autoscaling
        for name in knobs.AUTOSCALING:
            if name in self.dials:
                self.dials[name].visible(on)
        if knobs.REPLICAS in self.dials:
            self.dials[knobs.REPLICAS].visible(not on)
        if self._switch.value != on and not self._busy(SWITCH):
            self._writer = threading.get_ident()
            self._switch.value = on
            self._writer = 0

    def _wished(self, name: str, value: Any) -> None:
        self._wish(Wish((self.deployment, name), {name: value}))

    def _switched(self, change: Mapping[str, Any]) -> None:
        if self._writer == threading.get_ident():
            return  # it is this program that moved it
        values: dict[str, Any] = {knobs.REPLICAS: self._running}
        if change["new"]:
            highest = max(LEAST, FACTOR * self._running)
            values = {knobs.MIN_REPLICAS: 1, knobs.MAX_REPLICAS: highest}
        self._wish(Wish((self.deployment, SWITCH), values))
