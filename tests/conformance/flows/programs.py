"""Programs that nobody wrote: definitions that use each other, cut into cells, and edits of them.

Every definition turns a number into a number, so that any may use any earlier one, and a service
that uses some of them answers with numbers that tell which code ran.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

IMPORTS = """
import collections, contextlib, dataclasses, decimal, enum, functools, re, types, typing
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
api = FastAPI()
"""
# Text by kind: NAME is the definition's own name, USE(x) what it uses, K its number.
FUNCTIONS = {
    "plain": "def NAME(x):\n    return USE(x) + K",
    "default": "def NAME(x, d=K):\n    return USE(x) + d",
    "keyword": "def NAME(x, *, d=K):\n    return USE(x) + d",
    "cache": "@functools.cache\ndef NAME(x):\n    return USE(x) + K",
    "lru_cache": "@functools.lru_cache(maxsize=2)\ndef NAME(x):\n    return USE(x) + K",
    "lambda": "NAME = lambda x: USE(x) + K",
    "lambdas": "NAME, NAME_other = (lambda x: USE(x) + K), (lambda x: x - K)",
    "partial": "NAME = functools.partial(lambda k, x: USE(x) + k, K)",
    "closure": (
        "def make_NAME(k):\n    def inner(x):\n        return USE(x) + k\n    return inner\n"
        "NAME = make_NAME(K)"
    ),
    "wraps": (
        "def on_NAME(f):\n    @functools.wraps(f)\n    def w(x):\n        return f(x) + K\n"
        "    return w\n\n@on_NAME\ndef NAME(x):\n    return USE(x)"
    ),
    "bare": (
        "def on_NAME(f):\n    def w(*args):\n        return f(*args) + K\n    return w\n\n"
        "@on_NAME\ndef NAME(x):\n    return USE(x)"
    ),
    "argument": (
        "def on_NAME(k):\n    return lambda f: lambda x: f(x) + k\n\n"
        "@on_NAME(K)\ndef NAME(x):\n    return USE(x)"
    ),
    "nested": "def NAME(x):\n    def inner():\n        return USE(x) + K\n    return inner()",
    "comprehension": "def NAME(x):\n    return sum([USE(x) for _ in range(1)]) + K",
    "generator": (
        "def all_NAME(x):\n    yield USE(x)\n    yield K\n\n"
        "def NAME(x):\n    return sum(all_NAME(x))"
    ),
    "try": "def NAME(x):\n    try:\n        return USE(x) + [][0]\n    except IndexError:\n"
    "        return USE(x) + K",
    "match": "def NAME(x):\n    match {'x': USE(x)}:\n        case {'x': y}:\n"
    "            return y + K",
    "walrus": "def NAME(x):\n    return y + K if (y := USE(x)) is not None else 0",
    "with": "def NAME(x):\n    with contextlib.suppress(KeyError):\n        return USE(x) + K",
    "recursive": "def NAME(x, n=2):\n    return USE(x) + K if n == 0 else NAME(x, n - 1)",
    "import": "def NAME(x):\n    from math import floor\n    return floor(USE(x)) + K",
    "dispatch": (
        "@functools.singledispatch\ndef NAME(x):\n    return 0\n\n"
        "@NAME.register\ndef _(x: int):\n    return USE(x) + K"
    ),
    "callable": (
        "class Call_NAME:\n    def __init__(self, k):\n        self.k = k\n"
        "    def __call__(self, x):\n        return USE(x) + self.k\nNAME = Call_NAME(K)"
    ),
    "attribute": "def NAME(x):\n    return USE(x) + NAME.k\nNAME.k = K",
    "manager": (
        "@contextlib.contextmanager\ndef in_NAME(x):\n    yield USE(x) + K\n\n"
        "def NAME(x):\n    with in_NAME(x) as y:\n        return y"
    ),
    "eager": "def NAME(x, d=USE(K)):\n    return x + d",
}
CLASSES = {
    "method": "class NAME:\n    def val(self, x):\n        return USE(x) + K",
    "attribute_of_class": "class NAME:\n    k = K\n    def val(self, x):\n"
    "        return USE(x) + self.k",
    "constructor": (
        "class NAME:\n    def __init__(self):\n        self.k = K\n"
        "    def val(self, x):\n        return USE(x) + self.k"
    ),
    "dataclass": (
        "@dataclasses.dataclass\nclass NAME:\n    k: int = K\n"
        "    def val(self, x):\n        return USE(x) + self.k"
    ),
    "frozen": (
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass NAME:\n    k: int = K\n"
        "    ks: list = dataclasses.field(default_factory=lambda: [K])\n"
        "    def val(self, x):\n        return USE(x) + self.ks[0]"
    ),
    "model": (
        "class NAME(BaseModel):\n    k: int = K\n    def val(self, x):\n"
        "        return USE(x) + self.k"
    ),
    "property": (
        "class NAME:\n    @property\n    def k(self):\n        return K\n"
        "    def val(self, x):\n        return USE(x) + self.k"
    ),
    "cached": (
        "class NAME:\n    @functools.cached_property\n    def k(self):\n        return K\n"
        "    def val(self, x):\n        return USE(x) + self.k"
    ),
    "static": "class NAME:\n    @staticmethod\n    def val(x):\n        return USE(x) + K",
    "class_method": "class NAME:\n    k = K\n    @classmethod\n    def val(cls, x):\n"
    "        return USE(x) + cls.k",
    "factory": (
        "def make_NAME(k):\n    class Made:\n        def val(self, x):\n"
        "            return USE(x) + k\n    return Made\nNAME = make_NAME(K)"
    ),
    "meta": (
        "class Meta_NAME(type):\n    def __call__(cls):\n        made = super().__call__()\n"
        "        made.k = K\n        return made\n\nclass NAME(metaclass=Meta_NAME):\n"
        "    def val(self, x):\n        return USE(x) + self.k"
    ),
    "generic": (
        "T_NAME = typing.TypeVar('T_NAME')\nclass NAME(typing.Generic[T_NAME]):\n"
        "    def val(self, x: T_NAME) -> T_NAME:\n        return USE(x) + K"
    ),
}
OTHERS = {
    "enum": (
        "class NAME(enum.Enum):\n    A = K\n    def val(self, x):\n"
        "        return USE(x) + self.value"
    ),
    "named_tuple": (
        "class NAME(typing.NamedTuple):\n    k: int = K\n"
        "    def val(self, x):\n        return USE(x) + self.k"
    ),
    "int": "NAME = K",
    "text": "NAME = 'a' * K",
    "list": "NAME = [K, 1]",
    "dict": "NAME = {'a': K, 'b': [1]}",
    "set": "NAME = {K, -1, -2}",
    "regex": "NAME = re.compile('a{K}')",
    "decimal": "NAME = decimal.Decimal(K)",
    "deque": "NAME = collections.deque([K], maxlen=3)",
    "namespace": "NAME = types.SimpleNamespace(k=K)",
    "mapping": "NAME = types.MappingProxyType({'a': K})",
    "subclass": "class NAME(BASE):\n    def val(self, x):\n        return super().val(x) + K",
    "instance": "NAME = BASE()",
    "holder": "NAME = {'all': [BASE(), K]}",
}
SPOKEN = {
    "enum": "NAME.A.val({x})",
    "named_tuple": "NAME().val({x})",
    "int": "(NAME + {x})",
    "text": "(len(NAME) + {x})",
    "list": "(sum(NAME) + {x})",
    "dict": "(NAME['a'] + {x})",
    "set": "(max(NAME) + {x})",
    "regex": "(len(NAME.pattern) + int(NAME.pattern[2:-1]) + {x})",
    "decimal": "(int(NAME) + {x})",
    "deque": "(sum(NAME) + {x})",
    "namespace": "(NAME.k + {x})",
    "mapping": "(NAME['a'] + {x})",
    "subclass": "NAME().val({x})",
    "instance": "NAME.val({x})",
    "holder": "(NAME['all'][0].val({x}) + NAME['all'][1])",
}
TEXTS = {**FUNCTIONS, **CLASSES, **OTHERS}
OF_A_CLASS = ("subclass", "instance", "holder")


@dataclass(frozen=True)
class Definition:
    """One definition.

    Attributes:
        name: its name.
        kind: key of `TEXTS`.
        k: its number.
        uses: number of the definition that it uses, or -1.
        comment: a comment that stands above it.
    """

    name: str
    kind: str
    k: int
    uses: int = -1
    comment: str = ""


@dataclass(frozen=True)
class Program:
    """A notebook.

    Attributes:
        definitions: what it defines, in order.
        cuts: numbers of the definitions that begin a cell.
        target: "ingress", "app" or "plain".
        uses: numbers of what the constructor, a method and a route use; -1 for nothing.
        numbers: the service's own numbers: constructor, method, class attribute, route.
        base: number of the service's base class, or -1.
        more: cells that change lists in place, by the number of the list.
    """

    definitions: tuple[Definition, ...]
    cuts: frozenset[int]
    target: str
    uses: tuple[int, int, int]
    numbers: tuple[int, int, int, int]
    base: int = -1
    more: tuple[tuple[int, int], ...] = ()

    def cell_of(self, number: int) -> str:
        """Name of the cell that a definition stands in."""
        return f"cell {max(n for n in {0, *self.cuts} if n <= number)}"

    def cells(self) -> dict[str, str]:
        """Text by the name of the cell."""
        found = {"imports": IMPORTS}
        for number, each in enumerate(self.definitions):
            name = self.cell_of(number)
            text = f"{each.comment}{self._text(each)}"
            found[name] = f"{found[name]}\n\n{text}" if name in found else text
        found["service"] = SERVICES[self.target](self)
        for n, (number, k) in enumerate(self.more):
            found[f"more {n}"] = f"{self.definitions[number].name}.append({k})"
        return found

    def _text(self, each: Definition) -> str:
        text = re.sub(r"\bK\b", str(each.k), TEXTS[each.kind].replace("NAME", each.name))
        if each.kind in OF_A_CLASS:
            return text.replace("BASE", self.definitions[each.uses].name)
        for argument in ("x", str(each.k)):
            text = text.replace(f"USE({argument})", self.said(each.uses, argument))
        return text

    def said(self, number: int, argument: str) -> str:
        """The expression that uses a definition."""
        if number < 0:
            return argument
        used = self.definitions[number]
        call = "NAME({x})" if used.kind in FUNCTIONS else SPOKEN.get(used.kind, "NAME().val({x})")
        return call.replace("NAME", used.name).replace("{x}", argument)

    def reached(self, first: Sequence[int]) -> set[int]:
        """Numbers of the definitions that some may use, these included."""
        found, left = set(), [n for n in first if n >= 0]
        while left:
            number = left.pop()
            if number >= 0 and number not in found:
                found.add(number)
                left.append(self.definitions[number].uses)
        return found

    def in_the_state(self, number: int) -> bool:
        """Whether the constructor may come to use a definition."""
        return self.target != "app" and number in self.reached([self.uses[0], self.base])

    def read_early(self, number: int) -> bool:
        """Whether a definition is read when another one's cell is run."""
        early = [each.uses for each in self.definitions if each.kind == "eager"]
        return number in self.reached(early)

    def stale(self, number: int) -> set[str]:
        """Cells that hold what an older run of a definition gave, when that is run again."""
        held = {number}
        for n, each in enumerate(self.definitions):
            direct = each.kind in OF_A_CLASS and each.uses in held
            if direct or (each.kind == "eager" and held & self.reached([each.uses])):
                held.add(n)
        found = {self.cell_of(n) for n in held}
        return found | ({"service"} if self.base in held else set())


