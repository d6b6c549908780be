"""The panel in a real JupyterLab, in a real browser, on a real cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

import workbench
from tests import waiting
from tests.notebook import Load

from .conftest import Lab
from .jupyter import keep, open_notebook, run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
until = partial(waiting.until, timeout_s=15.0)
NAME = "panel-browser"
CELLS = [
    "import os, threading, time, workbench\n"
    "from fastapi import FastAPI\n"
    "from ray import serve\n"
    "api = FastAPI()\n"
    "@serve.deployment(num_replicas=2, user_config={'greeting': 'Hello'},\n"
    "                  ray_actor_options={'num_cpus': 0.1, 'num_gpus': 0.25})\n"
    "@serve.ingress(api)\n"
    "class Greeter:\n"
    "    def reconfigure(self, config):\n"
    "        self.greeting = config['greeting']\n"
    "    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.2)\n"
    "    async def greetings(self, names):\n"
    "        print('<b>batch</b> of', len(names), flush=True)\n"
    "        return [(f'{self.greeting}, {name}!', len(names), os.getpid()) for name in names]\n"
    "    @api.get('/greet')\n"
    "    async def greet(self, name: str = 'Ada', loud: bool = False):\n"
    "        text, batch, pid = await self.greetings(name)\n"
    "        return {'text': text.upper() if loud else text, 'batch': batch, 'pid': pid}\n"
    f"app = workbench.deploy(Greeter.bind(), name='{NAME}')\n"
    "panel = workbench.panel(app)\n"
    "panel",
    "time.sleep(25)",
    "panel.close()\n"
    "[each.name for each in threading.enumerate() if each.name.startswith('workbench-')]",
]


class Seen:
    """The panel as a user sees it, and the service behind it.

    Args:
        page: the tab.
        app: the application.
    """

    def __init__(self, page: Page, app: Any) -> None:
        self.page, self.app = page, app
        self.panel = page.locator(".wb-panel")

    def row(self, knob: str) -> Locator:
        """The row of a knob or a switch."""
        label = self.page.locator(f".widget-label:text-is('{knob}')")
        label = label.or_(self.page.locator(f".widget-label-basic:has-text('{knob}')"))
        return self.panel.locator(".wb-card .widget-hbox").filter(has=label).last

    def handle(self, knob: str) -> Locator:
        """The handle of a slider."""
        return self.row(knob).locator(".noUi-handle")

    def value(self, knob: str) -> float:
        """What the stepper of a knob says."""
        return float(self.row(knob).locator("input[type=number]").input_value())

    def says(self, knob: str, state: str, timeout_s: float = 20.0) -> str:
        """Wait until a knob is said to be applied, refused, ...; returns all that is said."""
        said = self.row(knob).locator(f"[data-state={state}]")
        said.wait_for(timeout=timeout_s * 1e3)
        return said.inner_text()

    def answers(self, count: int = 48, **params: Any) -> list[dict[str, Any]]:
        """Answers to requests that come all at once."""
        with ThreadPoolExecutor(count) as pool:
            asked = [pool.submit(self.app.get, "/greet", params=params) for _ in range(count)]
            return [each.result().json() for each in asked]

    def fastest_s(self) -> float:
        """The time of the fastest of some requests, one after the other."""
        took_s = []
        for _ in range(5):
            began_s = time.monotonic()
            self.app.get("/greet")
            took_s.append(time.monotonic() - began_s)
        return min(took_s)

    def largest_batch(self) -> int:
        """The largest batch among many requests."""
        return max(each["batch"] for each in self.answers())


@pytest.fixture(scope="module")
def service() -> Iterator[list[int]]:
    """Deployed by the first test's cell; the number of the revision that it was then."""
    first: list[int] = []
    yield first
    if NAME in [each.name for each in workbench.apps()]:
        workbench.delete(NAME)


