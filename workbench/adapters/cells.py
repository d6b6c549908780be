"""The notebook's cells: their text, and their numbers instead of file names in tracebacks."""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import inspect
import linecache
import os
import re
import site
import sys
import sysconfig
import textwrap
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache, partial, partialmethod
from pathlib import Path
from types import CodeType, MethodType
from typing import Any

from workbench.core.targets import is_asgi
from workbench.replica import routes

DEEPEST = 100  # decorators around a function; more are a circle
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


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


def source_of(target: Any) -> str:
    """The text of a class, function or app as it stands in its cell or file.

    Args:
        target: a class (also one wrapped by `@serve.ingress`), a function, a Serve deployment, an
            instance, or a FastAPI app or router.

    Returns:
        The text with its decorators: of an instance, its class; of an app, its endpoints in the
        order of the routes, then the dependencies that they were given. "" when nothing is found;
        installed packages are left out.
    """
    if hasattr(type(target), "func_or_class"):  # a Serve deployment
        target = target.func_or_class
    if isinstance(target, type):
        return _class_source(target) or _joined(_closed_over_sources(target))
    if is_asgi(target):
        return _joined(_app_sources(target))
    function = _function(target)
    return source_of(type(target)) if function is None else _code_source(function.__code__)


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
    notebook = Path(os.environ.get("JPY_SESSION_NAME", "")).name
    return ", ".join(filter(None, [f"pid {os.getpid()}", notebook]))


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


def _class_source(cls: type) -> str:
    """The text of the first class in the order of inheritance that stands in a file of the user."""
    texts = (_text_of_class(base) for base in cls.__mro__)
    return next((text for text in texts if text), "")


def _text_of_class(cls: type) -> str:
    """The text of one class, found by the files and lines that its methods' code carries.

    Serve's wrapper bears the name and module of the user's class, but its methods stand in Ray.
    """
    functions = (_function(member) for member in vars(cls).values())
    codes = [function.__code__ for function in functions if function is not None]
    own = [code for code in codes if code.co_qualname.startswith(f"{cls.__qualname__}.")]
    places = [(code.co_filename, code.co_firstlineno) for code in own]
    if not own and all(is_own(code.co_filename) for code in codes):
        places = [(file, 0) for file in _files_of_module(cls.__module__)]
    texts = (_text_around(file, cls.__qualname__, line) for file, line in places)
    return next((text for text in texts if text), "")


def _function(thing: Any) -> Any:
    """The plain function inside a method, property, partial or decorated function, or None."""
    for _ in range(DEEPEST):
        if isinstance(thing, property):
            thing = thing.fget
        elif isinstance(thing, partial | partialmethod | cached_property):
            thing = thing.func
        elif isinstance(thing, MethodType | staticmethod | classmethod):
            thing = thing.__func__
        elif thing is None or (inspect.isfunction(thing) and not hasattr(thing, "__wrapped__")):
            return thing
        else:
            thing = getattr(thing, "__wrapped__", None)
    return None


def _files_of_module(module: str) -> list[str]:
    """Where a class without methods may stand: the newest cell first."""
    file = getattr(sys.modules.get(module), "__file__", None)
    numbers = _cell_numbers() if module == "__main__" else {}
    newest_first = sorted(numbers, key=lambda name: numbers[name])[::-1]
    return [*newest_first, *([file] if file else [])]


def _text_around(file: str, qualname: str, line: int) -> str:
    """The text of the class of that name around a line; of the last one when the line is 0."""
    found = [
        node
        for name, node in _definitions(_own_text(file))
        if isinstance(node, ast.ClassDef) and name == qualname
    ]
    around = [n for n in found if not line or _first_line(n) <= line <= (n.end_lineno or 0)]
    return _text(file, around[-1]) if around else ""


def _code_source(code: CodeType) -> str:
    """The text of the function that has this code; of a lambda, the statement that it is in."""
    text, line = _own_text(code.co_filename), code.co_firstlineno
    found: list[ast.stmt] = [
        node
        for name, node in _definitions(text)
        if name == code.co_qualname and _first_line(node) == line
    ]
    if code.co_name == "<lambda>":
        found = [
            node
            for node in ast.walk(_tree(text))
            if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
        ]
    return _text(code.co_filename, found[-1]) if found else ""


