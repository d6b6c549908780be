"""Handles of the kernel: what they ask, and what is left of them when it is detached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray import serve

import workbench
from workbench.adapters import ray_handles
from workbench.adapters.processes import free_ports


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Slow:
    async def wait(self, s: float) -> float:
        import asyncio

        await asyncio.sleep(s)
        return s


@pytest.mark.ray
def test_a_question_takes_no_longer_than_it_may(name: str) -> None:
    """The time is the caller's to choose, above the default and below it."""
    workbench.deploy(Slow.bind(), name=name)

    assert ray_handles.ask_all(name, "Slow", "wait", 0.1, timeout_s=20) == [0.1]
    with pytest.raises(TimeoutError):
        ray_handles.ask_all(name, "Slow", "wait", 30, timeout_s=0.2)


USED = """
import sys, time
import ray, workbench
from ray import serve
@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Echo:
    def __call__(self, x):
        return x
for turn in range(2):
    workbench.start(http_port=int(sys.argv[1]))
    app = workbench.deploy(Echo.bind(), name="echo")
    theirs = serve.get_deployment_handle("Echo", "echo")  # not one of ours
    print(app.handle().remote(turn).result(), theirs.remote(turn).result())
    workbench.stop()
    time.sleep(4)  # many times the interval at which handles report
    print(ray.is_initialized())
"""


@pytest.mark.ray
def test_a_cluster_starts_again_after_a_handle_was_used(tmp_path: Path) -> None:
    """What handles report by themselves would start a Ray of its own, which stands in the way."""
    env = {
        **os.environ,
        "WORKBENCH_HOME": str(tmp_path),
        "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.2",
        "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_RECORD_INTERVAL_S": "0.2",
    }
    command = [sys.executable, "-c", USED, str(free_ports(1)[0])]

    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    lines = [each for each in done.stdout.splitlines() if each in ("0 0", "1 1", "True", "False")]
    assert lines == ["0 0", "False", "1 1", "False"]
