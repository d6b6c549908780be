"""`ray start --head` in half its time, and without what listens on every address.

Run as `python -m workbench.adapters.ray_head '{"gcs_server_port": ...}'`: fields of Ray's own
RayParams, as JSON. The command line of Ray imports for a second what a head has no use for, and
looks only once a second whether its raylet is there.

The dashboard's agent serves metrics on every address unless the node's address is loopback; nodes
need one that others reach, so the agent alone, which only this machine's processes call, is given
loopback.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

# --- private names of Ray: pinned by tests/test_ray_contract.py
from ray._private import services
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.state import GlobalState

AGENT = "--dashboard_agent_command="  # an argument of the raylet, which starts the agent
DASHBOARD = "dashboard.py"
NICENESS = "10"  # of the dashboard: it starts when nobody else needs the cores
LOOK_EVERY_S = 0.02
REGISTERED_TIMEOUT_S = 30.0


def main(fields: dict[str, Any]) -> None:
    """Start the daemons of a head; returns when they are up.

    Args:
        fields: those of RayParams.
    """
    start, get_node = services.start_ray_process, services.get_node

    def started(command: list[str], *rest: Any, **options: Any) -> Any:
        return start(_changed(command), *rest, **options)

    def node(address: str, node_id: str) -> Any:
        _wait_until_registered(address, node_id)
        return get_node(address, node_id)

    services.start_ray_process, services.get_node = started, node
    ip = services.resolve_ip_for_localhost("127.0.0.1")
    parameters = RayParams(node_ip_address=ip, node_name=ip, **fields)
    Node(parameters, head=True, shutdown_at_exit=False, spawn_reaper=False)


def _changed(command: list[str]) -> list[str]:
    if any(each.endswith(DASHBOARD) for each in command):
        return ["nice", "-n", NICENESS, *command]
    return [_on_loopback(each) for each in command]


def _on_loopback(argument: str) -> str:
    if not argument.startswith(AGENT):
        return argument
    return re.sub(r"--node-ip-address=\S+", "--node-ip-address=127.0.0.1", argument)


def _wait_until_registered(address: str, node_id: str) -> None:
    until_s = time.monotonic() + REGISTERED_TIMEOUT_S
    state = GlobalState()
    state._initialize_global_state(services._get_gcs_client_options(address))
    while time.monotonic() < until_s:
        if any(each["NodeID"] == node_id for each in state.node_table()):
            return
        time.sleep(LOOK_EVERY_S)


# --- end of private names

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
