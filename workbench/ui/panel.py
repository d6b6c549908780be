"""The panel of an application: what it does, and the knobs to change it while it runs.

Three threads: one looks once per second, one carries out what is wished, one sends the form's
requests. None of them is the kernel's own, so a cell that runs stops nothing, and callbacks only
note the wish. Widgets are written under one lock, and never where a wish is under way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets

from workbench.adapters import jupyter
from workbench.core.charts import marks
from workbench.core.metrics import Sample
from workbench.core.revision import SERVED, Revisions
from workbench.core.wishes import Report, Topic, Wish
from workbench.runtime import desk
from workbench.runtime.app import App
from workbench.runtime.feed import PERIOD_S, Beat, Feed, View
from workbench.runtime.wishes import Wishes

from . import comms, style, texts
from .cards import Card
from .charts import Charts
from .dials import SAID
from .forms import TRY, TryIt
from .logs import LINES, LogTail

LOGS = 1  # place of the log tail among the tabs
LOG_PERIOD_S = 2.0
END_S = 3.0
NO_REVISION = ("no earlier revision", 0)


@dataclass(frozen=True)
class Place:
    """What does not change while a panel lives.

    Attributes:
        links: addresses by text.
        gpus: GPUs of the cluster.
        simulated: whether they are logical ones.
    """

    links: Mapping[str, str]
    gpus: float = 0.0
    simulated: bool = False


NOWHERE = Place({})


def place_of(app: App) -> Place:
    """The links and the GPUs of an application's cluster."""
    facts, base = app.cluster.facts, jupyter.base_path()
    links = {
        "docs": app.docs_url,
        "docs through JupyterLab": jupyter.proxied(app.docs_url, base),
        "Ray dashboard": facts.dashboard_url,
        "dashboard through JupyterLab": jupyter.dashboard(base),
    }
    known = {text: url for text, url in links.items() if url}
    return Place(known, facts.num_gpus, facts.simulated_gpus)