@pytest.fixture
def seen(server: Lab, lab: str, page: Page, service: list[int]) -> Iterator[Seen]:
    """The panel of an application that was deployed in the notebook."""
    if service:
        workbench.connect(NAME).rollback(to=service[0])
    page.set_viewport_size({"width": 1400, "height": 1700})
    open_notebook(page, lab)
    page.evaluate("() => { window.jupyterapp.commands.execute('application:toggle-left-area'); }")
    run(page, 0)
    try:
        try:
            page.locator(".wb-panel .wb-card").wait_for(timeout=120_000)
        except TimeoutError:
            print(server.stacks())
            raise
        app = workbench.connect(NAME)
        service.append(app.history().serving)
        yield Seen(page, app)
    finally:
        keep(page, "panel-end")


def test_knobs_by_mouse_and_keyboard(seen: Seen) -> None:
    """Whatever is moved is true in the replicas; what is refused falls back."""
    assert seen.largest_batch() == 4
    seen.handle("max_batch_size").hover()
    seen.page.mouse.down()
    box = seen.handle("max_batch_size").bounding_box()
    assert box is not None
    seen.page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2, steps=8)
    seen.page.mouse.up()
    assert "2/2" in seen.says("max_batch_size", "applied")
    wanted = int(seen.value("max_batch_size"))
    assert wanted > 4
    until(lambda: seen.largest_batch() == wanted, timeout_s=30)

    waiting_s = seen.fastest_s()
    assert waiting_s > 0.2
    seen.handle("batch_wait_timeout_s").focus()
    seen.page.keyboard.press("Home")
    seen.says("batch_wait_timeout_s", "applied")
    assert seen.fastest_s() < waiting_s - 0.1

    seen.handle("num_replicas").focus()
    seen.page.keyboard.press("ArrowRight")
    assert "3/3" in seen.says("num_replicas", "applied", 60)
    until(lambda: len({each["pid"] for each in seen.answers()}) == 3)

    stepper = seen.row("num_replicas").locator("input[type=number]")
    stepper.fill("900")
    stepper.press("Enter")
    assert "GPU" in seen.says("num_replicas", "refused", 60)
    until(lambda: seen.value("num_replicas") == 3)
    assert seen.app.status().deployments[0].replicas_target == 3

    pids = {each["pid"] for each in seen.answers()}
    field = seen.row("num_cpus").locator("input[type=number]")
    field.fill("0.2")
    field.press("Tab")
    seen.row("num_cpus").locator("button").click()
    assert "new processes" in seen.says("num_cpus", "applied", 90)
    assert not pids & {each["pid"] for each in seen.answers()}

    seen.row("autoscaling").locator("input").click()
    seen.says("autoscaling", "applied", 60)
    seen.handle("max_replicas").wait_for()
    knobs = {each.name: each.value for each in seen.app.tune()}
    assert (knobs["num_replicas"], knobs["min_replicas"], knobs["max_replicas"]) == (None, 1, 6)
    keep(seen.page, "panel-autoscaling")
    seen.row("autoscaling").locator("input").click()
    until(
        lambda: {k.name: k.value for k in seen.app.tune()}["num_replicas"] is not None, timeout_s=60
    )


