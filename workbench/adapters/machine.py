"""What this machine has: cores, GPUs, shared memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SHM_WANTED_BYTES = 2 * 2**30
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Cores that this process may use: those of the machine, or a container's share of them."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    return max(1, min(count, _granted(count)))


def _granted(count: int) -> int:
    """Cores that the control group grants, rounded up; `count` where there is no limit."""
    try:
        granted, period = QUOTA.read_text().split()
        return -(-int(granted) // int(period))
    except (OSError, ValueError):  # "max", or not Linux
        return count


def physical_gpus() -> int:
    """NVIDIA GPUs of this machine, counted by NVML; 0 without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def shared_memory() -> tuple[int, str, str]:
    """Free bytes of /dev/shm, what is wrong with that or "", and what mends it."""
    folder = Path("/dev/shm")
    free = shutil.disk_usage(folder).free if folder.is_dir() else SHM_WANTED_BYTES
    if free >= SHM_WANTED_BYTES:
        return free, "", ""
    problem = f"/dev/shm has {free / 2**30:.2f} GiB free; Ray will keep objects on disk, slowly"
    return free, problem, "mount -o remount,size=4G /dev/shm (docker: --shm-size=4g)"
