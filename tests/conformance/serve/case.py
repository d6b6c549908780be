"""A case: a program, what is asked of it, and why the answers may differ."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    """A program as cells hold it, and questions.

    Attributes:
        name: short, unique, in kebab case.
        program: defines `app`, a bound application.
        questions: sets `seen` to something that JSON can hold; see `World.names`.
        listed: why the answers differ from plain Serve's; it stands in docs/what-differs.md too.
        sample: whether `make test` runs it.
        alone: whether nothing else may run beside it, as it needs much of the machine.
    """

    name: str
    program: str
    questions: str
    listed: str = ""
    sample: bool = False
    alone: bool = False


HEAD = """
import asyncio, dataclasses, enum, json, os, pathlib, threading, time
from typing import Any
import ray
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
SMALL = {"num_cpus": 0.05}
"""


def case(name: str, program: str, questions: str, **options: object) -> Case:
    """A case whose program has the usual imports."""
    return Case(name, HEAD + program, questions, **options)  # type: ignore[arg-type]
