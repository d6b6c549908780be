"""The cluster: who listens where, what is private, what another process sees."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import serve
from typer.testing import CliRunner

import workbench
from workbench.adapters import cluster as ray_cluster
from workbench.adapters import doctor, machine, processes, ray_token, ray_workers, state
from workbench.adapters.ray_connect import PATIENCE, connect
from workbench.cli import app as command
from workbench.core.cluster import ClusterFacts

from .listening import listeners
from .waiting import until

pytestmark = pytest.mark.ray


def _head() -> ray_cluster.Head:
    head = ray_cluster.known_head()
    assert head is not None
    return head


def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


def test_starting_again_gives_the_running_cluster(name: str) -> None:
    """Less than it has is enough; more is refused while something serves, which is named."""
    workbench.deploy(double, name=name, ray_actor_options={"num_cpus": 0.1})

    for asked in ({}, {"num_gpus": 1}, {"num_cpus": 4, "num_gpus": 2}):
        cluster = workbench.start(**asked)  # type: ignore[arg-type]
        assert (cluster.num_cpus, cluster.num_gpus) == (16, 2)
    with pytest.raises(workbench.ClusterError, match=rf"num_gpus=5 .* has num_gpus=2 .*'{name}'"):
        workbench.start(num_gpus=5)
    with pytest.raises(workbench.ClusterError, match=r"http_port=1 .* cannot be restarted"):
        workbench.start(http_port=1)
    assert workbench.connect(name).post("/", json={"x": 4}).json() == 8


def test_logical_gpus_are_marked() -> None:
    """Nobody may take a simulated GPU for a real one."""
    facts = ClusterFacts("a:1", "http://x", "", 8, 1, True, 1, "2.60.0")

    assert "1 GPU (simulated)" in str(facts)
    if not machine.physical_gpus():
        assert "2 GPUs (simulated)" in str(workbench.start())


@pytest.mark.parametrize("bad", [{"num_gpus": -1}, {"num_cpus": True}, {"http_port": 70_000}])
def test_bad_resources_are_refused(bad: dict[str, int]) -> None:
    """Before anything is started."""
    with pytest.raises(workbench.ClusterError, match=next(iter(bad))):
        workbench.start(**bad)  # type: ignore[arg-type]


def test_the_ingress_and_the_dashboard_listen_on_loopback() -> None:
    """What answers without the token may not be reached from outside."""
    head = _head()
    guarded = {"gcs_server", "raylet"}
    ports = {
        port
        for (address, port), name in listeners(head.cluster_id).items()
        if address not in ("127.0.0.1", "::1")
        and name not in guarded
        and not name.startswith("ray::")  # gRPC of workers: guarded by the token
    }

    assert head.http_port not in ports
    assert int(head.dashboard.rpartition(":")[2]) not in ports
    assert not {44217, 44227, 10001} & ports


def test_token_and_state_are_private() -> None:
    """Both lead to code execution."""
    for path in (ray_token.path(), state.folder() / "cluster.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (state.folder(), Path(_head().temp_dir)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_taken_port_is_refused_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second cluster on the same port would not come up."""
    port = _head().http_port
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))

    with pytest.raises(workbench.ClusterError, match=f"http_port={port} is taken by pid"):
        ray_cluster.launch(1, 0, port, "python")


def test_a_dead_cluster_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is forgotten and its folder removed; the doctor names it before."""
    gone = tmp_path / "gone"
    gone.mkdir()
    head = {**vars(_head()), "cluster_id": "0" * 32, "temp_dir": str(gone)}
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    state.write("cluster.json", head)

    [check] = [each for each in doctor.checks() if each.name == "cluster"]
    assert (check.ok, check.mend) == (False, doctor.COME_BACK)
    assert ray_cluster.known_head() is None
    assert not gone.exists()


HALF = """
import os, signal
from workbench.adapters import cluster
import workbench
def ended(*_):
    os.kill(os.getpid(), signal.SIGKILL)
real, cluster._run_once = cluster._run_once, lambda *a: (real(*a), ended())
workbench.start(num_cpus=1, http_port={port})
"""


def test_what_a_killed_start_left_is_cleared_away(tmp_path: Path) -> None:
    """Its daemons run, and no file names them as a cluster yet; `stop()` finds them."""
    env = {**os.environ, "WORKBENCH_HOME": str(tmp_path)}
    command = [sys.executable, "-c", HALF.format(port=processes.free_ports(1)[0])]
    assert subprocess.run(command, capture_output=True, env=env).returncode == -signal.SIGKILL
    content = json.loads((tmp_path / "starting.json").read_text())
    assert processes.daemons(content["cluster_id"])

    subprocess.run(
        [sys.executable, "-c", "import workbench; workbench.stop()"], env=env, check=True
    )

    assert not processes.marked(content["cluster_id"])
    assert not Path(content["temp_dir"]).exists()
    assert not (tmp_path / "starting.json").exists()


def test_no_cluster_is_said(tmp_path: Path) -> None:
    """A kernel without a cluster is told how to start one, and starts none by looking."""
    env = {**os.environ, "WORKBENCH_HOME": str(tmp_path)}
    code = "import workbench; workbench.apps()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)

    assert "ClusterError: no cluster runs" in done.stderr
    assert "workbench.start()" in done.stderr
    assert not (tmp_path / "cluster.json").exists()


def test_a_cluster_is_attached_by_address(tmp_path: Path) -> None:
    """Any Ray cluster will do; ours, here, from a kernel with another state folder."""
    env = {**os.environ, "WORKBENCH_HOME": str(tmp_path)}
    code = f"import workbench; print(workbench.start(address={_head().address!r}).facts)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)

    assert "16 CPUs" in done.stdout, done.stderr
    assert f":{_head().http_port}" in done.stdout


def test_an_address_where_nothing_answers_is_said(tmp_path: Path) -> None:
    """Within seconds, not after Ray's own long patience."""
    [port] = processes.free_ports(1)
    env = {**os.environ, "WORKBENCH_HOME": str(tmp_path)}
    code = f"import workbench; workbench.start(address='127.0.0.1:{port}')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)

    assert f"ClusterError: cannot attach to 127.0.0.1:{port}" in done.stderr


