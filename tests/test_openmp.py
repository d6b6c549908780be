"""OpenMP's threads in a replica."""

from __future__ import annotations

import sys
from pathlib import Path

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
