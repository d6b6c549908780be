"""A real JupyterLab and a real browser."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, sync_playwright

from workbench.adapters.processes import free_ports

from .chromium import launched


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that runs.

    Attributes:
        url: its address.
        token: what opens it.
        folder: where its notebooks lie.
        process: the server.
    """

    url: str
    token: str
    folder: Path
    process: subprocess.Popen[bytes]

    def stacks(self) -> str:
        """Where every thread of every kernel is now: why a cell does not end."""
        for kernel in psutil.Process(self.process.pid).children():
            kernel.send_signal(signal.SIGUSR1)
        time.sleep(1)
        return "\n".join(each.read_text() for each in self.folder.glob("stacks-*.txt"))

    def sessions(self) -> list[str]:
        """Ids of the notebooks that have a kernel."""
        with urllib.request.urlopen(self._request("/api/sessions")) as answer:
            return [each["id"] for each in json.load(answer)]

    def end(self, session: str) -> None:
        """End a notebook's kernel."""
        urllib.request.urlopen(self._request(f"/api/sessions/{session}", "DELETE")).close()

    def _request(self, path: str, method: str = "GET") -> urllib.request.Request:
        headers = {"Authorization": f"token {self.token}"}
        return urllib.request.Request(self.url + path, headers=headers, method=method)


# Runs in every kernel before its first cell.
STARTUP = """\
import faulthandler, os, pathlib, signal
stacks = open(pathlib.Path({folder!r}) / f"stacks-{{os.getpid()}}.txt", "w")
faulthandler.register(signal.SIGUSR1, file=stacks)
del faulthandler, os, pathlib, signal
"""


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab of our own."""
    folder = tmp_path_factory.mktemp("lab")
    [port], token = free_ports(1), secrets.token_hex(16)
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    names += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    folders = {name: str(folder / ".jupyter" / name) for name in names}
    news = Path(folders["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab/apputils-extension"
    news.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (news / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    startup = Path(folders["IPYTHONDIR"]) / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "stacks.py").write_text(STARTUP.format(folder=str(folder)))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ip=127.0.0.1", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder}"]
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(command, env={**os.environ, **folders}, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server)
        yield Lab(f"http://127.0.0.1:{port}", token, folder, server)
    finally:
        server.terminate()
        server.wait(20)
        log.close()


@pytest.fixture
def lab(server: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A notebook of the module's `CELLS` with a kernel of its own; yields its address."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in request.module.CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, server.folder / "try.ipynb")
    yield f"{server.url}/lab/tree/try.ipynb?reset&token={server.token}"
    for session in server.sessions():
        server.end(session)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "JupyterLab ended"
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("JupyterLab did not answer within a minute")


@pytest.fixture
def page() -> Iterator[Page]:
    """A tab of Chromium that reaches nothing but this machine."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        tab = browser.new_page(viewport={"width": 1200, "height": 1500})
        strangers: list[str] = []
        tab.on("request", lambda r: None if "127.0.0.1" in r.url else strangers.append(r.url))
        yield tab
        browser.close()
        assert not [url for url in strangers if url.startswith(("http", "ws"))]