def _own_text(file: str) -> str:
    return "".join(linecache.getlines(file)) if is_own(file) else ""


@lru_cache(maxsize=64)
def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


@lru_cache(maxsize=64)
def _definitions(text: str) -> list[tuple[str, Definition]]:
    """Every class and function of a text with its qualified name."""
    found: list[tuple[str, Definition]] = []
    pending: list[tuple[str, ast.AST]] = [("", _tree(text))]
    while pending:
        outer, node = pending.pop()
        for child in ast.iter_child_nodes(node):
            name = outer
            if isinstance(child, Definition):
                found.append((outer + child.name, child))
                inside = "." if isinstance(child, ast.ClassDef) else ".<locals>."
                name = f"{outer}{child.name}{inside}"
            pending.append((name, child))
    return sorted(found, key=lambda each: each[1].lineno)


def _first_line(node: Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _text(file: str, node: ast.stmt) -> str:
    first = _first_line(node) if isinstance(node, Definition) else node.lineno
    lines = linecache.getlines(file)[first - 1 : node.end_lineno]
    return textwrap.dedent("".join(lines)).rstrip("\n") + "\n"


def _app_sources(app: Any) -> Iterator[str]:
    found = routes.current(app)
    yield from (source_of(route.endpoint) for route in found)
    for route in found:
        yield from _dependency_sources(getattr(route, "dependant", None))


def _dependency_sources(dependant: Any) -> Iterator[str]:
    for each in getattr(dependant, "dependencies", None) or ():
        yield source_of(each.call)
        yield from _dependency_sources(each)


def _closed_over_sources(cls: type) -> Iterator[str]:
    """The app, or its builder, that `serve.ingress(app)()` keeps without a class of the user."""
    for member in vars(cls).values():
        for cell in getattr(_function(member), "__closure__", None) or ():
            with contextlib.suppress(ValueError):  # an empty cell
                if not isinstance(cell.cell_contents, type):
                    yield source_of(cell.cell_contents)


def _joined(texts: Iterable[str]) -> str:
    """Several texts as a cell would hold them, each once."""
    return "\n\n".join(text for text in dict.fromkeys(texts) if text)


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
    wrapped = _attribute(thing, "__wrapped__") or _attribute(thing, "__func__")
    if wrapped is not None:
        yield from _codes(wrapped, seen)
    code = _attribute(thing, "__code__")
    if isinstance(code, CodeType):
        yield from _codes(code, seen)
        for cell in thing.__closure__ or ():
            yield from _closed_over(cell, seen)
        for name in code.co_names:
            value = thing.__globals__.get(name)
            if getattr(value, "__module__", None) == "__main__":
                yield from _codes(value, seen)
    routes = _attribute(thing, "routes")
    for route in routes if isinstance(routes, list | tuple) else ():
        yield from _codes(_attribute(route, "endpoint"), seen)


def _attribute(thing: Any, name: str) -> Any:
    """An attribute, or None: what the user's objects answer may be anything, an error too."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _closed_over(cell: Any, seen: set[int]) -> Iterator[CodeType]:
    try:
        yield from _codes(cell.cell_contents, seen)
    except ValueError:
        return  # an empty cell: the name is not bound yet


def is_own(name: str) -> bool:
    """Whether a file is the user's: neither Python's nor an installed package's."""
    return not name.startswith("<frozen") and not _under(name, _installed())


def _installed() -> set[str]:
    return _installed_on(tuple(sys.path))


@functools.lru_cache(maxsize=4)
def _installed_on(paths: tuple[str, ...]) -> set[str]:
    """Folders of installed packages, those of `pip install --user` and `--target` among them."""
    found = {*site.getsitepackages(), sysconfig.get_paths()["stdlib"]}
    return found | {os.path.abspath(each) for each in paths if any(Path(each).glob("*.dist-info"))}


def _under(path: str, folders: set[str]) -> bool:
    return any(path == f or path.startswith(f.rstrip(os.sep) + os.sep) for f in folders)
