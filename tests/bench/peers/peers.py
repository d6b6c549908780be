"""The peers: how each is installed, started, waited for and ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import workbench
from workbench.adapters.processes import free_ports

SERVERS = Path(__file__).with_name("servers")
CACHE = Path(tempfile.gettempdir()) / "workbench-bench-venvs"
READY_S = 90


@dataclass(frozen=True)
class Peer:
    """One way to serve.

    Attributes:
        name: as the tables show it.
        server: its program.
        arguments: behind workload and port.
        requirement: what its own virtual environment installs, pinned; "" for ours.
    """

    name: str
    server: str
    arguments: tuple[str, ...] = ()
    requirement: str = ""


UVICORN = Peer("uvicorn", "uvicorn_server.py")
RAW = Peer("Ray Serve", "raw_server.py")
PYTHON = Peer("workbench, python path", "workbench_server.py", ("python",))
FAST = Peer("workbench", "workbench_server.py", ("fast",))
LITSERVE = Peer("LitServe", "litserve_server.py", requirement="litserve==0.2.19")
BENTOML = Peer("BentoML", "bentoml_server.py", requirement="bentoml==1.4.40")


def body_of(peer: Peer, workload: str, text: str) -> dict[str, str | list[str]]:
    """What a peer is sent: BentoML makes batches of requests that are lists."""
    listed = peer is BENTOML and workload not in ("echo", "stream")
    return {"text": [text] if listed else text}


@contextlib.contextmanager
def serving(peer: Peer, workload: str, text: str) -> Iterator[str]:
    """Run a peer with one workload; gives the URL of its endpoint once it answers `text`."""
    port = free_ports(1)[0]
    python = _python(peer)
    command = [python, str(SERVERS / peer.server), workload, str(port), *peer.arguments]
    if peer is BENTOML:
        command = [python, "-m", "bentoml", "serve", "bentoml_server:Service", "--port", str(port)]
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as home:
        token = Path(home) / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        process = subprocess.Popen(
            command,
            cwd=SERVERS,
            env=_environment(workload, home),
            stdout=subprocess.DEVNULL,
            stderr=(Path(home) / "stderr").open("w"),
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}/predict"
        try:
            _wait(url, body_of(peer, workload, text), process, Path(home) / "stderr")
            yield url
        finally:
            _end(process)


def alone(workload: str, text: str) -> dict[str, float]:
    """Texts per second of the model itself, `one_by_one` and `in_batches`."""
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as home:
        done = subprocess.run(
            [sys.executable, str(SERVERS / "alone.py"), workload, text],
            env=_environment(workload, home),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return dict(json.loads(done.stdout))


def _environment(workload: str, home: str) -> dict[str, str]:
    return {
        **os.environ,
        "BENCH_EMBEDDER": workbench.model_path("all-minilm-l6-v2"),
        "BENCH_GENERATOR": workbench.model_path("smollm2-135m-instruct"),
        "BENCH_CLASSIFIER": workbench.model_path("efficientnet-lite0"),
        "BENCH_WORKLOAD": workload,
        "BENTOML_DO_NOT_TRACK": "True",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_AUTH_TOKEN_PATH": f"{home}/token",
        "WORKBENCH_HOME": f"{home}/home",
        "PYTHONPATH": str(SERVERS),
    }


def _wait(url: str, body: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    until, said = time.monotonic() + READY_S, ""
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(url, json=body, timeout=60)
            if answer.status_code == 200:
                return
            said = answer.text
        time.sleep(0.2)
    raise RuntimeError(f"no answer from {url}: {said} {log.read_text()[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _python(peer: Peer) -> str:
    """The peer's interpreter; its virtual environment sees our packages behind its own."""
    if not peer.requirement:
        return sys.executable
    folder = CACHE / peer.requirement
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", peer.requirement]
        subprocess.run(install, check=True)
        ours = next(each for each in sys.path if each.endswith("site-packages"))
        theirs = next((folder / "lib").glob("python*/site-packages"))
        (theirs / "shared.pth").write_text(ours)
        (folder / "ready").touch()
    return str(python)
