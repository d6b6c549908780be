"""HAProxy as Ray Serve starts, reloads and loses it: another one stands in when it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from workbench.adapters import haproxy
from workbench.adapters.processes import free_ports

from .waiting import until

pytestmark = pytest.mark.skipif(not haproxy.binary(), reason="Ray Serve brings no HAProxy here")
CONFIG = """
global
  stats socket {folder}/a mode 666 level admin expose-fd listeners
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend http
  bind :{port}
  http-request return status 200
listen stats
  bind 127.0.0.1:{stats}
"""
PATIENCE_S = 1
MANAGER = ("sh", "-c", '"$0" "$@" & wait; sleep 0.5')  # ends soon after HAProxy, as Serve's does
REPLICAS = """backend http-service
  server replica 127.0.0.1:9
"""


class Place:
    """A folder with the script, and the port that its HAProxy answers."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        names = haproxy.settings(folder, [1, 2, 3], PATIENCE_S)
        self._script = names["RAY_SERVE_HAPROXY_BINARY_PATH"]
        self._socket, self.config = folder / "a", folder / "haproxy.cfg"
        free, self._stats = free_ports(2)
        self.port = port or free
        self.started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def start(
        self, *arguments: str, replicas: str = REPLICAS, by: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start it as Serve does, each time with a configuration that was written anew."""
        folder = self.config.parent
        usual = CONFIG.format(folder=folder, port=self.port, stats=self._stats)
        self.config.write_text(usual + replicas)
        command = [*by, self._script, "-db", "-f", str(self.config), "-dR", *arguments]
        self.started.append(subprocess.Popen(command))
        return self.started[-1]

    def reload(self, old: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Start one that takes an old one's place."""
        return self.start("-sf", str(old.pid), "-x", str(self._socket))

    def answers(self) -> bool:
        """Whether it answers now."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/").status_code == 200
        except httpx.HTTPError:
            return False

    def running(self) -> set[int]:
        """Process ids of every HAProxy with this configuration."""
        return {pid for pid, name in self.processes().items() if name == "haproxy"}

    def end(self) -> None:
        """End everything, those that wait first."""
        here = self.processes()
        for pid in sorted(here, key=lambda pid: here[pid] == "haproxy"):
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()
        for each in self.started:
            each.wait()
        until(lambda: not self.processes())

    def processes(self) -> dict[int, str]:
        """Name of each process of this folder, by its id."""
        found, folder = {}, str(self.config.parent)
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if folder in " ".join([*each.cmdline(), each.environ().get("CONFIG", "")]):
                    found[each.pid] = each.name()
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Where an HAProxy answers."""
    with Place(tmp_path / "h") as made:
        first = made.start()
        until(made.answers)
        assert made.running() == {first.pid}
        yield made


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it by force; its parent, which Serve's manager is, sees it end."""
    process.kill()
    process.wait()


def test_another_one_stands_in_for_a_killed_one_until_there_is_a_new_one(place: Place) -> None:
    """No request fails when it goes again."""
    [first] = place.started
    kill(first)
    until(place.answers)
    [stand_in] = place.running()

    second = place.start(replicas="")
    until(lambda: place.running() == {stand_in, second.pid})
    failed = [number for number in range(100) if not place.answers()]
    third = place.reload(second)
    failed += [number for number in range(300) if not place.answers()]
    until(lambda: place.running() == {third.pid})

    assert not failed
    assert place.answers()


def test_only_one_stands_in(place: Place) -> None:
    """Serve's next one is killed too, before it knows a replica."""
    kill(place.started[0])
    until(place.answers)
    [stand_in] = place.running()
    second = place.start(replicas="")
    until(lambda: Path(psutil.Process(second.pid).exe()).samefile(haproxy.binary()))
    kill(second)
    with pytest.raises(AssertionError):
        until(lambda: place.running() != {stand_in}, timeout_s=0.5)

    third = place.start()
    until(lambda: place.running() == {third.pid})
    assert place.answers()


def test_nothing_stands_in_for_one_that_was_replaced(place: Place) -> None:
    """It has ended because another one took its place."""
    [first] = place.started
    second = place.reload(first)
    assert first.wait(10) == 0
    until(lambda: place.running() == {second.pid})

    with pytest.raises(AssertionError):
        until(lambda: len(place.running()) > 1, timeout_s=0.5)


def test_nothing_stands_in_where_serve_has_ended(place: Place) -> None:
    """Its cluster is gone, or going."""
    [first] = place.started
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    watcher = place.config.parent / haproxy.WATCHER
    place.config.with_name("haproxy.cfg.newest").write_text(f"{gone.pid}\n")
    done = subprocess.run(
        [str(watcher), str(gone.pid), str(gone.pid)],
        env={**os.environ, "CONFIG": str(place.config)},
        timeout=10,
        check=False,
    )  # one that stood in would go on

    assert done.returncode == 0
    assert place.running() == {first.pid}


def test_it_ends_where_serve_has_ended_haproxy_for_good(tmp_path: Path) -> None:
    """A node has no replicas any more: Serve kills HAProxy, and then its manager."""
    with Place(tmp_path / "h") as place:
        place.start(by=MANAGER)
        until(place.answers)
        [first] = place.running()
        os.kill(first, signal.SIGKILL)
        until(lambda: place.running() - {first} and place.answers())
        until(lambda: not place.running())
        until(lambda: not place.processes())  # nor does anything wait


def test_a_port_is_never_shared(place: Place, tmp_path: Path) -> None:
    """Another node of the same machine cannot take requests away, by a stand-in neither."""
    kill(place.started[0])
    until(place.answers)  # by what stands in
    with Place(tmp_path / "other", place.port) as other:
        assert other.start(replicas="").wait(10) != 0
        until(lambda: not other.processes())  # what would stand in cannot either

        assert place.answers()
