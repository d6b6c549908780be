"""A notebook as data, and as IPython runs it: cells by name, and what a user does to them."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import linecache
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipykernel.compiler import XCachingCompiler
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from workbench.ui import magic

SAVES = itertools.count(1_700_000_000, 10)


class Shell(InteractiveShell):
    """IPython's shell, giving its cells the file names that a kernel does."""

    compiler_class = XCachingCompiler


@dataclass(frozen=True)
class Edit:
    """One thing that a user does: change the text of a cell or a file, and run the cell.

    Attributes:
        cell: name of the cell, or of a file that ends with `.py`; "" restarts and runs all cells.
        old: what is replaced; "" for nothing.
        new: what stands there from now on.
        runs: whether the cell is run.
    """

    cell: str
    old: str = ""
    new: str = ""
    runs: bool = True


@dataclass(frozen=True)
class Flow:
    """One edit flow.

    Attributes:
        name: what the user does, in a few words.
        cells: text by the name of the cell, in the notebook's order.
        edits: what is done between two deploys.
        rung: what the redeploy must be: the lowest sound rung.
        answer: what is answered after it.
        target: expression that is deployed; "" when a `%%deploy` cell of the notebook says so.
        asks: requests, the last of which is compared: "GET /path", "POST /path {json}", or
            "call method [arguments]" for a handle.
        files: modules of the user's own by file name.
        fresh: what a fresh deploy answers, where plain Serve's new process differs from state that
            is meant to stay; None when it must be the same.
        cluster: it needs Serve around it, so that it is not answered without a cluster.
        why: why no lower rung is sound, where a reader would ask.
    """

    name: str
    cells: Mapping[str, str]
    edits: tuple[Edit, ...]
    rung: str
    answer: Any
    target: str = "Service"
    asks: tuple[str, ...] = ("GET /answer",)
    files: Mapping[str, str] = field(default_factory=dict)
    fresh: Any = None
    cluster: bool = False
    why: str = ""


class Book:
    """A notebook whose cells are run in a shell of its own. Use it as a context manager.

    Args:
        flow: the cells and files.
        folder: where the files are written; it is the notebook's folder.

    Attributes:
        cells: the text of each cell as it stands now.
    """

    def __init__(self, flow: Flow, folder: Path) -> None:
        self._flow, self._folder = flow, folder
        self.cells, self.files = dict(flow.cells), dict(flow.files)
        self._shell: Any = None
        self._by_magic: list[Any] = []

    def __enter__(self) -> Book:
        for name in self.files:
            self._save(name)
        self._before = os.getcwd()
        os.chdir(self._folder)
        if self.files:
            sys.path.insert(0, str(self._folder))
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()
        os.chdir(self._before)
        for name in self.files:
            sys.modules.pop(name.removesuffix(".py"), None)
        if self.files:
            sys.path.remove(str(self._folder))

    def _start(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        self._shell = Shell.instance(config=config)
        magic.register(self._shell, lambda target, **_: self._by_magic.append(target))

    def _stop(self) -> None:
        for name in [n for n in linecache.cache if "ipykernel_" in n]:
            del linecache.cache[name]
        self._shell.restore_sys_module_state()
        Shell.clear_instance()
        InteractiveShell.clear_instance()

    def run(self, text: str) -> None:
        """Run a text as a cell; what it raises comes through."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            done = self._shell.run_cell(text, store_history=True)
        if not done.success:
            print(printed.getvalue())
            done.raise_error()

    def run_all(self) -> Book:
        """Run every cell in the notebook's order."""
        for text in self.cells.values():
            self.run(text)
        return self

    def restart(self) -> None:
        """A new kernel, and all cells in it."""
        self._stop()
        for name in self.files:
            sys.modules.pop(name.removesuffix(".py"), None)
        self._start()
        self.run_all()

    def edit(self, each: Edit) -> None:
        """Do what a user does; the cells are then what the notebook shows."""
        if not each.cell:
            self.restart()
            return
        self.write(each)
        if each.runs and each.cell in self.cells:
            self.run(self.cells[each.cell])

    def write(self, each: Edit) -> None:
        """Change the text of a cell or a file, and run nothing."""
        texts = self.files if each.cell in self.files else self.cells
        text = texts.setdefault(each.cell, "")
        assert each.old in text, f"{each.old!r} is not in {each.cell!r}"
        texts[each.cell] = text.replace(each.old, each.new) if each.old else text + each.new
        if texts is self.files:
            self._save(each.cell)

    def _save(self, name: str) -> None:
        path = self._folder / name
        path.write_text(self.files[name])
        saved = next(
            SAVES
        )  # a clock that ticks at each save, or Python would take its old bytecode
        os.utime(path, (saved, saved))
        importlib.invalidate_caches()

    def target(self) -> Any:
        """What is deployed: the flow's expression, or what a `%%deploy` cell ended with."""
        if not self._flow.target:
            return self._by_magic[-1]
        return eval(self._flow.target, self._shell.user_ns)


@contextlib.contextmanager
def opened(flow: Flow, folder: Path, edited: bool = False) -> Iterator[Book]:
    """A notebook with all its cells run; with `edited`, as its cells stand after the edits."""
    with Book(flow, folder) as book:
        for each in flow.edits if edited else ():
            if each.cell:
                book.write(each)
        yield book.run_all()
