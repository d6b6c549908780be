"""The panel without a cluster: threads, messages and what is shown."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ipywidgets.widgets.widget import _instances

from tests.waiting import until
from workbench.core import knobs
from workbench.core.charts import SECONDS
from workbench.core.status import AppStatus
from workbench.errors import ClusterError
from workbench.ui import comms
from workbench.ui.cards import Card
from workbench.ui.panel import Panel, Place

from .doubles import Service
from .wire import recorded

HOSTILE = "<img src=x onerror=alert(1)>"


class Talker:
    """An operation whose answer comes in pieces and never ends."""

    events, closed = None, False

    def chat(self, **arguments: object) -> Talker:
        return self

    def __iter__(self) -> Iterator[str]:
        for number in itertools.count():
            time.sleep(0.01)
            yield f"word {number} "

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def service() -> Service:
    """Two deployments."""
    return Service()


@pytest.fixture
def panel(service: Service) -> Iterator[Panel]:
    """Their panel."""
    made = Panel(service, service.figures, Place({}, 2, True))
    yield made
    made.close()


def card(panel: Panel, name: str = "RAG") -> Card:
    """The card of a deployment."""
    return panel._cards[name]


def test_ten_moves_are_one_tune_with_the_last_value(service: Service, panel: Panel) -> None:
    """A slider that is dragged along is not ten changes of the service."""
    dial = card(panel).dials["max_batch_size"]
    for value in range(5, 15):
        dial.input.value = value
    until(lambda: "applied" in dial.said.value)

    assert service.tuned == [("RAG", {"max_batch_size": 14})]
    assert "2/2, 30 ms" in dial.said.value
    assert dial.stepper.value == 14


def test_slider_and_stepper_are_one_knob(service: Service, panel: Panel) -> None:
    """A value beyond the slider's end can be typed, and the slider grows."""
    dial = card(panel).dials["max_ongoing_requests"]
    dial.stepper.value = 500
    until(lambda: "applied" in dial.said.value)

    assert service.tuned == [("RAG", {"max_ongoing_requests": 500})]
    assert dial.input.value == 500
    assert dial.input.max >= 500


def test_a_refused_wish_says_why_and_falls_back(service: Service, panel: Panel) -> None:
    """The panel never shows what is not true."""
    dial = card(panel).dials["num_replicas"]
    dial.input.value = 8
    until(lambda: "refused" in dial.said.value)

    assert "needs 8 GPU" in dial.said.value
    until(lambda: dial.input.value == dial.stepper.value == 2)
    assert service.tuned == []


def test_what_follows_a_knob_is_shown_with_it(service: Service, panel: Panel) -> None:
    """A batch size above the requests that a replica takes raises those too."""
    card(panel).dials["max_batch_size"].stepper.value = 24
    until(lambda: card(panel).dials["max_ongoing_requests"].input.value == 24)

    assert "raised from 16 to 24" in card(panel).dials["max_batch_size"].said.value


@pytest.mark.parametrize(
    ("knob", "typed", "elsewhere"),
    [("num_cpus", 0.7, 0.4), ("user_config", '{"threshold": 0.9}', {"threshold": 0.1})],
)
def test_what_is_typed_and_not_applied_yet_stays(
    service: Service, panel: Panel, knob: str, typed: Any, elsewhere: Any
) -> None:
    """Knobs are read again meanwhile; only another value of this one takes its place."""
    dial = card(panel).dials[knob]
    dial.input.value = typed
    service.set("RAG", max_batch_size=9)
    until(lambda: card(panel).dials["max_batch_size"].input.value == 9)
    assert dial.input.value == typed

    service.set("RAG", **{knob: elsewhere})
    until(lambda: dial.reading() == elsewhere)


def test_changes_made_elsewhere_appear(service: Service, panel: Panel) -> None:
    """Another kernel, or `app.tune()` in a cell."""
    dial = card(panel, "LLM").dials["max_batch_size"]
    service.set("LLM", max_batch_size=9)
    until(lambda: dial.input.value == dial.stepper.value == 9)

    assert "changed by revision 2" in dial.said.value
    assert service.tuned == []  # showing it is no wish


