"""How long the first answer takes: a cold machine, and a second kernel on a running cluster."""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from workbench.adapters.processes import free_ports

SERVERS = Path(__file__).with_name("servers")
RAW = """
import time; began = time.perf_counter()
import ray; from ray import serve; from serve_app import application
ray.init(num_cpus=8, log_to_driver=False, logging_level="ERROR")
serve.start(http_options={{"host": "127.0.0.1", "port": {port}}})
serve.run(application("echo"))
import httpx; httpx.post("http://127.0.0.1:{port}/predict", json={{"text": "x"}}).raise_for_status()
print("seconds", time.perf_counter() - began)
"""
OURS = """
import time; began = time.perf_counter()
import workbench; from serve_app import application
workbench.start(http_port={port}{more})
app = workbench.deploy(application("echo"), name="{name}")
app.post("/predict", json={{"text": "x"}}).raise_for_status()
print("seconds", time.perf_counter() - began)
"""


def starting(rounds: int) -> dict[str, Any]:
    """Seconds from the first import until the first answer, each in a new Python."""
    raw, cold, attached = [], [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="workbench-bench-") as home:
            (Path(home) / "token").touch(mode=0o600)
            (Path(home) / "token").write_text(secrets.token_hex(32))
            port, other = free_ports(2)
            raw.append(_seconds(RAW.format(port=port), home))
            try:
                ours = {"port": other, "name": f"cold-{number}", "more": ", num_cpus=8"}
                cold.append(_seconds(OURS.format(**ours), home))
                ours = {"port": other, "name": f"attached-{number}", "more": ""}
                attached.append(_seconds(OURS.format(**ours), home))
            finally:
                _run("import workbench; workbench.stop()", home)
    first = statistics.median(raw)
    return {
        "workload": "start",
        "raw_s": _rounded(raw),
        "cold_s": _rounded(cold),
        "attached_s": _rounded(attached),
        "cold / raw": round(statistics.median(cold) / first, 3),
        "attached / raw": round(statistics.median(attached) / first, 3),
    }


def _rounded(seconds: list[float]) -> list[float]:
    return [round(each, 2) for each in seconds]


def _seconds(code: str, home: str) -> float:
    said = _run(code, home)
    return next(float(x.split()[1]) for x in said.splitlines() if x.startswith("seconds"))


def _run(code: str, home: str) -> str:
    env = {
        **os.environ,
        "RAY_AUTH_TOKEN_PATH": f"{home}/token",
        "WORKBENCH_HOME": f"{home}/home",
        "PYTHONPATH": str(SERVERS),
    }
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=180
    ).stdout
