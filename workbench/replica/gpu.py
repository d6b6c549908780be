"""Holds a replica to its share of the GPU's memory, and says so when it runs out.

Ray books shares of a GPU but enforces nothing. PyTorch's allocator does, per process: it raises
`OutOfMemoryError` in the replica that asks for more, and its neighbours on the card are unharmed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .package import Package

DRIVER = Path("/proc/driver/nvidia/version")
CONTEXT_BYTES = 512 << 20  # what CUDA takes for a process beside PyTorch's allocator


def share_of(package: Package) -> float | None:
    """The share of its GPU's memory that a replica may use; None when nothing limits it.

    It is what was set, else what the replica books of one GPU.
    """
    asked = package.knobs.get("gpu_memory_fraction")
    if asked is not None:
        return float(asked)
    return package.gpus if 0.0 < package.gpus < 1.0 else None


def hold(package: Package) -> None:
    """Limit this process to its share; nothing happens without a real GPU or without PyTorch."""
    torch = _torch(package)
    if torch is None:
        return
    share, total = share_of(package), torch.cuda.get_device_properties(0).total_memory
    limit = 1.0 if share is None else max(share - CONTEXT_BYTES / total, 0.001)
    torch.cuda.set_per_process_memory_fraction(min(limit, 1.0), 0)


def _torch(package: Package) -> Any:
    """PyTorch when this replica has a real GPU, else None; importing it takes seconds."""
    if not package.gpus or not DRIVER.exists() or not os.environ.get("CUDA_VISIBLE_DEVICES"):
        return None
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def explain(error: BaseException, package: Package) -> None:
    """Add to an error of PyTorch's allocator which limit was met and what raises it."""
    if type(error).__name__ != "OutOfMemoryError" or package.deployment in _notes(error):
        return
    share = share_of(package)
    limit = "the whole GPU" if share is None else f"{share:.0%} of the GPU's memory"
    raised = f'app.tune("{package.deployment}", gpu_memory_fraction=...) raises the limit'
    error.add_note(
        f"deployment {package.deployment!r} may use {limit}"
        + (f"; {raised}, num_gpus books more" if share is not None else "")
    )


def _notes(error: BaseException) -> str:
    return " ".join(getattr(error, "__notes__", ()))