def _ingress(program: Program) -> str:
    base = f"({program.definitions[program.base].name})" if program.base >= 0 else ""
    i, m, a, r = program.numbers
    return textwrap.dedent(
        f"""
        @serve.deployment(ray_actor_options={{"num_cpus": 0}})
        @serve.ingress(api)
        class Service{base}:
            attribute = {a}
            def __init__(self):
                super().__init__()
                self.state = {program.said(program.uses[0], "1")} + {i}
            def method(self, x):
                return {program.said(program.uses[1], "x")} + {m}
            @api.get("/a")
            def a(self):
                return [self.state, self.method(1), self.attribute{_of_base(program)}]
            @api.get("/b")
            def b(self, n: int = {r}):
                return {program.said(program.uses[2], "n")}
        """
    )


def _of_base(program: Program) -> str:
    return ", self.val(2)" if program.base >= 0 else ""


def _plain(program: Program) -> str:
    text = _ingress(program)
    for line in ("@serve.ingress(api)\n", '    @api.get("/a")\n', '    @api.get("/b")\n'):
        text = text.replace(line, "")
    return text


def _app(program: Program) -> str:
    _, m, _, r = program.numbers
    return textwrap.dedent(
        f"""
        Service = FastAPI()
        @Service.get("/a")
        def a():
            return {program.said(program.uses[1], "1")} + {m}
        @Service.get("/b")
        def b(n: int = {r}):
            return {program.said(program.uses[2], "n")}
        """
    )


