"""workbench: deploy, query and change Ray Serve applications from JupyterLab.

Importing this package starts nothing and imports neither Ray nor torch; each public name is loaded
when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from workbench.errors import (
    CapacityError,
    ClusterError,
    DeployError,
    IngressError,
    ModelError,
    PlanError,
    TuneError,
    WorkbenchError,
)

if TYPE_CHECKING:
    from workbench.adapters.models import model_path
    from workbench.api import apps, connect, deploy, plan, start, stop
    from workbench.panels import panel

__version__ = "0.1.0"

__all__ = [
    "CapacityError",
    "ClusterError",
    "DeployError",
    "IngressError",
    "ModelError",
    "PlanError",
    "TuneError",
    "WorkbenchError",
    "apps",
    "connect",
    "deploy",
    "model_path",
    "panel",
    "plan",
    "start",
    "stop",
]

_HOMES = {
    "apps": "workbench.api",
    "connect": "workbench.api",
    "deploy": "workbench.api",
    "model_path": "workbench.adapters.models",
    "panel": "workbench.panels",
    "plan": "workbench.api",
    "start": "workbench.api",
    "stop": "workbench.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module at first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def load_ipython_extension(shell: Any) -> None:
    """Teach IPython the `%%deploy` magic: what `%load_ext workbench` calls."""
    importlib.import_module("workbench.api").load_magic(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
