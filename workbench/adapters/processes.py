"""The processes of a cluster: found by the mark in their environment, ended by their ids.

Ray's agents write their titles over their environment and lose the mark by chance, so all that is
in the session of a marked process counts too: `ray start` opens one for its daemons.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
from pathlib import Path

import psutil

MARK = "WORKBENCH_CLUSTER_ID"
POLITE_S = 2.0
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST_PORT, TRIED = 20_000, 1000


def marked(cluster_id: str) -> list[psutil.Process]:
    """Every process of this user that carries the mark or is in a carrier's session, but ours."""
    return _members(cluster_id, _sessions(cluster_id))


def _carriers(cluster_id: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == cluster_id:
                found.append(process)
    return found


def _sessions(cluster_id: str) -> set[int]:
    found = {_session(process.pid) for process in _carriers(cluster_id)}
    return found - {_session(os.getpid()), None}  # type: ignore[return-value]


def _members(cluster_id: str, sessions: set[int]) -> list[psutil.Process]:
    found = {process.pid: process for process in _carriers(cluster_id)}
    for process in psutil.process_iter():
        if _session(process.pid) in sessions:
            found.setdefault(process.pid, process)
    return list(found.values())


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # it has ended
        return None


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
    for process in _carriers(cluster_id):
        with contextlib.suppress(psutil.Error):
            if process.name() in ("gcs_server", "raylet"):
                found.append(process)
    return found


def end(cluster_id: str) -> None:
    """End every marked process: politely, the raylet first, then by force."""
    sessions = _sessions(cluster_id)
    processes = _members(cluster_id, sessions)
    for process in sorted(processes, key=_order):
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(processes, timeout=POLITE_S)
    leftover = _members(
        cluster_id, sessions
    )  # asked again: a daemon may have started one meanwhile
    for process in leftover:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(leftover, timeout=POLITE_S)


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


def listens(port: int, cluster_id: str) -> bool:
    """Whether a process of that cluster listens on a TCP port."""
    pids = {process.pid for process in marked(cluster_id)}
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid in pids
        for each in psutil.net_connections("tcp")
    )


def _named(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    with contextlib.suppress(psutil.Error):
        return f"pid {pid} ({' '.join(psutil.Process(pid).cmdline())[:120].strip()})"
    return f"pid {pid}"


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that are free now; no outgoing connection will take one meanwhile."""
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in itertools.chain(_listening_ports(), itertools.repeat(0)):
            if len(ports) == count:
                break
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):  # taken
                probe.bind(("127.0.0.1", port))
                ports.append(probe.getsockname()[1])
    return ports


def _listening_ports() -> list[int]:
    """Some ports, in any order, below those that the system gives to outgoing connections."""
    try:
        end = int(OUTGOING.read_text().split()[0])
    except OSError:
        return []  # not Linux
    return random.sample(range(FIRST_PORT, end), min(TRIED, max(end - FIRST_PORT, 0)))
