"""OpenMP's threads in a replica."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import workbench

from .notebook import Notebook

SERVICE = """
import os
import torch
from fastapi import FastAPI
from ray import serve

model = FastAPI()

def tasks():
    return set(os.listdir("/proc/self/task"))

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
@serve.ingress(model)
class Model:
    def __init__(self):
        torch.set_num_threads(2)
        before = tasks()
        self.weights = torch.ones(1024, 1024)
        self.weights.sin_()  # in parallel
        self.started = tasks() - before

    @model.get("/threads")
    def threads(self) -> dict:
        return {"started": len(self.started), "left": len(self.started & tasks())}

    @model.get("/answer")
    def answer(self) -> float:
        return self.weights.cos().sum().item()
"""


THREADS = """
import os

def threads() -> str | None:
    return os.environ.get("OMP_NUM_THREADS")
"""
CORES = os.cpu_count() or 1


@pytest.mark.ray
@pytest.mark.parametrize(
    ("options", "threads"),
    [
        ({}, "1"),
        ({"num_cpus": 0.1}, "1"),
        ({"num_cpus": 2}, str(min(2, CORES))),
        ({"num_cpus": 6}, str(min(6, CORES))),
        ({"num_cpus": 6, "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "7"}}}, "7"),
    ],
)
def test_threads_follow_from_the_booking_and_never_exceed_the_cores(
    options: dict[str, Any], threads: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine of two cores has 16 logical CPUs; PyTorch with 6 threads there would crawl."""
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)

    app = workbench.deploy(book.run(THREADS)["threads"], name=name, ray_actor_options=options)

    assert app.post("/", json={}).json() == threads


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed on Linux")
def test_the_constructor_s_threads_are_given_back(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that call the model have their own; the model works as before."""
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)

    app = workbench.deploy(book.run(SERVICE)["Model"], name=name)

    assert app.get("/answer").json() > 0
    told = app.get("/threads").json()
    assert told["started"] > 0
    assert told["left"] == 0
