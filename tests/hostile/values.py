"""One of each."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextvars
import datetime
import functools
import hashlib
import io
import itertools
import logging
import mmap
import queue
import random
import re
import selectors
import socket
import sqlite3
import sys
import threading
import types
import typing
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy
import torch
from ray import serve

from .things import (
    Anything,
    Colour,
    Endless,
    Frozen,
    Interrupts,
    Liar,
    Nonsense,
    Own,
    Properties,
    Quits,
    Raises,
    Slots,
    async_generator,
    deep,
    endless_dictionary,
    endless_list,
    generator,
    hooked,
    traceback_of,
)

VALUES: dict[str, Callable[[], Any]] = {
    "lock": threading.Lock,
    "condition": threading.Condition,
    "thread": threading.Thread,
    "socket": socket.socket,
    "file": lambda: Path(__file__).open(),  # noqa: SIM115
    "generator": generator,
    "coroutine": lambda: asyncio.sleep(0),
    "frame": sys._getframe,
    "weakref": lambda: weakref.ref(Frozen),
    "module": lambda: types.ModuleType("made"),
    "memoryview": lambda: memoryview(b"x"),
    "endless list": endless_list,
    "deep list": lambda: deep(20_000),
    "raises": Raises,
    "anything": Anything,
    "endless": Endless,
    "liar": Liar,
    "quits": Quits,
    "interrupts": Interrupts,
    "nonsense": Nonsense,
    "properties": Properties,
    "slots": Slots,
    "own": Own,
    "nan": lambda: float("nan"),
    "bytes": lambda: b"\x00" * 10_000_000,
    "set of types": lambda: {int, str, Frozen},
    "regex": lambda: re.compile("a(b)c"),
    "date": lambda: datetime.datetime.now(datetime.UTC),
    "count": itertools.count,
    "namedtuple": lambda: collections.namedtuple("Point", "x y")(1, 2),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "enum": lambda: Colour.RED,
    "stdout": lambda: sys.stdout,
    "stringio": io.StringIO,
    "partial": lambda: functools.partial(print, 1),
    "exception": lambda: ValueError("x"),
    "ellipsis": lambda: ...,
    "surrogate": lambda: "\ud800",
    "asynchronous generator": async_generator,
    "executor": lambda: concurrent.futures.ThreadPoolExecutor(1),
    "semaphore": asyncio.Semaphore,
    "thread's own": threading.local,
    "context variable": lambda: contextvars.ContextVar("made"),
    "token": lambda: contextvars.ContextVar[int]("made").set(1),
    "database": lambda: sqlite3.connect(":memory:"),
    "memory map": lambda: mmap.mmap(-1, 4096),
    "digest": hashlib.sha256,
    "compressor": zlib.compressobj,
    "queue": queue.SimpleQueue,
    "code": lambda: generator.__code__,
    "super": lambda: super(Own, Own()),
    "property": lambda: Properties.weights,
    "class method": lambda: dict.__dict__["fromkeys"],
    "slot": lambda: Slots.__dict__["value"],
    "cell": lambda: types.CellType(1),
    "traceback": traceback_of,
    "logger": lambda: logging.getLogger("made"),
    "handler": logging.StreamHandler,
    "iterator": lambda: iter([1]),
    "zip": lambda: zip([1], [2], strict=True),
    "type variable": lambda: typing.TypeVar("Made"),
    "cached function": lambda: functools.lru_cache(generator),
    "dispatcher": lambda: functools.singledispatch(generator),
    "mock": mock.MagicMock,
    "tensor": lambda: torch.zeros(3, requires_grad=True),
    "tensor with a hook": hooked,
    "module of torch": lambda: torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2)),
    "array of objects": lambda: numpy.array([threading.Lock()], dtype=object),
    "view": lambda: numpy.broadcast_to(numpy.zeros(1), (1000, 1000)),
    "random": random.SystemRandom,
    "huge number": lambda: 10**5000,
    "endless dictionary": endless_dictionary,
    "selector": selectors.DefaultSelector,
    "user string": lambda: collections.UserString("x"),
    "chain of maps": lambda: collections.ChainMap({}, {}),
    "generator's class": lambda: types.GeneratorType,
    "module proxy": lambda: sys.modules[__name__],
    "deployment": lambda: serve.deployment(Slots),
    "application": lambda: serve.deployment(Slots).bind(),
}
