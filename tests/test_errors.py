"""The error tree."""

from __future__ import annotations

import pickle

import pytest

import workbench
from workbench.errors import (
    DeployError,
    IngressError,
    ModelError,
    PlanError,
    TuneError,
    UnknownOperation,
)


@pytest.mark.parametrize(
    "error",
    [
        PlanError("bad", "do this"),
        TuneError("bad", "do this"),
        ModelError("bad", "do this"),
        workbench.CapacityError("bad", "do this"),
        workbench.ClusterError("bad", "do this"),
        DeployError("ranker", 4, 3, "ImportError: torch", "mend it"),
        UnknownOperation("bad", "do this"),
        IngressError("GET x", 500, "body", "trace", "advice"),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    """Ray carries errors between processes, so no attribute may be lost on the way."""
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_a_deploy_error_says_what_serves() -> None:
    """The first question after a failed deploy is what answers now."""
    assert "revision 3 still serves" in str(DeployError("a", 4, 3, "boom"))
    assert "nothing of it serves" in str(DeployError("a", 1, None, "boom"))


def test_every_error_is_a_workbench_error() -> None:
    """One except clause catches all that this package raises on purpose."""
    names = [n for n in workbench.__all__ if n.endswith("Error")]

    assert all(issubclass(getattr(workbench, n), workbench.WorkbenchError) for n in names)
