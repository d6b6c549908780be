"""The private state folder: what is needed to find the cluster and the revisions again."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from workbench.errors import WorkbenchError

from . import cells

DISTRIBUTION = "serve-workbench"
KEY_FILE = "ingress-key"
LOCK_TIMEOUT_S = 330.0


def folder() -> Path:
    """The state folder, made on demand with mode 0700.

    `WORKBENCH_HOME` names it; else it is the nearest `.workbench/` of the working directory and
    its parents; else it is the user's, the same from every folder.

    Raises:
        WorkbenchError: it cannot be made.
    """
    path = _chosen()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise WorkbenchError(
            f"the state folder {path} cannot be used: {error.strerror}\n"
            "help: set WORKBENCH_HOME to a folder of yours that can be written"
        ) from error
    return path


def _chosen() -> Path:
    named = os.environ.get("WORKBENCH_HOME")
    if named:
        return Path(named).expanduser().absolute()
    here = Path.cwd()
    near = (parent / ".workbench" for parent in (here, *here.parents))
    users = platformdirs.user_state_path(DISTRIBUTION, appauthor=False)
    return next((path for path in near if path.is_dir()), users)


def read(name: str) -> dict[str, Any] | None:
    """Read a JSON file of the state folder; None when it is missing or damaged."""
    try:
        content = json.loads((folder() / name).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write(name: str, content: dict[str, Any]) -> None:
    """Write a JSON file of the state folder, whole or not at all, with mode 0600."""
    handle, temporary = tempfile.mkstemp(dir=folder(), prefix=f".{name}.")  # mkstemp makes it 0600
    with os.fdopen(handle, "w") as file:
        json.dump(content, file, indent=1)
    os.replace(temporary, folder() / name)


def forget(name: str) -> None:
    """Remove a file of the state folder. Harmless when there is none."""
    (folder() / name).unlink(missing_ok=True)


def ingress_key(make: bool = False) -> str:
    """The key for ingresses that ask for one, kept with mode 0600; "" when there is none.

    Args:
        make: make one when there is none.
    """
    path = folder() / KEY_FILE
    if make and not path.exists():
        handle, temporary = tempfile.mkstemp(dir=folder())  # mode 0600
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
        with contextlib.suppress(FileExistsError):  # another kernel was first; it is there whole
            os.link(temporary, path)
        Path(temporary).unlink()
    return path.read_text() if path.exists() else ""


@contextmanager
def lock(name: str, say: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Hold a lock that other kernels of this state folder respect.

    Args:
        name: of the lock.
        say: told who holds it, when it must be waited for.

    Raises:
        WorkbenchError: another kernel held it for too long.
    """
    guard = FileLock(folder() / f"{name}.lock", mode=0o600)
    holder = folder() / f"{name}.holder"
    try:
        guard.acquire(timeout=0)
    except Timeout:
        who = holder.read_text() if holder.is_file() else "another notebook"
        say(f"waiting for {who}, which holds {name!r}")
        _wait(guard, name, who)
    try:
        holder.write_text(cells.kernel())
        yield
    finally:
        guard.release()


def _wait(guard: FileLock, name: str, who: str) -> None:
    try:
        guard.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout:
        raise WorkbenchError(
            f"{who} has been holding {name!r} for {LOCK_TIMEOUT_S:g} s; "
            "wait for it or interrupt its cell"
        ) from None