class Panel:
    """Shows an application and changes it. Displays itself in a notebook.

    Args:
        app: the application; its own, since `rollback` of it must show no progress in a cell.
        figures: reads the samples that came since it last did; see `runtime.figures`.
        place: what stands around it.
    """

    def __init__(
        self, app: Any, figures: Callable[[], Iterable[Sample]], place: Place = NOWHERE
    ) -> None:
        self._app, self._place = app, place
        self._paint, self._closed = threading.Lock(), False
        self._halted = threading.Event()
        self._feed = Feed(app, figures)
        view = self._feed.look()
        self._cards: dict[str, Card] = {}
        self._revisions: Revisions | None = None
        self._running: dict[str, int] = {}
        self._knobs = view.knobs
        self._wishes = Wishes(lambda wish: desk.changed(app, wish), self._told)
        self._sends = Wishes(self._send, self._told, settle_s=0.0, name="workbench-form")
        self._build([each.name for each in view.status.deployments] if view.status else [])
        self._show(view)
        comms.mend(self.widget)
        self._form.read()
        self._beat = Beat(self._tick, PERIOD_S, "workbench-feed")
        self._logs: Beat | None = None
        self._tabs.observe(lambda change: self._tail(change["new"] == LOGS), "selected_index")
        for chosen in (self._charts.choice, self._log.choice):
            chosen.observe(lambda _: self._wake(), "value")

    def _build(self, names: list[str]) -> None:
        self._head, self._revision = ipywidgets.HTML(), ipywidgets.HTML()
        self._back_to = ipywidgets.Dropdown(
            options=[NO_REVISION],
            description="Back to",
            tooltip="revision to go back to",
            layout={"width": "380px"},
        )
        self._back = ipywidgets.Button(
            description="Roll back",
            tooltip="put the chosen revision back, in place where possible",
            icon="undo",
        )
        self._back.on_click(lambda _: self._roll_back())
        self._back_said = ipywidgets.HTML(layout=SAID)
        self._column = ipywidgets.VBox(layout={"flex": "1 1 560px", "min_width": "0"})
        self._charts, self._log = Charts(names), LogTail(names)
        self._charts.widget.layout.flex, self._charts.widget.layout.min_width = "1 1 380px", "0"
        self._form = TryIt(self._sends.wish, self._halted.set)
        self._tabs = ipywidgets.Tab(
            [self._form.widget, self._log.widget], titles=["Try it", "Logs"], selected_index=0
        )
        back = ipywidgets.HBox([self._back_to, self._back, self._back_said])
        middle = ipywidgets.HBox(
            [self._column, self._charts.widget],
            layout={"flex_flow": "row wrap", "grid_gap": "12px"},
        )
        css = ipywidgets.HTML(style.CSS, layout={"display": "none"})
        parts = [css, self._head, self._revision, back, middle, self._tabs]
        self.widget = ipywidgets.VBox(parts)
        self.widget.add_class("wb-panel")

    def __repr__(self) -> str:
        """Without figures, so that a notebook's output stays the same."""
        return f"panel of {self._app.name}: {', '.join(self._cards) or 'nothing runs'}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = self.widget._repr_mimebundle_(**options)
        data, *rest = bundle if isinstance(bundle, tuple) else (bundle,)
        html = texts.static(self._app.name, self._knobs)
        data = {**data, "text/plain": repr(self), "text/html": html}
        return (data, *rest) if rest else data

    def close(self, timeout_s: float = END_S) -> bool:
        """End the threads and take the widgets away. Harmless when closed already.

        Args:
            timeout_s: seconds to wait for each thread; a request under way is not waited for.

        Returns:
            Whether every thread has ended.
        """
        self._closed = True
        threads = [each for each in (self._beat, self._logs, self._wishes, self._sends) if each]
        for each in threads:
            each.close()
        ended = [each.join(timeout_s) for each in threads]
        with self._paint:
            comms.close_all(self.widget)
        return all(ended)

    def _tick(self) -> None:
        view = self._feed.look()
        with self._paint:
            if not self._closed:
                self._show(view)

    def _wake(self) -> None:
        self._beat.wake()

    def _show(self, view: View) -> None:
        comms.say(
            self._head, texts.head(self._app.name, view.status, self._place.links, view.problem)
        )
        self._show_cards(view)
        if view.revisions is not self._revisions:
            if self._revisions is not None:
                self._form.read()  # new code may have other routes
            self._revisions = view.revisions
            self._show_revisions(view.revisions)
        now_s = view.samples[-1].at_s if view.samples else view.at_s
        now_s = max(now_s, view.at_s - 2 * PERIOD_S)
        self._charts.show(view.samples, marks(view.revisions, now_s), now_s)

    def _show_cards(self, view: View) -> None:
        if view.status is None:
            return
        by_name = {each.name: each for each in view.status.deployments}
        self._running = {name: each.replicas_running for name, each in by_name.items()}
        self._arrange(view, list(by_name))
        newest = view.samples[-1].deployments if view.samples else {}
        for name, card in self._cards.items():
            gpus, simulated = self._place.gpus, self._place.simulated
            card.show(by_name.get(name), newest.get(name), gpus, simulated)
            if view.knobs is not self._knobs:
                known = {k.name: k.value for k in view.knobs if k.deployment == name}
                card.show_knobs(known, view.knobs_at_s, view.revisions.serving)
        self._knobs = view.knobs

    def _arrange(self, view: View, names: list[str]) -> None:
        """Make cards for what is new, and take those away whose deployment or knobs are gone."""
        found = {name: [k for k in view.knobs if k.deployment == name] for name in names}
        wanted = {name: tuple(k.name for k in each) for name, each in found.items()}
        have = {name: card.names for name, card in self._cards.items()}
        if wanted == have:
            return
        cards = {}
        for name, each in found.items():
            kept = self._cards.get(name)
            fits = kept is not None and kept.names == wanted[name]
            cards[name] = kept if fits and kept else Card(name, each, self._wished, self._busy_with)
        gone = [card for card in self._cards.values() if card not in cards.values()]
        self._cards = cards
        self._column.children = [card.widget for card in cards.values()]
        for card in gone:
            comms.close_all(card.widget)
        self._charts.offer(names)
        self._log.offer(names)
        comms.mend(self.widget)

    def _show_revisions(self, revisions: Revisions) -> None:
        comms.say(self._revision, texts.revision_line(revisions))
        earlier = [r for r in revisions if r.outcome == SERVED and r.number != revisions.serving]
        options = [(texts.revision_choice(each), each.number) for each in reversed(earlier)]
        newest = self._back_to.index == 0  # nobody chose another: the newest one is offered again
        comms.offer(self._back_to, options or [NO_REVISION])
        if newest:
            self._back_to.index = 0
        self._back.disabled = not options

    def _busy_with(self, topic: Topic) -> bool:
        return self._wishes.busy_with(topic)

    def _wished(self, wish: Wish) -> None:
        self._wishes.wish(wish)

    def _roll_back(self) -> None:
        if self._back_to.value:
            self._wished(Wish(("", desk.ROLLBACK), {"to": self._back_to.value}))

    def _told(self, report: Report) -> None:
        """Show how a wish stands; called by the threads that carry them out."""
        with self._paint:
            if self._closed:
                return
            deployment, topic = report.wish.topic
            if topic in (TRY, desk.READ):
                self._form.report(report)
                return
            if topic == desk.ROLLBACK:
                self._back_said.value = texts.report(report)
            elif deployment in self._cards:
                self._cards[deployment].report(report, time.monotonic())
        if report.over:
            self._feed.forget()
            self._wake()

    def _send(self, wish: Wish) -> tuple[str, object]:
        self._halted.clear()
        return desk.sent(self._app, wish, self._so_far)

    def _so_far(self, pieces: list[Any]) -> bool:
        with self._paint:
            if not self._closed:
                self._form.so_far(pieces)
        return not (self._closed or self._halted.is_set())

    def _tail(self, shown: bool) -> None:
        """Read the log while its tab is open, and not otherwise."""
        if self._logs is not None:
            self._logs.close()
        self._logs = Beat(self._read_log, LOG_PERIOD_S, "workbench-logs") if shown else None

    def _read_log(self) -> None:
        try:
            lines = self._app.logs(self._log.deployment, tail=LINES)
        except Exception as error:  # whatever it is, it is said where the lines would be
            lines = (f"the log could not be read: {error}",)
        with self._paint:
            if not self._closed:
                self._log.show(lines)
