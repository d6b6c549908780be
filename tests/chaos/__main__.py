"""Run the faults: all, or those named; `--quick` for fewer rounds.

    unshare --mount --map-root-user python -m tests.chaos [--quick] [controller proxy ...]
    unshare --mount --map-root-user python -m tests.chaos soak     # half an hour, when named
    sudo unshare --mount python -m tests.chaos clock     # sets this machine's clock, when named

The state folder and /dev/shm are small disks of its own, so that they can be filled; that is why it
runs in a mount namespace of its own. Figures as for `python -m tests.bench.redeploy`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

from tests.bench.redeploy import program

from . import clocks, endurance, kernels, kills, limits, nodes, strangers

SCENARIOS: program.Scenarios = {
    "controller": kills.controller,
    "proxy": kills.proxy,
    "only": kills.only,
    "hung": kills.hung,
    "kernel": kernels.kernel,
    "kernels": kernels.kernels,
    "memory": limits.memory,
    "disk": limits.disk,
    "shm": limits.shared_memory,
    "node": nodes.node,
    "head": nodes.head,
    "swaps": endurance.swaps,
    "inputs": strangers.inputs,
    "targets": strangers.targets,
}
NAMED: program.Scenarios = {"soak": endurance.soak, "clock": clocks.clock}
STATE, SHARED_MEMORY = "128m", "3g"


def main() -> int:
    """Mount the small disks and run; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="workbench-chaos-") as home:
        for folder, size in ((home, STATE), ("/dev/shm", SHARED_MEMORY)):
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", folder]
            subprocess.run(command, check=True)
        try:
            return program.main(SCENARIOS, __doc__.splitlines()[0], home, NAMED)
        finally:
            subprocess.run(["umount", "--lazy", home], check=True)


if __name__ == "__main__":
    sys.exit(main())
