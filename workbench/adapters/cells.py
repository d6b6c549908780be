"""The notebook's cells: their text, and their numbers instead of file names in tracebacks."""

from __future__ import annotations

import dis
import linecache
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from types import CodeType
from typing import Any


def sources_of(*objects: Any) -> dict[str, str]:
    """Collect the text of the cells and `__main__` files that the code of some objects came from.

    Args:
        objects: classes, functions, or anything that holds some.

    Returns:
        Text by the file name that the code carries. Installed packages are left out.
    """
    files = {code.co_filename for each in objects for code in _codes(each, set())}
    texts = {name: "".join(linecache.getlines(name)) for name in files if is_own(name)}
    return {name: text for name, text in texts.items() if text}


def import_paths() -> tuple[str, ...]:
    """Folders of `sys.path` that are the user's own: not Python's and not site-packages."""
    installed = {
        *site.getsitepackages(),
        site.getusersitepackages(),
        *sysconfig.get_paths().values(),
    }
    paths = (os.path.abspath(path or os.getcwd()) for path in sys.path)
    return tuple(dict.fromkeys(p for p in paths if os.path.isdir(p) and not _under(p, installed)))


def folder() -> str:
    """Working directory of this process."""
    return os.getcwd()


def kernel() -> str:
    """Who this is: "pid 4711, 05_rag.ipynb", or "pid 4711" where no notebook runs."""
    notebook = os.environ.get("JPY_SESSION_NAME", "")
    return ", ".join(filter(None, [f"pid {os.getpid()}", os.path.basename(notebook)]))


def resolve(text: str) -> str:
    """Write `Cell In[3], line 7` for the file names that IPython gives to cells."""
    numbers = _cell_numbers()

    def label(match: re.Match[str]) -> str:
        number = numbers.get(match["file"])
        return f"Cell In[{number}], line {match['line']}" if number else match[0]

    return re.sub(r'File "(?P<file>[^"]+)", line (?P<line>\d+)', label, text)


def line_using(function: Any, name: str) -> str:
    """Where code uses a name from outside itself: `Cell In[3], line 7`, or ""."""
    for code in _codes(function, set()):
        line: int | None = None
        for instruction in dis.get_instructions(code):
            line = _starts(instruction) or line
            outer = "GLOBAL" in instruction.opname or "DEREF" in instruction.opname
            if instruction.argval == name and outer:
                return resolve(f'File "{code.co_filename}", line {line}')
    return ""


def _starts(instruction: dis.Instruction) -> int | None:
    line = instruction.starts_line
    if isinstance(line, bool):  # Python 3.13 changed what the field holds
        return getattr(instruction, "line_number", None)
    return line


def _cell_numbers() -> dict[str, int]:
    if "IPython" not in sys.modules:
        return {}
    shell = sys.modules["IPython"].get_ipython()
    compiler = getattr(shell, "compile", None)
    return dict(getattr(compiler, "_filename_map", {}))


def _codes(thing: Any, seen: set[int]) -> Iterator[CodeType]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, CodeType):
        yield thing
        for constant in thing.co_consts:
            if isinstance(constant, CodeType):
                yield from _codes(constant, seen)
    elif isinstance(thing, type):
        for base in thing.__mro__:
            if base.__module__ == "__main__" or base is thing:
                for member in vars(base).values():
                    yield from _codes(member, seen)
    else:
        yield from _codes_of_function(thing, seen)


def _codes_of_function(thing: Any, seen: set[int]) -> Iterator[CodeType]:
    wrapped = getattr(thing, "__wrapped__", None) or getattr(thing, "__func__", None)
    if wrapped is not None:
        yield from _codes(wrapped, seen)
    code = getattr(thing, "__code__", None)
    if isinstance(code, CodeType):
        yield from _codes(code, seen)
        for cell in thing.__closure__ or ():
            yield from _closed_over(cell, seen)
        for name in code.co_names:
            value = thing.__globals__.get(name)
            if getattr(value, "__module__", None) == "__main__":
                yield from _codes(value, seen)
    for route in getattr(thing, "routes", None) or ():
        yield from _codes(getattr(route, "endpoint", None), seen)


def _closed_over(cell: Any, seen: set[int]) -> Iterator[CodeType]:
    try:
        yield from _codes(cell.cell_contents, seen)
    except ValueError:
        return  # an empty cell: the name is not bound yet


def is_own(name: str) -> bool:
    installed = {*site.getsitepackages(), sysconfig.get_paths()["stdlib"]}
    return not name.startswith("<frozen") and not _under(name, installed)


def _under(path: str, folders: set[str]) -> bool:
    return any(path == f or path.startswith(f.rstrip(os.sep) + os.sep) for f in folders)
