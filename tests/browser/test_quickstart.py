"""The quickstart in a real JupyterLab, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

import workbench

from .jupyter import keep, open_notebook, run_all

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
CELLS = [
    "import workbench\n"
    "from fastapi import FastAPI\n"
    "api = FastAPI()\n"
    "@api.get('/greet')\n"
    "def greet(name: str):\n"
    "    return {'greeting': f'Hello, {name}!'}\n"
    "@api.get('/divide')\n"
    "def divide(by: int):\n"
    "    return 1 / by\n"
    "app = workbench.deploy(api, name='browser', ray_actor_options={'num_cpus': 0.1})",
    "app.call.greet(name='Ada')",
    "app.status()",
    "app.get('/divide', params={'by': 0})",
]


def test_deploy_query_and_error_in_jupyterlab(lab: str, page: Page) -> None:
    """The summary, the answer, the status table and the error with the cell's line are seen."""
    open_notebook(page, lab)
    run_all(page)
    cells = page.locator(".jp-Notebook .jp-Cell")

    def shown(number: int, text: str) -> None:
        cells.nth(number).locator(".jp-OutputArea", has_text=text).wait_for(timeout=120_000)

    try:
        shown(0, "browser revision")
        shown(1, "Hello, Ada!")
        shown(2, "HEALTHY")
        shown(3, "ZeroDivisionError")
    finally:
        keep(page, "quickstart")
    assert cells.nth(2).locator("table caption").count() == 1
    error = cells.nth(3).locator(".jp-OutputArea").inner_text()
    assert "IngressError in line 1 of this cell" in error
    assert "Cell In[1], line 9, in divide" in error
    assert "site-packages" not in error
    workbench.delete("browser")
