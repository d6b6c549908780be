"""Nodes that are lost and come back: one of two, and the head with everything on it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import ray

import workbench
from tests.bench.redeploy.figures import Bench
from tests.bench.redeploy.load import Load, tried
from tests.bench.redeploy.services import replicas, wait_until
from workbench.adapters import cluster, haproxy, processes
from workbench.errors import ClusterError

from .common import BACK_S, NAME, QUIET_S, answers, deploy, deployed, healthy, options, told, url

BROKEN = ("self.state = 0", "raise RuntimeError('broken')")
RAYS_PATIENCE_S = 65  # then it would have ended this process
SPREAD = options("num_replicas=2", "max_replicas_per_node=1", "health_check_period_s=0.5")
CLIENTS = 4


def node(bench: Bench) -> None:
    """Kill -9 of one of two nodes: the other's replica serves and takes new code, both at last."""
    with contextlib.ExitStack() as nodes:
        second = nodes.enter_context(_second())
        cell = deployed(SPREAD)
        with Load(url(bench)) as load:
            time.sleep(1)
            _kill(second)
            lost_s = wait_until(lambda: _nodes() == 1, BACK_S, "one node")
            nodes.enter_context(_second())
            back_s = wait_until(lambda: _running() == 2 and healthy(), BACK_S, "two replicas")
            deploys = [deploy(cell, 1)]
            time.sleep(QUIET_S)
        facts = {"lost_s": round(lost_s, 1), "back_s": round(back_s, 1)}
        told(bench, "node lost and back", load, deploys, CLIENTS, **facts)
        workbench.delete(NAME)  # before the node goes


def head(bench: Bench) -> None:
    """Kill -9 of the head: `doctor` says how to come back, and what served last serves again."""
    cell = deployed()
    deploy(cell, 1)
    tried(2, lambda: workbench.deploy(cell.run(2, BROKEN), name=NAME))
    workbench.connect(NAME).tune(max_ongoing_requests=7)
    before = [(each.number, each.outcome) for each in workbench.connect(NAME).history()]
    known = cluster.known_head()
    assert known is not None
    for pid in known.daemons:
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    wait_until(cluster.is_gone, BACK_S, "the head's death")
    advice = _workbench("doctor", f"--http-port={known.http_port}")
    _workbench("down")
    path = f"--data-path={known.data_path}"
    _workbench("up", f"--http-port={known.http_port}", f"--num-cpus={known.num_cpus:g}", path)
    _workbench("restore")
    wait_until(lambda: answers(bench), BACK_S, "an answer")
    back_s = time.monotonic() - began
    time.sleep(max(0.0, began + RAYS_PATIENCE_S - time.monotonic()))
    said = tried(3, workbench.apps).error
    workbench.start()
    app = workbench.connect(NAME)
    after = [(each.number, each.outcome) for each in app.history()]
    tuned = {each.name: each.value for each in app.tune()}["max_ongoing_requests"]
    with Load(url(bench)) as load:
        time.sleep(QUIET_S)
    told(bench, "head killed, restored", load, [])
    bench.figure("head killed: serves again after", back_s, "s", f"<= {BACK_S:g}")
    bench.figure("head killed: the kernel is told", isinstance(said, ClusterError), "", "== 1")
    bench.figure("head killed: doctor names what is to come back", NAME in advice, "", "== 1")
    bench.figure("head killed: history kept", after[: len(before)] == before, "", "== 1")
    same = {each.revision for each in load.answers} == {1} and tuned == 7
    bench.figure("head killed: the last good code and knobs serve", same, "", "== 1")


def _workbench(*words: str) -> str:
    """Run the `workbench` command; what it said."""
    command = [str(Path(sys.executable).with_name("workbench")), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * BACK_S).stdout


def _nodes() -> int:
    return sum(each["Alive"] for each in ray.nodes())


def _running() -> int:
    return len(replicas(NAME)["Answering"])


def _kill(doomed: list[psutil.Process]) -> None:
    for each in doomed:
        with contextlib.suppress(psutil.Error):  # Serve ends HAProxies by itself
            each.kill()


@contextlib.contextmanager
def _second() -> Iterator[list[psutil.Process]]:
    """Another node of the cluster, on this machine; its processes."""
    head = cluster.known_head()
    assert head is not None
    before, nodes = {each.pid for each in processes.marked(head.cluster_id)}, _nodes()
    agents = processes.free_ports(7)
    settings = cluster.SETTINGS | {processes.MARK: head.cluster_id, "TMPDIR": head.temp_dir}
    if head.data_path == "fast":
        settings |= cluster.FAST_SETTINGS
        settings |= haproxy.settings(Path(head.temp_dir, "n"), agents[4:])
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={head.address}"),
        "--node-ip-address=127.0.0.1",
        "--num-cpus=4",
        f"--dashboard-agent-listen-port={agents[0]}",
        f"--dashboard-agent-grpc-port={agents[1]}",
        f"--runtime-env-agent-port={agents[2]}",
        f"--metrics-export-port={agents[3]}",
    ]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run(command, env=os.environ | settings, check=True, start_new_session=True, **quiet)
    wait_until(lambda: _nodes() == nodes + 1, BACK_S, "another node")
    started = [each for each in processes.marked(head.cluster_id) if each.pid not in before]
    try:
        yield started
    finally:
        _kill(started)
        wait_until(lambda: _nodes() == nodes, BACK_S, "its end to be noticed")
