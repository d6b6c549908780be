"""What a new user does in the first ten minutes, in a kernel as JupyterLab starts it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import workbench
from workbench.adapters import ray_serve

from .kernel import Kernel

pytestmark = pytest.mark.ray
README = (Path(__file__).parent.parent / "README.md").read_text()
FIRST = next(iter(re.findall(r"```python\n(.*?)```", README, re.DOTALL)))
API = "import workbench\nfrom fastapi import FastAPI\nfrom ray import serve\n\napi = FastAPI()"
CLASS = """
@serve.deployment(ray_actor_options={"num_cpus": 0})
@serve.ingress(api)
class Shop:
    def __init__(self):
        self.stock = {"apple": 3}

    @api.get("/stock")
    def left(self, fruit: str) -> int:
        return self.stock[fruit]
"""
DEPLOY = 'app = workbench.deploy(Shop, name="shop")'
ASK = "print(app.call.left(fruit='apple'))"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    for each in [a.name for a in workbench.apps()]:
        workbench.delete(each)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """The kernel of one notebook."""
    with Kernel(tmp_path / "first.ipynb") as started:
        yield started


def pids(app: str) -> set[int]:
    """Process ids of an application's replicas."""
    deployments = ray_serve.details()[app]["deployments"].values()
    return {replica["pid"] for each in deployments for replica in each["replicas"]}


def test_the_readmes_first_cell_and_an_edit_of_it(kernel: Kernel) -> None:
    """The very first edit is hot: the processes stay."""
    kernel.run(FIRST)
    assert "Hello, Ada!" in kernel.run("app.call.greet(name='Ada')").text
    before = pids("greeter")
    shown = kernel.run(FIRST.replace("Hello", "Good day"))

    assert "Good day, Ada!" in kernel.run("app.call.greet(name='Ada')").text
    assert "swap" in shown.text + shown.html
    assert pids("greeter") == before


def test_a_typo_is_said_with_its_line_and_what_served_serves(kernel: Kernel) -> None:
    """A constructor that fails takes nothing down, and its own line is shown."""
    for cell in (API, CLASS, DEPLOY):
        kernel.run(cell)
    typo = CLASS.replace("self.stock = {", "self.stock = dcit() or {")
    kernel.run(typo)
    error = kernel.failing(DEPLOY).error

    assert "DeployError" in error
    assert "name 'dcit' is not defined" in error
    assert "Cell In[" in error
    assert kernel.run(ASK).printed == "3\n"
    kernel.run(CLASS.replace("3}", "4}"))
    kernel.run(DEPLOY)
    assert kernel.run(ASK).printed == "4\n"


def test_a_name_that_does_not_exist_in_a_route_is_shown_where_it_is_asked(kernel: Kernel) -> None:
    """The error of a request carries the replica's traceback, with the cell's own line."""
    for cell in (API, CLASS.replace("self.stock[fruit]", "self.stok[fruit]"), DEPLOY):
        kernel.run(cell)
    error = kernel.failing(ASK).error

    assert "has no attribute 'stok'" in error
    assert "Cell In[" in error
    kernel.run(CLASS)
    kernel.run(DEPLOY)
    assert kernel.run(ASK).printed == "3\n"


def test_restart_and_run_all_keeps_what_serves(kernel: Kernel) -> None:
    """Nothing was edited, so nothing changes, though every object is a new one."""
    cells = (API, CLASS, DEPLOY, ASK)
    for cell in cells:
        kernel.run(cell)
    before = pids("shop")
    kernel.restart()
    shown = [kernel.run(cell) for cell in cells]

    assert "keep" in shown[2].text + shown[2].html
    assert shown[3].printed == "3\n"
    assert pids("shop") == before


def test_two_notebooks_in_two_folders_share_the_cluster(kernel: Kernel, tmp_path: Path) -> None:
    """Each deploys its own application; the second one edits the first one's, too."""
    for cell in (API, CLASS, DEPLOY):
        kernel.run(cell)
    before = pids("shop")
    with Kernel(tmp_path / "elsewhere" / "second.ipynb") as second:
        second.run(API)
        second.run(CLASS.replace("3}", "7}").replace("Shop", "Store"))
        second.run('app = workbench.deploy(Store, name="store")')
        assert second.run(ASK).printed == "7\n"
        assert kernel.run(ASK).printed == "3\n"
        second.run(CLASS.replace("self.stock[fruit]", "10 * self.stock[fruit]"))
        second.run(DEPLOY)

    assert kernel.run(ASK).printed == "30\n"
    assert pids("shop") == before


def test_the_stop_button_ends_a_deploy_and_what_served_serves(kernel: Kernel) -> None:
    """A constructor that takes for ever is left behind."""
    for cell in (API, CLASS, DEPLOY):
        kernel.run(cell)
    kernel.run("import time\n" + CLASS.replace("self.stock = {", "time.sleep(600); self.stock = {"))
    begun = kernel.begin(DEPLOY)
    time.sleep(8)
    kernel.interrupt()

    assert "KeyboardInterrupt" in kernel.wait(begun).error
    assert kernel.run(ASK).printed == "3\n"