GONE = """
import workbench
from workbench.adapters import cluster, processes, state

def double(x: int) -> int:
    return 2 * x

workbench.start(num_cpus=1, http_port={port})
app = workbench.deploy(double, ray_actor_options={{"num_cpus": 0.1}})
processes.end(state.read("cluster.json")["cluster_id"])
assert cluster.known_head() is None  # clears it away, as the command in a terminal does
for ask in (app.status, app.logs, workbench.apps):
    try:
        ask()
    except workbench.ClusterError as error:
        print(error.problem)
"""


RESTORED = """
import workbench
print("ANSWER", workbench.connect("double").post("/", json={"x": 21}).json())
"""


def test_a_cluster_that_is_gone_is_said_and_what_it_served_comes_back(tmp_path: Path) -> None:
    """A kernel that outlives its cluster is told so; the state folder outlives both."""
    env = {**os.environ, "WORKBENCH_HOME": str(tmp_path)}
    [port] = processes.free_ports(1)
    command = str(Path(sys.executable).with_name("workbench"))

    def run(*words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, env=env)
        return done.stdout + done.stderr

    gone = run(sys.executable, "-c", GONE.format(port=port))
    try:
        advice = run(command, "doctor", "--http-port", str(port))
        run(command, "down")
        run(command, "up", "--http-port", str(port), "--num-cpus", "1")
        restored = run(command, "restore")
        answer = run(sys.executable, "-c", RESTORED)
        again = run(command, "restore")
    finally:
        run(command, "down")

    said = [line for line in gone.splitlines() if "cluster" in line]
    assert len(said) == 3, gone
    assert "the cluster that this kernel was attached to is gone" in said[0]
    assert all("no cluster runs" in line for line in said[1:])
    assert ray_cluster.known_head() is not None  # ours
    assert "double" in advice
    assert "restored: double" in restored
    assert "ANSWER 42" in answer
    assert "everything runs" in again


def test_a_kernel_outlives_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is told to be patient while it connects, and nothing that is started later is."""
    seen: list[str | None] = []
    monkeypatch.setattr(ray, "init", lambda **_: seen.append(os.environ.get(PATIENCE)))

    connect("auto")

    assert seen[0] is not None and float(seen[0]) > 86_400
    assert PATIENCE not in os.environ


def test_the_command_shows_the_status() -> None:
    """The same facts as in a notebook."""
    result = CliRunner().invoke(command, ["status"])

    assert result.exit_code == 0
    assert "16 logical" in result.output or machine.cores() == 16


def test_small_shared_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray falls back to the disk without a word that a notebook would show."""
    monkeypatch.setattr(machine, "SHM_WANTED_BYTES", 2**60)

    free, problem, mend = machine.shared_memory()

    assert free > 0
    assert "/dev/shm has" in problem
    assert "--shm-size" in mend


def test_the_doctor_finds_nothing_wrong_here() -> None:
    """The machine that runs the tests is fit for them."""
    wrong = [each for each in doctor.checks() if not each.ok]

    assert not wrong


@pytest.mark.parametrize(("setting", "told"), [("1", True), ("0", False), (None, False)])
def test_the_doctor_tells_of_cores_shared_by_session(
    setting: str | None, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook that takes all cores then holds requests up; nothing is wrong, though."""
    file = tmp_path / "sched_autogroup_enabled"
    if setting is not None:
        file.write_text(f"{setting}\n")
    monkeypatch.setattr(doctor, "AUTOGROUP", file)

    [check] = [each for each in doctor.checks() if each.name == "cores"]

    assert check.ok
    assert ("sysctl" in check.mend) == ("by session" in check.found) == told


def test_a_worker_waits_for_the_next_replica() -> None:
    """The replica runs in it, and another one comes in its place."""

    def waiting() -> set[int]:
        found = processes.marked(_head().cluster_id)
        return {each.pid for each in found if ray_workers.waits(each)}

    def replica() -> Any:
        @serve.deployment(ray_actor_options={"num_cpus": 0.1})
        class Named:
            def __call__(self) -> int:
                return os.getpid()

        return Named.bind()

    ray_workers.keep_one(_head().cluster_id)
    until(waiting)
    before = waiting()
    app = workbench.deploy(replica(), name="waiting", route_prefix="/waiting")
    try:
        assert app.handle().remote().result() in before
        until(lambda: waiting() - before)
    finally:
        workbench.delete(app.name)
