"""The address of somebody's Ray cluster: read, and tried before Ray is let at it.

`ray.init` retries for more than a minute where nothing answers, and may end the process then.
"""

from __future__ import annotations

import os
import socket

import grpc

from workbench.errors import ClusterError

TIMEOUT_S = 5


def reachable(address: str) -> str:
    """The address of a control store that answers; "auto" becomes `RAY_ADDRESS` where that is set.

    Raises:
        ClusterError: it is no host:port, nothing answers there, or what answers is not Ray.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address == "auto":
        return address  # Ray looks for a cluster of this machine, and says at once when none runs
    host, port = _split(address)
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"cannot attach to {address}: {error.strerror or error}",
            "give the address that `ray start --head` printed; "
            "workbench.start() without an address starts a cluster here",
        ) from error
    if os.environ.get("RAY_USE_TLS", "0") == "0" and not _speaks_grpc(address):
        raise ClusterError(
            f"cannot attach to {address}: what listens there is no Ray control store",
            "give the address that `ray start --head` printed (port 6379 unless chosen), "
            "not that of the dashboard or of an ingress",
        )
    return address


def _split(address: str) -> tuple[str, int]:
    if not isinstance(address, str):
        raise _malformed(address)
    if "://" in address:
        raise ClusterError(
            f"cannot attach to {address}: it is a URL; Ray's client (ray://) is not supported",
            "from a machine of the cluster, give host:port of its control store, "
            "such as '10.0.0.7:6379'",
        )
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise _malformed(address)
    return host.strip("[]"), int(port)


def _malformed(address: object) -> ClusterError:
    return ClusterError(
        f"cannot attach to {address!r}: it is no host:port",
        "such as '10.0.0.7:6379', or 'auto' for a cluster that runs on this machine",
    )


def _speaks_grpc(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=TIMEOUT_S)
        except grpc.FutureTimeoutError:
            return False
    return True
