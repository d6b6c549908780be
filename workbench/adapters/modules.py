"""Modules of the user's own: what their sources are, so that an edit of one is noticed."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from . import cells


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
    found[name] = Path(file).read_bytes() if Path(file).is_file() else b""
    for value in list(vars(module).values()):
        other = _home(value)
        if other:
            _collect(other, found)


def _home(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    module = getattr(value, "__module__", "")
    return module if isinstance(module, str) else ""
