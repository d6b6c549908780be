"""Flows about global variables: their values, and state that is meant to stay."""

from __future__ import annotations

from .words import KEEP, REPLACE, SWAP, add, again, edit, flow, service

# Each kind of value: how it is made, an edit of that, what is asked of it, and the new answer.
VALUES = {
    "a prompt": ("'Answer: {q}'", "Answer", "Say", "VALUE.format(q='x')", "Say: x"),
    "a number": ("3", "3", "4", "VALUE", 4),
    "a float that equals a number": ("3", "3", "3.0", "str(VALUE)", "3.0"),
    "a list": ("[1, [2, 3]]", "3", "4", "VALUE", [1, [2, 4]]),
    "a dict's order": (
        "{'a': 1, 'b': 2}",
        "'a': 1, 'b': 2",
        "'b': 2, 'a': 1",
        "list(VALUE)",
        ["b", "a"],
    ),
    "a set": ("{'a', 'b', 'c'}", "'c'", "'d'", "sorted(VALUE)", ["a", "b", "d"]),
    "bytes": ("b'one'", "one", "two", "VALUE.decode()", "two"),
    "a numpy array": ("numpy.arange(3)", "arange(3)", "arange(2)", "VALUE.tolist()", [0, 1]),
    "a numpy generator": (
        "numpy.random.default_rng(1)",
        "(1)",
        "(2)",
        "int(VALUE.integers(1000)) != 473",
        True,
    ),
    "a torch module": (
        "torch.nn.Linear(1, 1).requires_grad_(False)",
        "Linear(1, 1)",
        "Linear(1, 2)",
        "list(VALUE.weight.shape)",
        [2, 1],
    ),
    "a regex": ("re.compile('a+')", "a+", "b+", "VALUE.findall('aab')", ["b"]),
    "a regex's flags": ("re.compile('a')", "'a'", "'a', re.I", "VALUE.findall('aA')", ["a", "A"]),
    "a path": ("pathlib.Path('one')", "one", "two", "str(VALUE)", "two"),
    "a date": ("datetime.datetime(2020, 1, 1)", "2020", "2021", "VALUE.year", 2021),
    "a uuid": ("uuid.UUID(int=1)", "1", "2", "VALUE.int", 2),
    "a Decimal": ("decimal.Decimal('1.0')", "1.0", "1.00", "str(VALUE)", "1.00"),
    "a Fraction": ("fractions.Fraction(1, 2)", "2", "3", "str(VALUE)", "1/3"),
    "a random.Random": ("random.Random(1)", "(1)", "(2)", "VALUE.getstate()[1][1] != 0", True),
    "a deque": ("collections.deque([1, 2], maxlen=3)", "3", "4", "VALUE.maxlen", 4),
    "a defaultdict": ("collections.defaultdict(list)", "list", "dict", "VALUE['x']", {}),
    "an OrderedDict": ("collections.OrderedDict(a=1)", "a=1", "b=1", "list(VALUE)", ["b"]),
    "a Counter": ("collections.Counter('aab')", "aab", "abb", "VALUE['b']", 2),
    "a namespace": ("types.SimpleNamespace(a=1)", "a=1", "a=2", "VALUE.a", 2),
    "a read-only mapping": ("types.MappingProxyType({'a': 1})", "1", "2", "VALUE['a']", 2),
    "a range": ("range(3)", "3", "2", "list(VALUE)", [0, 1]),
    "a slice": ("slice(1)", "1", "2", "'abc'[VALUE]", "ab"),
    "an itemgetter": ("operator.itemgetter('a')", "'a'", "'b'", "VALUE({'a': 1, 'b': 2})", 2),
    "a memory view of bytes": ("memoryview(b'ab').tobytes()", "ab", "ac", "VALUE.decode()", "ac"),
}
# Those that only are: they have no value that an edit could change.
THINGS = {
    "a Lock": ("threading.Lock()", "VALUE.locked()", False),
    "an RLock": ("threading.RLock()", "VALUE.acquire()", True),
    "a logger": ("logging.getLogger('mine')", "VALUE.name", "mine"),
    "a context variable": ("contextvars.ContextVar('v', default='x')", "VALUE.get()", "x"),
    "an Event": ("threading.Event()", "VALUE.is_set()", False),
    "a Semaphore": ("threading.Semaphore(2)", "VALUE.acquire()", True),
    "a thread's local": ("threading.local()", "hasattr(VALUE, 'x')", False),
    "an object of no class": ("object()", "VALUE is VALUE", True),
    "an asyncio Lock": ("asyncio.Lock()", "VALUE.locked()", False),
}
IMPORTS = """
import asyncio, collections, contextvars, datetime, decimal, fractions, logging, operator, pathlib
import random, re, threading, types, uuid
from fastapi import FastAPI
from ray import serve
"""


def imports(made: str) -> str:
    """The first cell, with the heavy modules where they are used."""
    heavy = [name for name in ("numpy", "torch") if name in made]
    return IMPORTS + "".join(f"import {name}\n" for name in heavy)


