"""FastAPI's source distribution, of the version that is installed, with what its tests import."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import fastapi

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / "artefacts" / "conformance"
ROOT = CACHE / f"fastapi-{fastapi.__version__}"
SITE = CACHE / "site"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def prepare() -> None:
    """Download and unpack it, unless that was done before."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ROOT.is_dir():
            _unpack()
        if not SITE.is_dir():
            _install()


def _unpack() -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        asked = f"fastapi=={fastapi.__version__}"
        _pip("download", "--no-deps", "--no-binary", "fastapi", "--dest", folder, asked)
        (archive,) = Path(folder).glob("fastapi-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        unpacked = Path(folder) / ROOT.name
        shutil.rmtree(unpacked / "fastapi")  # the installed one is tested
        unpacked.rename(ROOT)


def _install() -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        target = Path(folder) / "site"
        _pip("install", "--no-deps", "--target", target, "-r", HERE / "requirements.txt")
        target.rename(SITE)


def _pip(*arguments: str | Path) -> None:
    subprocess.run([*PIP, *map(str, arguments)], check=True)
