"""What Serve's hooks, context and scaling do beside an exchange of code."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

import workbench

from .notebook import Notebook

pytestmark = pytest.mark.ray

SERVICE = """
from ray import serve
class Job:
    def __init__(self, n):
        self.n = n
@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Service:
    def __init__(self, folder):
        self.folder = folder
    def __call__(self, job=None):
        own = serve.get_replica_context().servable_object
        return "one", own is self, type(own) is type(self), job is None or isinstance(job, Job)
    def __del__(self):
        with open(self.folder + "/gone", "a") as file:
            file.write("gone ")
app = Service.bind(FOLDER)
"""
SCALED = """
from ray import serve
import os
def three(context):
    return 3, {}
@serve.deployment(ray_actor_options={"num_cpus": 0.1}, autoscaling_config={
    "min_replicas": 1, "initial_replicas": 1, "max_replicas": 3, "metrics_interval_s": 0.2,
    "upscale_delay_s": 0, "downscale_delay_s": 0, "policy": {"policy_function": three}})
class Service:
    def pid(self):
        return os.getpid()
    def answer(self):
        return "one"
app = Service.bind()
"""


def _until(ask: Any, wanted: Any, timeout_s: float = 60.0) -> Any:
    end = time.monotonic() + timeout_s
    while (answer := ask()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def test_an_exchange_runs_no_del_and_shows_the_new_object(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state goes on in another object; what `__del__` closes is still in use."""
    book, gone = Notebook(), tmp_path / "gone"
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    book.names["FOLDER"] = str(tmp_path)
    app = workbench.deploy(book.run(SERVICE)["app"], name=name)
    first = app.handle().remote(book.names["Job"](1)).result()

    workbench.deploy(book.run(SERVICE.replace('"one"', '"two"'))["app"], name=name, mode="swap")
    second = app.handle().remote(book.names["Job"](2)).result()
    swapped = gone.exists()
    workbench.delete(name)

    assert [first, second] == [("one", True, True, True), ("two", True, True, True)]
    assert not swapped
    assert _until(lambda: gone.read_text() if gone.exists() else "", "gone ", 10) == "gone "


def test_an_exchange_keeps_the_processes_that_scaling_added(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serve, told again, would go back to `initial_replicas`."""
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    app = workbench.deploy(book.run(SCALED)["app"], name=name)

    def pids() -> set[int]:
        return set(app.handle().broadcast("pid").results(timeout_s=20))

    assert _until(lambda: len(pids()), 3) == 3
    before = pids()
    workbench.deploy(book.run(SCALED.replace('"one"', '"two"'))["app"], name=name, mode="swap")

    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert pids() == before
    assert app.handle().answer.remote().result() == "two"