def test_a_slider_is_not_moved_back_while_its_wish_is_carried_out() -> None:
    """What is read while a change is under way is older than the wish."""
    service = Service(takes_s=2.2)
    panel = Panel(service, service.figures)
    dial, seen = card(panel).dials["max_batch_size"], set()
    dial.input.value = 6
    while "applied" not in dial.said.value:
        seen.add(dial.input.value)
        time.sleep(0.01)
    panel.close()

    assert seen == {6}


def test_the_switch_gives_bounds_and_takes_them_back(service: Service, panel: Panel) -> None:
    """On, Serve adjusts the number between bounds that can be set; off, the number is fixed."""
    found = card(panel)
    found._switch.value = True
    until(lambda: found.autoscaling)
    shown = [name for name, dial in found.dials.items() if dial.row.layout.display != "none"]
    found._switch.value = False
    until(lambda: not found.autoscaling)

    assert service.tuned[0] == ("RAG", {"min_replicas": 1, "max_replicas": 4})
    assert list(service.tuned[1][1]) == ["num_replicas"]
    assert set(knobs.AUTOSCALING) < set(shown)
    assert "num_replicas" not in shown


def test_what_needs_new_processes_waits_for_a_button(service: Service, panel: Panel) -> None:
    """Weights are loaded anew, so a slip must not do it."""
    dial = card(panel).dials["num_cpus"]
    dial.input.value = 0.3
    time.sleep(0.4)
    before = list(service.tuned)
    button = dial.row.children[1]
    button.click()
    until(lambda: bool(service.tuned))

    assert before == []
    assert "new processes" in button.description
    assert service.tuned == [("RAG", {"num_cpus": 0.3})]


def test_a_configuration_that_is_no_dictionary_is_refused(service: Service, panel: Panel) -> None:
    """The text stays, so that it can be mended."""
    dial = card(panel).dials["user_config"]
    dial.input.value = "{not json"
    dial.row.children[1].click()
    until(lambda: "refused" in dial.said.value)

    assert service.tuned == []


def test_rolling_back_goes_to_the_chosen_revision(service: Service, panel: Panel) -> None:
    """The one before is offered first."""
    service.set("RAG", max_batch_size=5)
    service.set("RAG", max_batch_size=6)
    until(lambda: panel._back_to.value == 2)
    panel._back.click()
    until(lambda: bool(service.rolled_back))

    assert service.rolled_back == [2]
    until(lambda: "back to revision 2" in panel._back_said.value)


def test_the_form_sends_and_shows_the_answer(panel: Panel) -> None:
    """Fields that are left out are not sent."""
    form = panel._form
    until(lambda: bool(form._fields))
    form._fields["query"][1].value = HOSTILE
    form.send.click()
    until(lambda: "answered in" in form.answer.value)

    assert HOSTILE not in form.answer.value
    assert "&lt;img src=x" in form.answer.value


def test_a_streamed_answer_is_shown_as_it_comes_and_can_be_stopped(
    service: Service, panel: Panel
) -> None:
    """A model may go on for minutes."""
    service.call = Talker()
    until(lambda: bool(panel._form._fields))
    panel._form._fields["query"][1].value = "?"
    panel._form.send.click()
    until(lambda: "word 1 " in panel._form.answer.value)
    panel._halted.set()
    until(lambda: "stopped after" in panel._form.answer.value)

    assert "first piece after" in panel._form.answer.value
    assert service.call.closed


