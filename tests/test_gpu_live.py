"""Shares of a real GPU: the memory limit, running out of it, the driver's figures, replacing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import workbench
from workbench.replica import gpu

from .notebook import Load, Notebook
from .waiting import until

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.ray,
    pytest.mark.skipif(not Path(gpu.DRIVER).exists(), reason="no NVIDIA GPU on this machine"),
]

SERVICE = """
import os
import torch
from fastapi import FastAPI
from ray import serve

memory = FastAPI()

@serve.deployment(ray_actor_options={"num_cpus": 0.1, "num_gpus": 0.3})
@serve.ingress(memory)
class Taker:
    def __init__(self, held=0.05):
        self.total = torch.cuda.get_device_properties(0).total_memory
        self.held = torch.empty(int(self.total * held), dtype=torch.uint8, device="cuda")

    @memory.get("/take")
    def take(self, share: float) -> int:
        return torch.empty(int(self.total * share), dtype=torch.uint8, device="cuda").numel()

    @memory.get("/answer")
    def answer(self) -> int:
        return int(self.held[:2].sum() * 0) + 1

    @memory.get("/pid")
    def pid(self) -> int:
        return os.getpid()
"""
LIMIT = r"may use 30% of the GPU's memory"


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """A notebook whose cells define the service."""
    made = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", made.module)
    made.run(SERVICE)
    return made


def card_bytes() -> int:
    """What is taken of the card by everybody, as the driver says."""
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout) << 20


def test_a_replica_is_held_to_its_share_and_its_neighbour_is_unharmed(
    name: str, book: Notebook
) -> None:
    """More than the share fails in that replica alone; raising the limit lets it pass."""
    app = workbench.deploy(book.names["Taker"], name=name)
    neighbour = workbench.deploy(book.names["Taker"], name=f"{name}-2")
    before = app.get("/pid").json()

    assert app.get("/take", params={"share": 0.2}).json() > 0
    with Load(neighbour) as load, pytest.raises(workbench.IngressError, match=LIMIT):
        app.get("/take", params={"share": 0.4})
    assert load.answers and not load.failed
    app.tune(gpu_memory_fraction=0.6)
    assert app.get("/take", params={"share": 0.4}).json() > 0
    assert app.get("/pid").json() == before
    workbench.delete(neighbour.name)


def test_the_driver_s_figures_are_among_the_live_ones(name: str, book: Notebook) -> None:
    """What the replica holds of the card, and the card's load."""
    app = workbench.deploy(book.names["Taker"].bind(held=0.1), name=name)
    total = int(app.get("/take", params={"share": 0.05}).json() / 0.05)

    sample = _sample(app)

    most = 0.15 * total + 3 * gpu.CONTEXT_BYTES
    assert 0.1 * total <= sample.gpu_memory_bytes <= most
    assert 0 <= sample.gpu_percent <= 100


def test_a_constructor_that_takes_too_much_is_undone(name: str, book: Notebook) -> None:
    """The error names the limit; what served goes on in its process."""
    app = workbench.deploy(book.names["Taker"], name=name)
    before = app.get("/pid").json()

    with Load(app) as load, pytest.raises(workbench.DeployError, match=LIMIT):
        workbench.deploy(book.names["Taker"].bind(held=0.4), name=name)

    assert not load.failed
    assert app.get("/pid").json() == before


def test_a_replaced_replica_gives_its_memory_back(name: str, book: Notebook) -> None:
    """A new booking is a new process beside the old one, whose memory is free at once."""
    app = workbench.deploy(book.names["Taker"].bind(held=0.2), name=name)
    before, process = card_bytes(), app.get("/pid").json()

    with Load(app) as load:
        app.tune(num_gpus=0.4)

    assert not load.failed
    assert app.get("/pid").json() != process
    until(lambda: card_bytes() <= before + gpu.CONTEXT_BYTES)
    assert app.get("/take", params={"share": 0.15}).json() > 0


def _sample(app: Any) -> Any:
    until(lambda: app.metrics().deployments["Taker"].replicas[0].gpu_memory_bytes)
    return app.metrics().deployments["Taker"].replicas[0]
