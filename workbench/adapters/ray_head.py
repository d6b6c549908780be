"""`ray start` without Ray's client server, which would listen on every address.

Run as `python -m workbench.adapters.ray_head --head ...`, with the arguments of `ray start`. Ray
leaves the client server out only where its own packages are missing, so it is told that they are.
"""

from __future__ import annotations

import sys

# --- private names of Ray: pinned by tests/test_ray_contract.py
from ray.scripts import scripts


def main(arguments: list[str]) -> None:
    """Start the daemons of a head; returns when they are up.

    Args:
        arguments: those of `ray start`.
    """
    scripts.get_ray_client_dependency_error = lambda: "not wanted"
    scripts.start.main(arguments)


# --- end of private names

if __name__ == "__main__":
    main(sys.argv[1:])
