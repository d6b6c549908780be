"""How `make test` comes by its browser, on machines that lack one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parent / "browser" / "setup.sh"
TOOLS = ("bash", "dirname", "cat", "env")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with next to nothing: commands in a folder that is all of its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def _command(machine: Path, name: str, text: str) -> None:
    file = machine / name
    file.write_text(f"#!/usr/bin/env bash\n{text}\n")
    file.chmod(0o755)


def _run(machine: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(machine), "HOME": os.environ.get("HOME", "/"), "LOG": str(machine / "log")}
    return subprocess.run([SETUP, *words], env=env, capture_output=True, text=True, timeout=60)


def _asked(machine: Path) -> str:
    log = machine / "log"
    return log.read_text() if log.exists() else ""


@pytest.mark.parametrize(
    ("user", "sudo", "installs"), [("0", "", True), ("1000", "", False), ("1000", "ok", True)]
)
def test_apt_is_used_where_it_may_be(machine: Path, user: str, sudo: str, installs: bool) -> None:
    """By root, or by sudo that asks for no password; never with a question."""
    _command(machine, "id", f"echo {user}")
    _command(machine, "apt-get", 'echo "$@" >> "$LOG"')
    _command(machine, "sudo", '[ "$1" = -n ] && shift; "$@"' if sudo else "exit 1")
    _command(machine, "true", "exit 0")

    done = _run(machine, "system")

    assert done.returncode == 0, done.stderr
    assert ("install -y" in _asked(machine)) == installs
    assert ("chromium" in _asked(machine)) == installs


def test_a_browser_that_is_there_is_taken(machine: Path) -> None:
    """Nothing is installed on a machine that has one."""
    _command(machine, "id", "echo 0")
    _command(machine, "apt-get", 'echo "$@" >> "$LOG"')
    _command(machine, "chromium", "exit 0")

    assert _run(machine, "system").returncode == 0
    assert not _asked(machine)


def test_playwrights_own_browser_is_the_second_way(machine: Path) -> None:
    """The first start fails, the download is asked for, the second start works."""
    _command(
        machine,
        "python",
        'echo "$@" >> "$LOG"; [[ $1 = -m ]] && exit 0; [[ $(<"$LOG") = *install* ]]',
    )

    done = _run(machine, "check", "python")

    assert done.returncode == 0, done.stderr
    assert "-m playwright install chromium" in _asked(machine)


def test_no_browser_is_one_message(machine: Path) -> None:
    """What is missing, what was tried, and both ways on."""
    _command(machine, "python", "exit 1")

    done = _run(machine, "check", "python")

    assert done.returncode == 1
    assert "apt-get install chromium" in done.stderr
    assert '-m "not browser"' in done.stderr
