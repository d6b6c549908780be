"""The processes of a cluster: found by the mark in their environment, ended by their ids."""

from __future__ import annotations

import contextlib
import os
import socket

import psutil

MARK = "WORKBENCH_CLUSTER_ID"
POLITE_S = 2.0


def marked(cluster_id: str) -> list[psutil.Process]:
    """Every process of this user that carries the mark, but this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == cluster_id:
                found.append(process)
    return found


def clusters() -> set[str]:
    """Marks of every cluster that has a process of this user."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.add(process.environ().get(MARK, ""))
    return found - {"", os.environ.get(MARK, "")}


def lives(pid: int, cluster_id: str) -> bool:
    """Whether that process of a cluster still runs."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return not dead and process.environ().get(MARK) == cluster_id
    return False


def daemons(cluster_id: str) -> list[psutil.Process]:
    """The marked processes that `ray start` left running: the control store and the raylet."""
    found = []
    for process in marked(cluster_id):
        with contextlib.suppress(psutil.Error):
            if process.name() in ("gcs_server", "raylet"):
                found.append(process)
    return found


def end(cluster_id: str) -> None:
    """End every marked process: politely, the raylet first, then by force."""
    processes = marked(cluster_id)
    for process in sorted(processes, key=_order):
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(processes, timeout=POLITE_S)
    leftover = marked(cluster_id)  # asked again: a daemon may have started one meanwhile
    for process in leftover:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(leftover, timeout=POLITE_S)


def end_client_server(cluster_id: str) -> None:
    """End Ray's client server: `ray start` always starts it, and it listens on every address."""
    for process in marked(cluster_id):
        with contextlib.suppress(psutil.Error):
            if "ray.util.client.server" in process.cmdline():
                process.kill()


def _order(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return {"raylet": 0, "gcs_server": 2}.get(process.name(), 1)
    return 1


def listener(port: int) -> str:
    """Who listens on a TCP port: "pid 123 (python -m http.server)", or "" when it is free."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            return _named(connection.pid)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return f"another process ({error.strerror})"
    return ""


def _named(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    with contextlib.suppress(psutil.Error):
        return f"pid {pid} ({' '.join(psutil.Process(pid).cmdline())[:120]})"
    return f"pid {pid}"


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that are free now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