def test_rollback_form_and_changes_from_elsewhere(seen: Seen) -> None:
    """The form asks the live service, and the panel follows whoever changes it."""
    seen.app.call.invalidate()
    with Load(seen.app, "/greet", clients=4):
        area = seen.row("user_config").locator("textarea")
        area.fill('{"greeting": "Good day"}')
        area.press("Tab")
        seen.row("user_config").locator("button").click()
        seen.says("user_config", "applied", 60)
        assert seen.answers(1)[0]["text"] == "Good day, Ada!"

        seen.panel.get_by_label("name (text)").fill("Grace")
        seen.panel.get_by_label("loud (boolean)").select_option("True")
        seen.panel.get_by_role("button", name="Send").click()
        answer = seen.panel.locator(".wb-pre", has_text="GOOD DAY, GRACE!")
        answer.wait_for(timeout=20_000)
        assert "answered in" in seen.panel.inner_text()

        seen.app.tune(max_batch_size=7)
        until(lambda: seen.value("max_batch_size") == 7)
        assert "changed by revision" in seen.says("max_batch_size", "elsewhere")

        back_to = seen.panel.locator("select").first
        back_to.select_option(index=back_to.locator("option").count() - 1)
        seen.panel.get_by_role("button", name="Roll back").click()
        until(lambda: seen.answers(1)[0]["text"] == "Hello, Ada!", timeout_s=60)
        expect(seen.panel).to_contain_text("applied back to revision", timeout=20_000)
        until(lambda: seen.value("max_batch_size") == 4)

        seen.page.locator(".lm-TabBar-tab", has_text="Logs").click()
        seen.panel.locator(".wb-pre", has_text="<b>batch</b> of").wait_for(timeout=30_000)
        keep(seen.page, "panel-logs")
        seen.page.locator(".lm-TabBar-tab", has_text="Try it").click()
        keep(seen.page, "panel-light")
        dark = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: '%s'})"
        seen.page.evaluate(dark % "JupyterLab Dark")
        seen.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
        time.sleep(1.5)
        keep(seen.page, "panel-dark")


def test_a_cell_that_runs_does_not_stop_it(seen: Seen) -> None:
    """Figures and knobs go on while a cell sleeps, and `close()` ends every thread."""
    with Load(seen.app, "/greet", clients=2):
        run(seen.page, 1)
        cell = seen.page.locator(".jp-Notebook .jp-Cell").nth(1)
        expect(cell.locator(".jp-InputPrompt")).to_contain_text("[*]")
        figures = seen.panel.locator("table.wb-now").inner_text()
        seen.handle("max_batch_size").focus()
        seen.page.keyboard.press("ArrowRight")
        seen.says("max_batch_size", "applied", 8)
        until(lambda: seen.panel.locator("table.wb-now").inner_text() != figures)
        seen.panel.get_by_role("button", name="Send").click()
        seen.panel.locator(".wb-pre", has_text="Hello, Ada!").wait_for(timeout=12_000)

        expect(cell.locator(".jp-InputPrompt")).to_contain_text("[*]")
        assert seen.value("max_batch_size") == 5
        assert {k.name: k.value for k in seen.app.tune()}["max_batch_size"] == 5
    expect(cell.locator(".jp-InputPrompt")).not_to_contain_text("[*]", timeout=40_000)
    run(seen.page, 2)
    output = seen.page.locator(".jp-Notebook .jp-Cell").nth(2).locator(".jp-OutputArea-output")
    expect(output).to_contain_text("[]", timeout=15_000)


def test_links_lead_through_jupyterlab(seen: Seen) -> None:
    """Documentation and dashboard are reached by JupyterLab's own address, as from afar."""
    home = seen.page.url.split("/lab/")[0]

    def found(text: str) -> str:
        path = seen.panel.get_by_role("link", name=text).get_attribute("href") or ""
        assert path.startswith("/")
        response = seen.page.request.get(home + path)
        assert response.status == 200
        return str(response.text())

    assert f"/{NAME}/openapi.json" in found("docs through JupyterLab")
    base = seen.panel.get_by_role("link", name="docs through JupyterLab").get_attribute("href")
    document = seen.page.request.get(f"{home}{base}".removesuffix("docs") + "openapi.json")
    assert "/greet" in document.json()["paths"]
    assert "Ray Dashboard" in found("dashboard through JupyterLab")
    seen.page.evaluate("() => { window.jupyterapp.commands.execute('launcher:create'); }")
    tile = seen.page.locator(".jp-LauncherCard", has_text="Ray dashboard")
    expect(tile.locator("img")).to_have_js_property("complete", True)
    expect(tile.locator("img")).not_to_have_js_property("naturalWidth", 0)
    keep(seen.page, "launcher")
