"""What a test does in JupyterLab: open the notebook, run cells."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
READY = """async () => {
  await window.jupyterapp.restored;
  const widget = window.jupyterapp.shell.currentWidget;
  await widget.context.ready;
  await widget.sessionContext.ready;
  await widget.sessionContext.session.kernel.info;
}"""
# The command does nothing, and says nothing, while the notebook is not the current one.
ENABLED = "() => window.jupyterapp.commands.isEnabled('notebook:run-cell')"
BEGUN = """(index) => {
  const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
  return cell.node.querySelector('.jp-InputPrompt').textContent.trim() !== '[ ]:';
}"""
BEGINS_MS = 60_000
RUN = """async (index) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""


def open_notebook(page: Page, address: str) -> None:
    """Open it and wait for its kernel."""
    page.goto(address)
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context")
    page.evaluate(READY)
    page.wait_for_function(ENABLED)


def run_all(page: Page) -> None:
    """Run every cell; does not wait."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def run(page: Page, index: int) -> None:
    """Run one cell; waits until it has begun, not for its end."""
    page.evaluate(RUN, index)
    page.wait_for_function(BEGUN, arg=index, timeout=BEGINS_MS)


def keep(page: Page, name: str) -> None:
    """Keep a screenshot."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")
