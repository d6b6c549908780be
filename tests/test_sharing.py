"""One cluster per user and machine: kernels in several folders, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.adapters import processes
from workbench.core.capacity import Room
from workbench.core.cluster import Asked, ClusterFacts, lacking

FACTS = ClusterFacts("a:1", "http://127.0.0.1:8000", "", 16, 2, True, 1, "2.60.0", "fast", cores=2)
Kernel = Callable[[str, str], str]
DOUBLE = """
import workbench
def double(x: int) -> int:
    return 2 * x
def ask():
    return workbench.connect("double").post("/", json={"x": 21}).json()
"""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(), ""),
        (Asked(num_gpus=1, num_cpus=0, http_port=8000, data_path="fast"), ""),
        (Asked(num_gpus=2, num_cpus=16), ""),
        (Asked(num_gpus=2.5), "num_gpus=2.5 was asked for, the cluster that runs has num_gpus=2"),
        (Asked(num_cpus=17, data_path="python"), "num_cpus=17, data_path='python' was asked for"),
        (
            Asked(http_port=80),
            "http_port=80 was asked for, the cluster that runs has http_port=8000",
        ),
    ],
)
def test_a_cluster_lacks_only_what_is_too_little(asked: Asked, said: str) -> None:
    """Another notebook that asked for more than this one does not stop it."""
    found = lacking(asked, FACTS)

    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_cores_and_what_may_be_booked_are_both_shown() -> None:
    """A reader must not take bookings for cores; of several machines the cores are not known."""
    assert "2 cores (16 logical)" in str(FACTS)
    assert "1 core (16 logical)" in str(ClusterFacts(**{**vars(FACTS), "cores": 1}))
    assert " 16 CPUs " in str(ClusterFacts(**{**vars(FACTS), "cores": 16}))
    assert " 16 CPUs " in str(ClusterFacts(**{**vars(FACTS), "cores": 0}))


def test_what_is_booked_is_counted() -> None:
    """Memory and nodes' own marks are no bookings of anybody's."""
    total = {"CPU": 16.0, "GPU": 2.0, "memory": 9.0}

    assert Room(total, {"CPU": 15.5, "GPU": 2.0, "memory": 1.0}, total).booked == {"CPU": 0.5}
    assert Room(total, {**total}, total).booked == {}


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """Runs code in a folder as a user without WORKBENCH_HOME does; ends the cluster."""
    env = {k: v for k, v in os.environ.items() if k != "WORKBENCH_HOME"}
    env |= {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}

    def run(folder: str, code: str) -> str:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", DOUBLE + code]
        options = {"capture_output": True, "text": True, "env": env, "cwd": tmp_path / folder}
        done = subprocess.run(command, **options)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    yield run
    run("one", "workbench.stop()")


GROW = """
app = workbench.start().facts  # attached before the other kernel asks for more
import subprocess, sys
more = "import workbench; print(workbench.start(num_gpus=2, num_cpus=8))"
command = [sys.executable, "-c", more]
print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
workbench.deploy(double)
print("ANSWER", ask(), workbench.start().facts.address != app.address)
"""

REFUSED = """
try:
    workbench.start(num_gpus=3)
except workbench.ClusterError as error:
    print("REFUSED", error)
print("ANSWER", ask())
"""


@pytest.mark.ray
def test_notebooks_of_two_folders_share_one_cluster(kernel: Kernel) -> None:
    """The second finds the first's; one that asks for more gets it while nothing serves."""
    first = kernel("one", "print(workbench.start())")
    grown = kernel("one/sub", GROW)
    second = kernel("two", 'print("ANSWER", ask())')
    refused = kernel("two", REFUSED)

    assert "logical)" in first
    assert "2 GPUs" in grown
    assert "ANSWER 42 True" in grown
    assert "ANSWER 42" in second
    assert "REFUSED num_gpus=3 was asked for" in refused
    assert "it serves 'double'" in refused
    assert "ANSWER 42" in refused


@pytest.mark.ray
def test_another_server_on_port_8000_costs_nobody_a_cluster(kernel: Kernel) -> None:
    """The next free port is taken, also beside the tests' own cluster."""
    with contextlib.ExitStack() as stack:
        if not processes.listener(8000):
            stack.enter_context(socket.create_server(("127.0.0.1", 8000)))
        said = kernel("one", "workbench.deploy(double); print('ANSWER', ask(), workbench.start())")

    assert "ANSWER 42" in said
    assert ":8000 " not in said
