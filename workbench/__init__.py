"""workbench: deploy, query and change Ray Serve applications from JupyterLab.

Importing this package starts nothing and imports neither Ray nor torch; each public name is loaded
when it is first used.
"""

from __future__ import annotations

import gc
import importlib
import sys
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
    from workbench.api import apps, connect, delete, deploy, plan, start, stop
    from workbench.panels import panel

__version__ = "0.2.0"

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
    "delete",
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
    "delete": "workbench.api",
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
    return getattr(_imported(_HOMES[name]), name)


def _imported(module: str) -> Any:
    """Import a module without the garbage collector: it costs a fifth of importing Ray."""
    pause = gc.isenabled() and module not in sys.modules
    if pause:
        gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        if pause:
            gc.enable()


def load_ipython_extension(shell: Any) -> None:
    """Teach IPython the `%%deploy` magic: what `%load_ext workbench` calls."""
    _imported("workbench.api").load_magic(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
