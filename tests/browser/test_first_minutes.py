"""README's first cell, edits of it and a second service, as a new user runs them in JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

import workbench

from .jupyter import keep, open_notebook, run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
README = (Path(__file__).parents[2] / "README.md").read_text()
FIRST = README.split("```python\n")[1].split("```")[0].strip()
EDITED = FIRST.replace("Hello, {name}!", "Good morning, {name}!")
CONSTRUCTED = EDITED.replace(
    '    @api.get("/greet")',
    "    def __init__(self) -> None:\n"
    '        print("ready to greet")\n'
    '        self.word = "Good evening"\n\n'
    '    @api.get("/greet")',
).replace('f"Good morning, {name}!"', 'f"{self.word}, {name}!"')
CELLS = [
    FIRST,
    EDITED,
    CONSTRUCTED,
    "def shout(text: str) -> str:\n    print('shouting', text)\n    return text.upper()\n\n"
    "second = workbench.deploy(shout, num_replicas=2)\n"
    "second.post('/', json={'text': 'hey'}).json()",
    "workbench.start()",
    "workbench.apps()",
    "app.logs()",
    "app.tune()",
    "app.call.great(name='Ada')",
    "app.delete()",
    "second.diff()",
]
SHOWN = {
    0: "'greeting': 'Hello, Ada!'",
    1: "'greeting': 'Good morning, Ada!'",
    2: "'greeting': 'Good evening, Ada!'",
    3: "'HEY'",
    4: "logical)",
    5: "shout",
    6: "ready to greet",
    7: "a change costs",
    8: "did you mean 'greet'?",
    9: "workbench.delete('greeter') removes the application",
    10: "revision 1 of 'shout' is the first",
}


ENDED = """(index) => {
  const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
  return /\\d/.test(cell.node.querySelector('.jp-InputPrompt').textContent);
}"""


def test_the_first_ten_minutes(lab: str, page: Page) -> None:
    """Three replicas, a hot edit, an edit that needs three more beside them, another service."""
    open_notebook(page, lab)
    cells = page.locator(".jp-Notebook .jp-Cell")
    try:
        for number, text in SHOWN.items():
            run(page, number)
            area = cells.nth(number).locator(".jp-OutputArea", has_text=text)
            area.wait_for(timeout=120_000)
            page.wait_for_function(ENDED, arg=number)  # what follows an error at once is dropped
            keep(page, f"first-{number}")
    finally:
        keep(page, "first-end")
        for each in workbench.apps():
            workbench.delete(each.name)
    errors = [cells.nth(number).locator(".jp-OutputArea").inner_text() for number in (8, 9, 10)]
    assert all("of this cell" in text and len(text.splitlines()) <= 4 for text in errors)
    assert "swap" in cells.nth(1).locator(".jp-OutputArea").inner_text()
    assert cells.nth(7).locator("table").count() == 1
    assert "Started" not in cells.nth(6).locator(".jp-OutputArea").inner_text()
