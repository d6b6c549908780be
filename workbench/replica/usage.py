"""What one process uses: CPU time, memory, and its GPU where it has a real one."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STATM = Path("/proc/self/statm")


class Usage:
    """Looks at this process.

    Args:
        gpus: ids of the GPUs that Ray gave to it: indices or UUIDs, as in CUDA_VISIBLE_DEVICES.
    """

    def __init__(self, gpus: Sequence[str]) -> None:
        self._nvml, self._cards = _opened(gpus)
        self._simulated = not self._cards

    def values(self) -> dict[str, Any]:
        """CPU seconds so far, resident bytes, bytes on the GPU and its load, fit for JSON."""
        return {
            "cpu_s": time.process_time(),
            "memory_bytes": resident_bytes(),
            "gpu_memory_bytes": None if self._simulated else self._gpu_bytes(),
            "gpu_percent": None if self._simulated else self._gpu_percent(),
        }

    def _gpu_bytes(self) -> int | None:
        """What the driver says of this process; in a container that hides it, what PyTorch says."""
        found = [
            each.usedGpuMemory
            for card in self._cards
            for each in self._ask("nvmlDeviceGetComputeRunningProcesses", card) or ()
            if each.pid == os.getpid() and each.usedGpuMemory is not None
        ]
        return sum(found) if found else _torch_bytes()

    def _gpu_percent(self) -> float | None:
        loads = [self._ask("nvmlDeviceGetUtilizationRates", card) for card in self._cards]
        known = [float(each.gpu) for each in loads if each is not None]
        return sum(known) / len(known) if known else None

    def _ask(self, question: str, card: Any) -> Any:
        try:
            return getattr(self._nvml, question)(card)
        except Exception:  # a driver that answers not, or not this, is no reason to fail
            return None


def resident_bytes() -> int:
    """Resident memory of this process; where the system does not say, the most it ever had."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        resource = importlib.import_module("resource")
        unit = 1 if sys.platform == "darwin" else 1024
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def _opened(gpus: Sequence[str]) -> tuple[Any, list[Any]]:
    """NVIDIA's library and a handle of each card; none without the library or a real card."""
    if not gpus:
        return None, []
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return nvml, [_card(nvml, each) for each in gpus]
    except Exception:  # not installed, no driver, or simulated GPUs
        return None, []


def _card(nvml: Any, gpu: str) -> Any:
    if gpu.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(gpu))
    return nvml.nvmlDeviceGetHandleByUUID(gpu)


def _torch_bytes() -> int:
    """What PyTorch holds on the GPU; it is asked only where the user's code has begun to use it."""
    torch = sys.modules.get("torch")
    with contextlib.suppress(Exception):
        if torch is not None and torch.cuda.is_initialized():
            return sum(torch.cuda.memory_reserved(n) for n in range(torch.cuda.device_count()))
    return 0
