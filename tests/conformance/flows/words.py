"""Words for the tables of flows: the cells that every notebook begins with, and the edits."""

from __future__ import annotations

import textwrap
from typing import Any

from workbench.core.plan import KEEP, REPLACE, SWAP, TUNE

from .book import Edit, Flow

__all__ = ["KEEP", "REPLACE", "SWAP", "TUNE", "add", "again", "edit", "flow", "restart", "service"]

IMPORTS = """
import asyncio, contextlib, dataclasses, enum, functools, logging, os, re, typing
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, Field
from ray import serve
"""


def service(answer: str, init: str = "", more: str = "", bases: str = "", takes: str = "") -> str:
    """The cell of a class whose route `/answer` returns an expression.

    Args:
        answer: the expression; or statements, when it has lines.
        init: body of the constructor.
        more: further members.
        bases: base classes.
        takes: further parameters of the route.
    """
    body = answer if "\n" in answer or answer.startswith("return") else f"return {answer}"
    lines = [
        "@serve.deployment(ray_actor_options={'num_cpus': 0})",
        "@serve.ingress(api)",
        f"class Service({bases}):" if bases else "class Service:",
    ]
    if init:
        lines += ["    def __init__(self):", _inside(init, 8)]
    if more:
        lines.append(_inside(more, 4))
    lines += ["    @api.get('/answer')", f"    def answer(self{', ' * bool(takes)}{takes}):"]
    return "\n".join([*lines, _inside(body, 8)])


def _inside(text: str, spaces: int) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n"), " " * spaces)


def flow(name: str, *edits: Edit, rung: str, answer: Any, **rest: Any) -> Flow:
    """A flow; what is not a field of `Flow` is a cell, after the imports and `api`."""
    known = {key: rest.pop(key) for key in list(rest) if key in Flow.__dataclass_fields__}
    cells = {"imports": IMPORTS, "api": "api = FastAPI()"} | known.pop("cells", {}) | rest
    dedented = {key: textwrap.dedent(text).strip("\n") for key, text in cells.items()}
    return Flow(name, dedented, edits, rung, answer, **known)


def edit(cell: str, old: str, new: str, runs: bool = True) -> Edit:
    """Replace a text in a cell, and run the cell."""
    return Edit(cell, old, new, runs)


def again(cell: str) -> Edit:
    """Run a cell once more, unchanged."""
    return Edit(cell)


def add(cell: str, text: str) -> Edit:
    """Write a new cell below the others, and run it."""
    return Edit(cell, "", text)


def restart() -> Edit:
    """Restart the kernel and run all cells."""
    return Edit("")
