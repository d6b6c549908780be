"""The share of a GPU's memory that a replica may use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench
from workbench.replica import gpu
from workbench.replica.failures import Failures
from workbench.replica.package import Package

from .notebook import Notebook

SERVICE = """
import torch
from fastapi import FastAPI
from ray import serve

memory = FastAPI()

@serve.deployment(ray_actor_options={"num_cpus": 0.1, "num_gpus": 0.3})
@serve.ingress(memory)
class Taker:
    def __init__(self):
        self.total = torch.cuda.get_device_properties(0).total_memory

    @memory.get("/take")
    def take(self, share: float) -> int:
        return torch.empty(int(self.total * share), dtype=torch.uint8, device="cuda").numel()
"""


class OutOfMemoryError(RuntimeError):
    """As PyTorch's is called."""


def package(gpus: float, **knobs: Any) -> Package:
    """A deployment that books so much of a GPU."""
    return Package("app", "LLM", 1, "plain", b"", gpus=gpus, knobs=knobs)


@given(st.floats(0.01, 0.99), st.floats(0.01, 1))
def test_the_share_is_what_was_set_else_what_is_booked(booked: float, asked: float) -> None:
    """A booking limits by itself; the knob overrules it in both directions."""
    assert gpu.share_of(package(booked)) == booked
    assert gpu.share_of(package(booked, gpu_memory_fraction=asked)) == asked


@pytest.mark.parametrize("gpus", [0.0, 1.0, 2.0])
def test_whole_gpus_and_none_are_not_limited(gpus: float) -> None:
    """Who books a whole card may fill it."""
    assert gpu.share_of(package(gpus)) is None


def test_running_out_of_memory_names_the_limit_and_what_raises_it() -> None:
    """The note comes with the traceback, once."""
    here = package(0.3)
    failures = Failures(lambda error: gpu.explain(error, here))
    error = OutOfMemoryError("CUDA out of memory")

    failures.record("1", error)
    failures.record("1", error)

    said = "deployment 'LLM' may use 30% of the GPU's memory"
    assert failures.text("1").count(said) == 1
    assert 'app.tune("LLM", gpu_memory_fraction=...)' in failures.text("1")


def test_other_errors_are_left_alone() -> None:
    """Only the allocator's own error is explained."""
    error = MemoryError("host memory")

    gpu.explain(error, package(0.3))

    assert not hasattr(error, "__notes__")


@pytest.mark.gpu
@pytest.mark.ray
@pytest.mark.skipif(not Path(gpu.DRIVER).exists(), reason="no NVIDIA GPU on this machine")
def test_a_replica_is_held_to_its_share_and_its_neighbour_is_unharmed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the share fails in that replica alone; raising the limit lets it pass."""
    book = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", book.module)
    app = workbench.deploy(book.run(SERVICE)["Taker"], name=name)
    neighbour = workbench.deploy(book.run(SERVICE)["Taker"], name=f"{name}-2")

    assert app.get("/take", params={"share": 0.2}).json() > 0
    with pytest.raises(workbench.IngressError, match=r"may use 30% of the GPU's memory"):
        app.get("/take", params={"share": 0.4})
    assert neighbour.get("/take", params={"share": 0.2}).json() > 0
    app.tune(gpu_memory_fraction=0.6)
    assert app.get("/take", params={"share": 0.4}).json() > 0
    assert app.metrics().deployments["Taker"].replicas[0].gpu_memory_bytes > 0
    neighbour.delete()
