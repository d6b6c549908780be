"""`ray start` without what would listen on every address and ask nobody for the token.

Run as `python -m workbench.adapters.ray_head --head ...`, with the arguments of `ray start`.

Ray leaves its client server out only where its own packages are missing, so it is told that they
are. The dashboard's agent serves metrics on every address unless the node's address is loopback,
which `ray start` replaces by the machine's own; the agent, which only this machine's processes
call, is given loopback again.
"""

from __future__ import annotations

import re
import sys
from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
from ray._private import services
from ray.scripts import scripts

AGENT = "--dashboard_agent_command="  # an argument of the raylet, which starts the agent


def main(arguments: list[str]) -> None:
    """Start the daemons of a head; returns when they are up.

    Args:
        arguments: those of `ray start`.
    """
    scripts.get_ray_client_dependency_error = lambda: "not wanted"
    start = services.start_ray_process

    def started(command: list[str], *rest: Any, **options: Any) -> Any:
        return start([_on_loopback(each) for each in command], *rest, **options)

    services.start_ray_process = started
    scripts.start.main(arguments)


def _on_loopback(argument: str) -> str:
    if not argument.startswith(AGENT):
        return argument
    return re.sub(r"--node-ip-address=\S+", "--node-ip-address=127.0.0.1", argument)


# --- end of private names

if __name__ == "__main__":
    main(sys.argv[1:])
