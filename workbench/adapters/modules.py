"""Modules of the user's own: what their sources are, so that an edit of one is noticed."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from . import cells

Stamp = tuple[str, int, int, int, int]
READ: dict[str, tuple[Stamp, bytes, tuple[str, ...]]] = {}  # what was read, by module


def digest(name: str) -> str:
    """Hash of the source of a module of the user's own and of those that it uses, else "".

    Args:
        name: of a module; installed ones and `__main__` give "".
    """
    found: dict[str, bytes] = {}
    _collect(name, found)
    if not found:
        return ""
    whole = hashlib.blake2b(digest_size=16)
    for each in sorted(found):
        whole.update(each.encode() + b"\0" + found[each] + b"\0")
    return whole.hexdigest()


def _collect(name: str, found: dict[str, bytes]) -> None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is None or name in found or name == "__main__" or not file:
        return
    if name.partition(".")[0] == "workbench" or not cells.is_own(file):
        return
    found[name], others = _read(module, Path(file))
    for other in others:
        _collect(other, found)


def _read(module: ModuleType, file: Path) -> tuple[bytes, tuple[str, ...]]:
    """A module's source and the modules that it uses; looked at again when either changed."""
    with contextlib.suppress(OSError):
        stat = file.stat()
        stamp = (str(file), stat.st_mtime_ns, stat.st_size, id(module), len(vars(module)))
        known = READ.get(module.__name__)
        if known is None or known[0] != stamp:
            known = READ[module.__name__] = stamp, file.read_bytes(), _uses(module)
        return known[1], known[2]
    return b"", _uses(module)


def _uses(module: ModuleType) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(_home, list(vars(module).values())))))


def _home(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    module = getattr(value, "__module__", "")
    return module if isinstance(module, str) else ""
