"""The share of a GPU's memory that a replica may use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.replica import gpu
from workbench.replica.failures import Failures
from workbench.replica.package import Package


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