def test_names_lines_and_reasons_are_escaped() -> None:
    """A replica's output is no HTML of ours."""
    service = Service(names=[HOSTILE])
    service.lines = (HOSTILE,)
    with recorded() as wire:
        panel = Panel(service, service.figures)
        panel._tabs.selected_index = 1
        card(panel, HOSTILE).dials["num_replicas"].input.value = 8
        service.set(HOSTILE, max_batch_size=5)
        service.revisions[-1] = service._revision(9, HOSTILE, "tune")
        until(lambda: "&lt;img" in panel._log._lines.value)
        until(lambda: "refused" in card(panel, HOSTILE).dials["num_replicas"].said.value)
        until(lambda: "&lt;img" in panel._revision.value)
        html = panel._repr_mimebundle_()["text/html"]
        panel.close()
    states = [content["data"].get("state", {}) for _, content in wire.values]
    texts = [s["value"] for s in states if isinstance(s.get("value"), str)]

    assert not [each for each in texts if HOSTILE in each and "<div" in each]
    assert HOSTILE not in html


def test_a_tick_is_small_and_fast(service: Service) -> None:
    """At most 10 kB and 5 ms per tick, with every figure changing and marks on the charts."""
    now_s = time.time()
    past = [service.sample(now_s - SECONDS + i) for i in range(SECONDS)]
    with recorded() as wire:
        panel = Panel(service, lambda: past, Place({}, 2, True))
        panel._beat.close()
        panel._beat.join(5)
        for i in range(3):
            service.set("RAG", max_batch_size=5 + i)
        panel._tick()
        bytes_before, took_s = wire.bytes, []
        for i in range(30):
            past = [service.sample(now_s + i)]
            began_s = time.thread_time()
            panel._tick()
            took_s.append(time.thread_time() - began_s)
        per_tick = (wire.bytes - bytes_before) / 30
        panel.close()

    assert per_tick <= 10_000
    assert sorted(took_s)[15] <= 0.005


def test_a_tick_without_news_sends_next_to_nothing(service: Service) -> None:
    """An application at rest costs no traffic."""
    with recorded() as wire:
        panel = Panel(service, lambda: [], Place({}, 2, True))
        time.sleep(1.5)
        before = wire.messages
        time.sleep(2.2)
        sent = wire.messages - before
        panel.close()

    assert sent <= 4  # the marks move on


def test_closing_ends_threads_and_widgets(service: Service) -> None:
    """Nothing of a closed panel is left in the kernel."""
    before, widgets = threading.active_count(), len(_instances)
    panel = Panel(service, service.figures)
    panel._tabs.selected_index = 1

    assert threading.active_count() == before + 4
    assert panel.close()
    assert threading.active_count() == before
    assert len(_instances) == widgets
    assert panel.close()


def test_what_cannot_be_read_is_said_and_the_panel_goes_on(service: Service, panel: Panel) -> None:
    """A cluster that is gone for a moment is no reason to end."""

    def gone() -> AppStatus:
        raise ClusterError("the cluster is gone", "start it again")

    real, service.status = service.status, gone  # type: ignore[method-assign]
    until(lambda: "the cluster is gone" in panel._head.value)
    service.status = real  # type: ignore[method-assign]

    until(lambda: "gone" not in panel._head.value)


def test_deployments_and_knobs_come_and_go(service: Service, panel: Panel) -> None:
    """A deploy may add a deployment, or a batched method to one."""
    service.tunables["Judge"] = service.tunables.pop("LLM")
    service.set("RAG", max_batch_size=5)
    until(lambda: panel._charts.choice.options == ("RAG", "Judge"))

    assert list(panel._cards) == ["RAG", "Judge"]


def test_the_text_form_is_the_same_in_every_run(service: Service, panel: Panel) -> None:
    """Notebooks are compared by nbval; a saved one shows a table."""
    bundle = panel._repr_mimebundle_()

    assert bundle["text/plain"] == repr(panel) == "panel of rag: RAG, LLM"
    assert "<table>" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert json.loads(json.dumps(bundle)) == bundle


def test_messages_of_front_ends_go_where_they_ask(panel: Panel) -> None:
    """As ipykernel has it, a slider would wait for the cell that runs."""
    slider = card(panel).dials["max_batch_size"].input
    slider.comm._reply_subshell_for = lambda data, default: "the shell that runs cells"
    comms.mend(panel.widget)

    assert slider.comm._reply_subshell_for({}, "the one asked for") == "the one asked for"
