"""Ray's dashboard through JupyterLab's address."""

from __future__ import annotations

import asyncio
import importlib.metadata
from pathlib import Path

import pytest
from jupyter_server_proxy.config import ServerProcess

from workbench import proxy
from workbench.adapters import state
from workbench.adapters.processes import free_ports

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of its own, with no cluster in it."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))


async def _answer(dashboard: bool) -> bytes:
    near, far = free_ports(2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"answer to " + asked)
        writer.close()

    backend = await asyncio.start_server(answer, "127.0.0.1", far)
    if dashboard:
        state.write("cluster.json", {"dashboard": f"127.0.0.1:{far}"})
    forwarder = asyncio.create_task(proxy.serve(near))
    await asyncio.sleep(0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", near)
    writer.write(ASK)
    got = await reader.read()
    writer.close()
    forwarder.cancel()
    backend.close()
    return got


def test_bytes_go_to_the_dashboard_of_the_cluster_that_runs() -> None:
    """The port is looked up when it is needed, so the cluster may start later."""
    assert asyncio.run(_answer(dashboard=True)) == b"answer to " + ASK


def test_without_a_cluster_a_page_says_how_to_start_one() -> None:
    """The tile is there before the first cluster is."""
    assert b"workbench.start()" in asyncio.run(_answer(dashboard=False))


def test_jupyterlab_finds_the_tile() -> None:
    """The entry point gives what jupyter-server-proxy takes, with an icon that exists."""
    [entry] = importlib.metadata.entry_points(group="jupyter_serverproxy_servers")
    process = ServerProcess(name=entry.name, **entry.load()())

    assert entry.name == "ray-dashboard"
    assert process.launcher_entry.title == "Ray dashboard"
    assert Path(process.launcher_entry.icon_path).is_file()