SERVICES = {"ingress": _ingress, "plain": _plain, "app": _app}
ASKS = {
    "ingress": ("GET /a", "GET /b"),
    "app": ("GET /a", "GET /b"),
    "plain": ("call a", "call b"),
}
KS = st.integers(0, 9)
MORE = st.integers(1, 9)
EDITS = (
    *("number", "number", "number", "kind", "kind", "own number", "own number"),
    *("again", "cut", "comment", "restart", "more"),
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any program."""
    definitions: list[Definition] = []
    for number in range(draw(st.integers(1, 5))):
        definitions.append(draw(_definitions(number, definitions)))
    count = len(definitions)
    used = st.sampled_from([*range(count), *range(count), -1])
    target = draw(st.sampled_from(sorted(SERVICES)))
    bases = [n for n, d in enumerate(definitions) if d.kind in ("method", "static", "generic")]
    return Program(
        tuple(definitions),
        draw(st.frozensets(st.integers(0, count - 1))) | {0},
        target,
        (draw(used), draw(used), draw(used)),
        (draw(KS), draw(KS), draw(KS), draw(KS)),
        draw(st.sampled_from([-1, -1, *bases])) if target != "app" else -1,
    )


@st.composite
def _definitions(draw: st.DrawFn, number: int, before: list[Definition]) -> Definition:
    classes = [n for n, each in enumerate(before) if each.kind in CLASSES]
    kinds = [k for k in TEXTS if k not in OF_A_CLASS or classes]
    kind = draw(st.sampled_from(kinds))
    uses = st.sampled_from(classes) if kind in OF_A_CLASS else st.integers(-1, number - 1)
    name = f"C{number}" if "class NAME" in TEXTS[kind] else f"d{number}"
    return Definition(name, kind, draw(KS), draw(uses))


@dataclass(frozen=True)
class Step:
    """What a user does between two deploys.

    Attributes:
        program: the notebook after it.
        runs: names of the cells that are run, in this order.
        changes: whether behaviour may differ after it.
        state: whether what the constructor reaches may differ.
        restarts: whether the kernel is restarted first.
    """

    program: Program
    runs: tuple[str, ...]
    changes: bool
    state: bool
    restarts: bool = False


@st.composite
def steps(draw: st.DrawFn, program: Program) -> Step:
    """Any edit of a program."""
    what = draw(st.sampled_from(EDITS))
    number = draw(st.integers(0, len(program.definitions) - 1))
    each = program.definitions[number]
    if what == "number":
        return _edited(program, number, replace(each, k=(each.k + draw(MORE)) % 10))
    if what == "kind":
        group = next((g for g in (FUNCTIONS, CLASSES) if each.kind in g), {each.kind: ""})
        bases = ("method", "static", "generic")
        kinds = [k for k in group if k not in OF_A_CLASS and (program.base != number or k in bases)]
        kind = draw(st.sampled_from(kinds or [each.kind]))
        return _edited(program, number, replace(each, kind=kind))
    if what == "own number":
        place = draw(st.integers(0, 3))
        more = draw(MORE)
        numbers = [(k + more) % 10 if n == place else k for n, k in enumerate(program.numbers)]
        after = replace(program, numbers=tuple(numbers))
        return Step(after, ("service",), after != program, place == 0)
    if what == "cut":
        after = replace(program, cuts=(program.cuts ^ {number}) | {0})
        runs = {program.cell_of(number), after.cell_of(number)} & set(after.cells())
        return _run(after, runs, False, False)
    if what == "comment":
        definitions = list(program.definitions)
        definitions[number] = replace(each, comment=f"{each.comment}# why\n\n")
        after = replace(program, definitions=tuple(definitions))
        return _run(after, {after.cell_of(number)}, False, False)
    if what == "more" and each.kind == "list" and not program.read_early(number):
        after = replace(program, more=(*program.more, (number, draw(KS))))
        return Step(after, (f"more {len(program.more)}",), True, program.in_the_state(number))
    if what == "restart":
        return Step(program, (), False, False, restarts=True)
    cells = [name for name in program.cells() if not name.startswith("more")]
    return _run(program, {draw(st.sampled_from(cells))}, False, False)


def _edited(program: Program, number: int, new: Definition) -> Step:
    definitions = list(program.definitions)
    definitions[number] = new
    after = replace(program, definitions=tuple(definitions))
    return _run(after, after.stale(number), after != program, program.in_the_state(number))


def _run(program: Program, cells: set[str], changes: bool, state: bool) -> Step:
    """Run cells in the notebook's order, with those that change in place what they make anew."""
    made = {f"more {n}" for n, (at, _) in enumerate(program.more) if program.cell_of(at) in cells}
    runs = tuple(name for name in program.cells() if name in cells | made)
    return Step(program, runs, changes, state)


@st.composite
def sessions(draw: st.DrawFn) -> tuple[Program, list[Step]]:
    """A program, and one to three edits of it."""
    first = program = draw(programs())
    found = []
    for _ in range(draw(st.integers(1, 3))):
        found.append(draw(steps(program)))
        program = found[-1].program
    return first, found


def shown(program: Program) -> str:
    """The program as a notebook shows it."""
    cells = list(program.cells().items())[1:]
    return "\n".join(f"# --- {name}\n{text}" for name, text in cells)
