"""Where the processes of a cluster listen."""

from __future__ import annotations

import contextlib

import psutil

from workbench.adapters import processes


def listeners(cluster_id: str) -> dict[tuple[str, int], str]:
    """Name of the process at every address and port at which a cluster listens."""
    found = {}
    for process in processes.marked(cluster_id):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN:
                    found[each.laddr.ip, each.laddr.port] = process.name()
    return found
