"""Connects a process to a Ray cluster in such a way that it outlives the cluster."""

from __future__ import annotations

import os

import ray

PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # read when a process connects


def connect(address: str) -> None:
    """Connect this process.

    Ray would end it, a notebook's kernel with all its variables too, a minute after the head died.

    Args:
        address: host and port of the control store, or "auto".
    """
    known = os.environ.get(PATIENCE)
    os.environ.setdefault(PATIENCE, "1000000")
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    finally:
        if known is None:
            del os.environ[PATIENCE]  # Ray's own processes are to end without their head