FLOWS = [
    *(
        flow(
            f"{what} in a variable is edited",
            edit("value", old, new),
            cells={"imports": imports(made)},
            value=f"VALUE = {made}",
            service=service(said),
            rung=SWAP,
            answer=answer,
        )
        for what, (made, old, new, said, answer) in VALUES.items()
    ),
    *(
        flow(
            f"{what} is made again, a method edited beside it",
            again("value"),
            edit("service", "'old'", "'new'"),
            cells={"imports": imports(made)},
            value=f"VALUE = {made}",
            service=service(f"[{said}, 'old']", init="self.here = VALUE is not None"),
            rung=SWAP,
            answer=[answer, "new"],
        )
        for what, (made, said, answer) in THINGS.items()
    ),
    *(
        flow(
            f"{what} is made again",
            again("value"),
            again("service"),
            cells={"imports": imports(made)},
            value=f"VALUE = {made}",
            service=service(f"{said} is not None"),
            rung=KEEP,
            answer=True,
        )
        for what, (made, _, _, said, _) in VALUES.items()
        if what in ("a regex", "a numpy array", "a set", "a defaultdict", "a uuid")
    ),
    flow(
        "a list in a variable is changed in place",
        add("new", "VALUE.append(4)"),
        value="VALUE = [1, 2]",
        service=service("VALUE"),
        rung=SWAP,
        answer=[1, 2, 4],
    ),
    flow(
        "a list inside a dict is changed in place",
        add("new", "VALUE['a'].append(4)"),
        value="VALUE = {'a': [1, 2]}",
        service=service("VALUE"),
        rung=SWAP,
        answer={"a": [1, 2, 4]},
    ),
    flow(
        "an array is changed in place",
        add("new", "VALUE[1] = 9"),
        cells={"imports": imports("numpy")},
        value="VALUE = numpy.arange(3)",
        service=service("VALUE.tolist()"),
        rung=SWAP,
        answer=[0, 9, 2],
    ),
    flow(
        "the weights of a torch module are changed in place",
        add("new", "with torch.no_grad():\n    VALUE.weight.fill_(2.0)"),
        cells={"imports": imports("torch")},
        value="VALUE = torch.nn.Linear(1, 1, bias=False)",
        service=service("VALUE.weight.tolist()"),
        rung=SWAP,
        answer=[[2.0]],
    ),
    flow(
        "an attribute of an object in a variable is changed",
        add("new", "VALUE.word = 'two'"),
        value="class Config:\n    word = 'one'\nVALUE = Config()",
        service=service("VALUE.word"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "the class of an object in a variable is edited",
        edit("value", "return 'one'", "return 'two'"),
        value="class Config:\n    def word(self):\n        return 'one'\nVALUE = Config()",
        service=service("VALUE.word()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a variable that the constructor reads is edited",
        edit("value", "3", "4"),
        value="SIZE = 3",
        service=service("len(self.x)", init="self.x = [0] * SIZE"),
        rung=REPLACE,
        answer=4,
    ),
    flow(
        "a variable that the constructor and a method read is run again",
        again("value"),
        value="SIZE = 3",
        service=service("[SIZE, len(self.x)]", init="self.x = [0] * SIZE"),
        rung=KEEP,
        answer=[3, 3],
    ),
    flow(
        "a counter that the replica changes goes on, a method edited beside it",
        edit("service", "'a'", "'b'"),
        value="COUNT = 0",
        service=service("global COUNT\nCOUNT += 1\nreturn ['a', COUNT]"),
        rung=SWAP,
        answer=["b", 2],
        fresh=["b", 1],
    ),
    flow(
        "a counter that the replica changes is edited",
        edit("value", "0", "10"),
        value="COUNT = 0",
        service=service("global COUNT\nCOUNT += 1\nreturn COUNT"),
        rung=SWAP,
        answer=11,
    ),
    flow(
        "what the constructor counted stays, a method edited beside it",
        edit("service", "'a'", "'b'"),
        service=service("self.n += 1\nreturn ['a', self.n]", init="self.n = 0"),
        rung=SWAP,
        answer=["b", 2],
        fresh=["b", 1],
    ),
    flow(
        "a list that the replica fills stays, a helper edited beside it",
        edit("helper", "'a'", "'b'"),
        value="SEEN = []",
        helper="def word():\n    return 'a'",
        service=service("SEEN.append(1)\nreturn [word(), len(SEEN)]"),
        rung=SWAP,
        answer=["b", 2],
        fresh=["b", 1],
    ),
    flow(
        "a variable's name changes",
        edit("value", "WORD", "TEXT"),
        edit("service", "WORD", "TEXT"),
        value="WORD = 'one'",
        service=service("WORD"),
        rung=SWAP,
        answer="one",
    ),
    flow(
        "a variable comes that another module had given",
        edit("service", "os.sep", "SEP"),
        value="SEP = '|'",
        service=service("os.sep"),
        rung=SWAP,
        answer="|",
    ),
    flow(
        "a type alias in a cell of its own is edited",
        edit("alias", "list[int]", "list[str]"),
        again("service"),
        alias="Items = list[int]",
        service=service(
            "str(typing.get_type_hints(self.said)['x'])", more="def said(self, x: Items): ..."
        ),
        rung=SWAP,
        answer="list[str]",
    ),
    flow(
        "a TypeVar and an alias of it are run again",
        again("alias"),
        again("service"),
        alias="T = typing.TypeVar('T')\nItems = dict[str, T]",
        service=service("str(Items[int])", more="def said(self, x: Items[int]): ..."),
        rung=KEEP,
        answer="dict[str, int]",
    ),
]
