"""Ray's dashboard through JupyterLab's own address, for jupyter-server-proxy.

The dashboard's port changes with every cluster, so JupyterLab starts a small forwarder that looks
it up anew for each connection.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from workbench.adapters import state

PIECE_BYTES = 65536
NONE_RUNS = (
    "<!doctype html><title>No cluster</title><p>No cluster of workbench runs for {folder}."
    "<p>Start one with <code>workbench.start()</code> in a notebook, then load this page again."
)


def dashboard() -> dict[str, Any]:
    """What jupyter-server-proxy asks for: how to reach the dashboard, and its launcher tile."""
    return {
        "command": [sys.executable, "-m", "workbench.proxy", "{port}"],
        "absolute_url": False,
        "timeout": 20,
        "new_browser_tab": True,
        "launcher_entry": {
            "title": "Ray dashboard",
            "enabled": True,
            "category": "Notebook",  # in others JupyterLab shows no icon
            "icon_path": str(Path(__file__).with_name("dashboard.svg")),
        },
    }


def target() -> tuple[str, int] | None:
    """Host and port of the dashboard that runs for the state folder, or None."""
    host, _, port = str((state.read("cluster.json") or {}).get("dashboard", "")).rpartition(":")
    return (host, int(port)) if host and port.isdecimal() else None


async def serve(port: int) -> None:
    """Forward connections on a port of this machine, until cancelled."""
    server = await asyncio.start_server(_forward, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there = target()
    try:
        if there is None:
            raise ConnectionError
        far_reader, far_writer = await asyncio.open_connection(*there)
    except OSError:
        await _refuse(reader, writer)
        return
    await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request with a page that says what to do."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        body = NONE_RUNS.format(folder=state.folder().name).encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # whoever asked has gone
    finally:
        writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass  # one side has gone; closing tells the other
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
