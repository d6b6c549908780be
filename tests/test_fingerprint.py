"""What counts as a change, and of what: fingerprints and the plans made of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.digests import Units
from workbench.core.fingerprint import Fingerprint, Parts, fingerprint
from workbench.core.plan import compare, make_plan
from workbench.errors import PlanError

CELL = '''
import functools
from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field, field_validator
from ray import serve

PROMPT = "Answer: {question}"
STOP = {"a", "the", "of", "to"}
LIMIT = 3

def clean(text: str) -> str:
    """Clean a text."""
    return " ".join(w for w in text.split() if w not in STOP)

def load(path):
    return [path] * LIMIT

def user(token: str = "none") -> str:
    return token

class Question(BaseModel):
    text: str = Field(min_length=1)

    @field_validator("text", mode="before")
    @classmethod
    def strip(cls, value):
        return value.strip()

class Base:
    greeting = "hello"

    def greet(self):
        return self.greeting

api = FastAPI(title="Service")

@api.middleware("http")
async def header(request, call_next):
    response = await call_next(request)
    response.headers["x-a"] = "1"
    return response

class Service(Base):
    size = 4

    def __init__(self, path="weights"):
        self.weights = load(path)
        self._warm()

    def _warm(self):
        self.count = self.size

    def helper(self, text):
        return clean(text)

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.05)
    async def batched(self, texts):
        return [self.helper(t) for t in texts]

    @property
    def loud(self):
        return self.greet().upper()

    @functools.cached_property
    def vocabulary(self):
        return {"words": 1}

    @api.post("/ask")
    async def ask(self, question: Question, who: str = Depends(user)) -> dict:
        return {"prompt": PROMPT.format(question=question.text), "who": who}
'''


def taken(source: str = CELL, kwargs: dict[str, Any] | None = None, number: int = 1) -> Fingerprint:
    """The fingerprint of the class that a cell defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, f"<cell {number}>", "exec", dont_inherit=True), names)
    parts = Parts("asgi_class", names["Service"], names["api"], (), kwargs or {})
    return fingerprint(parts, Units(), {"num_gpus": 0.5}, {"num_replicas": 2})


SWAPS = {
    "Answer: {question}": "Say: {question}",
    '"a", "the", "of", "to"': '"a", "the", "of"',
    "x-a": "x-b",
    'title="Service"': 'title="Other"',
    'token: str = "none"': 'token: str = "nobody"',
    "min_length=1": "min_length=2",
    'mode="before"': 'mode="after"',
    "value.strip()": "value.lstrip()",
    "return clean(text)": "return clean(text) + '!'",
    "Clean a text.": "Clean the text.",
    "max_batch_size=4": "max_batch_size=8",
    "batch_wait_timeout_s=0.05": "batch_wait_timeout_s=0.1",
    ".upper()": ".lower()",
    'greeting = "hello"': 'greeting = "hi"',
    "return self.greeting": "return self.greeting * 2",
    '"/ask"': '"/query"',
    "-> dict:\n        return {": "-> dict | None:\n        return {",
    '"who": who': '"whom": who',
    "async def ask(self, question: Question": "async def ask(self, question: Question | None",
}
REPLACES = {
    "LIMIT = 3": "LIMIT = 4",
    "[path] * LIMIT": "[path, path] * LIMIT",
    'path="weights"': 'path="other"',
    "self.weights = load(path)": "self.weights = tuple(load(path))",
    "self.count = self.size": "self.count = self.size + 1",
    "size = 4": "size = 5",
    '{"words": 1}': '{"words": 2}',
    "class Service(Base)": "class Service(Base, dict)",
}


@pytest.mark.parametrize("old", SWAPS)
def test_an_edit_outside_the_constructors_reach_is_a_swap(old: str) -> None:
    """Whatever may change behaviour is noticed, and costs no more than it must."""
    assert old in CELL
    action = compare("Service", taken(), taken(CELL.replace(old, SWAPS[old]), number=2))

    assert action.kind == "swap", action


@pytest.mark.parametrize("old", REPLACES)
def test_an_edit_within_the_constructors_reach_is_a_replace(old: str) -> None:
    """The live object would not be what the new constructor makes."""
    assert old in CELL
    action = compare("Service", taken(), taken(CELL.replace(old, REPLACES[old]), number=2))

    assert action.kind == "replace", action


def test_the_reason_names_what_was_edited() -> None:
    """The plan speaks of the user's own names."""
    swap = compare("Service", taken(), taken(CELL.replace('"who": who', '"whom": who')))
    replace = compare("Service", taken(), taken(CELL.replace("self.size", "self.size + 1")))

    assert swap.reason == "`ask` changed, what its state depends on did not"
    assert replace.reason == "`_warm` changed, which its state depends on"


def lines_between(draw: st.DataObject) -> str:
    """The cell with comments and blank lines put between its lines."""
    out = []
    for line in CELL.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        extra = draw.draw(st.sampled_from(["", "", "", "blank", "comment"]))
        if extra and not line.lstrip().startswith(("@", ")")):
            out.append(
                "" if extra == "blank" else f"{indent}# {draw.draw(st.text('ab', max_size=3))}"
            )
        out.append(line)
    return "\n".join(out)


@settings(max_examples=25)
@given(st.data())
def test_comments_blank_lines_and_cell_numbers_are_not_seen(data: st.DataObject) -> None:
    """A cell that was only tidied leaves everything alone."""
    tidied = taken(lines_between(data), number=data.draw(st.integers(2, 99)))

    assert tidied == taken()


def test_a_cell_that_is_run_again_is_the_same() -> None:
    """Also in the same namespace, where FastAPI's routes and Ray's wrappers are made anew."""
    assert taken(number=1) == taken(number=1)


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_other_kernels_and_hash_seeds_agree(seed: str) -> None:
    """A restarted kernel must see that nothing changed."""
    code = (
        "import json, dataclasses; from tests.test_fingerprint import taken; "
        "print(json.dumps(dataclasses.asdict(taken()), sort_keys=True))"
    )
    root = Path(__file__).parent.parent
    env = {"PYTHONHASHSEED": seed, "PATH": "", "HOME": str(root)}
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, env=e, capture_output=True, text=True
        ).stdout
        for e in (env, {**env, "PYTHONHASHSEED": "5"})
    }

    assert len(texts) == 1
    assert "lifespan" in texts.pop()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.sets(st.text(max_size=3), max_size=4)
    ),
    max_leaves=8,
)


def shown(value: Any) -> tuple[Any, ...]:
    """A value with the types of its parts, so that 1, True and 1.0 differ."""
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(shown, value))
    if isinstance(value, dict):
        return ("dict", *((shown(k), shown(v)) for k, v in value.items()))
    if isinstance(value, set):
        return ("set", frozenset(map(shown, value)))
    return (type(value).__name__, repr(value))


@settings(max_examples=300)
@given(VALUES, VALUES)
def test_values_have_one_digest_exactly_when_they_are_alike(a: Any, b: Any) -> None:
    """Arguments and globals are compared by value, not by identity."""
    same = Units().of([a]).digest == Units().of([b]).digest

    assert same == (shown(a) == shown(b))


def test_values_that_hold_themselves_have_a_digest() -> None:
    """Recursive structures end."""
    one: list[Any] = [1]
    one.append(one)
    other: list[Any] = [1]
    other.append(other)

    assert Units().of(one).digest == Units().of(other).digest


KEEPING = (
    *("KEPT.append(self)", "self.me = self", "KEPT[self] = 1", "atexit.register(self.ask, self)"),
    *("setattr(self, NAME, 1)", "getattr(self, NAME)()", "print(file=self)", "keep(self)"),
    *("x = self; x.ask", "type(self)(1)", "(lambda: self)()", "copy.copy(self)"),
)
HARMLESS = (
    *("id(self)", "print(self)", "logging.info('%s', self)", "LOG.warning('%s', self)"),
    *(
        "super().__init__()",
        "object.__init__(self)",
        "Base.__init__(self)",
        "isinstance(self, Base)",
    ),
    *("print(f'{self} {self!r}')", "self.title = '%s' % self", "self.kind = type(self).__name__"),
    *("setattr(self, 'n', 1)", "self.same = self is None", "look(self)", "look(it=self)"),
    *("super(Service, self).__init__()", "self._warm() if self.size else print(self)"),
)
HANDING = CELL.replace("self._warm()", "DOES").replace(
    "class Question",
    """import atexit, copy, logging
NAME, KEPT, LOG = "ask", [], logging.getLogger("service")

def keep(it):
    KEPT.append(it)

def look(it):
    return it.size, str(it)

class Question""",
    1,
)


@pytest.mark.parametrize("does", KEEPING)
def test_self_that_is_handed_out_reaches_every_method(does: str) -> None:
    """Nobody can tell what other code does with it, so every edit needs a new object."""
    cell = HANDING.replace("DOES", does)
    action = compare("Service", taken(cell), taken(cell.replace('"who": who', '"whom": who')))

    assert action.kind == "replace"


@pytest.mark.parametrize("does", HARMLESS)
def test_self_that_is_only_looked_at_does_not(does: str) -> None:
    """What keeps nothing of an object, and calls nothing but what is known, changes no state."""
    cell = HANDING.replace("DOES", does)
    action = compare("Service", taken(cell), taken(cell.replace('"who": who', '"whom": who')))

    assert action.kind == "swap", action.reason


def test_what_looks_at_self_counts_with_what_it_uses() -> None:
    """The text of an object, and what a helper uses of it, is part of what the constructor did."""
    shown = HANDING.replace("DOES", "self.title = str(self)").replace(
        "    @property", "    def __str__(self):\n        return self.greet()\n\n    @property"
    )
    helped = HANDING.replace("DOES", "self.title = look(self)")
    edits = [(shown, "return self.greeting"), (helped, "return it.size, str(it)")]

    kinds = [
        compare("S", taken(cell), taken(cell.replace(old, f"{old} + (1,)"))).kind
        for cell, old in edits
    ]
    assert kinds == ["replace", "replace"]


UNSOUND = {
    "slots": ("class Base:\n", "class Base:\n    __slots__ = ('x',)\n", "__slots__"),
    "async": (
        "def helper(self, text):",
        "async def helper(self, text):",
        "turned from sync to async",
    ),
    "hook": (
        "    def helper(",
        "    def check_health(self):\n        pass\n\n    def helper(",
        "only when",
    ),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_code_that_cannot_be_exchanged_says_why(case: str) -> None:
    """In doubt new processes start, with the reason."""
    old, new, said = UNSOUND[case]
    before = taken() if case in ("async", "hook") else taken(CELL.replace(old, new))
    after = CELL.replace(old, new).replace('"who": who', '"whom": who')
    action = compare("Service", before, taken(after))

    assert action.kind == "replace"
    assert said in action.reason


def test_options_are_told_apart() -> None:
    """Resources belong to the process; the others are applied to a running deployment."""
    base = taken()
    more = Fingerprint(**{**vars(base), "light": {"num_replicas": "other"}})
    gpus = Fingerprint(**{**vars(base), "actor": {"num_gpus": "other"}})

    assert (compare("S", base, more).kind, compare("S", base, more).options) == ("tune", True)
    assert compare("S", base, gpus).kind == "replace"
    assert compare("S", base, base).kind == "keep"


PLAIN = Fingerprint("plain A", {"`f`": "1"}, {})
PRINTS = st.builds(
    Fingerprint,
    kind=st.sampled_from(["plain A", "plain B"]),
    code=st.dictionaries(st.sampled_from("fgh"), st.sampled_from("12"), max_size=3),
    state=st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2),
    actor=st.dictionaries(st.just("num_gpus"), st.sampled_from("12")),
    light=st.dictionaries(st.just("num_replicas"), st.sampled_from("12")),
    fixed=st.sampled_from(["", "because"]),
)


@given(PRINTS, PRINTS)
def test_a_plan_keeps_exactly_what_is_the_same(old: Fingerprint, new: Fingerprint) -> None:
    """And it never swaps where state, resources or kind differ."""
    kind = compare("A", old, new).kind
    differs = (old.kind, old.state, old.actor) != (new.kind, new.state, new.actor)

    assert (kind == "keep") == (not differs and (old.code, old.light) == (new.code, new.light))
    assert not (kind in ("swap", "tune") and differs)
    assert not (kind == "swap" and (old.fixed or new.fixed))


@given(
    st.dictionaries(st.sampled_from("ABC"), PRINTS, min_size=1),
    st.dictionaries(st.sampled_from("ABC"), st.none() | PRINTS),
)
def test_every_deployment_has_one_action(
    new: dict[str, Fingerprint], old: dict[str, Fingerprint | None]
) -> None:
    """What is gone is removed, what is new is added, what is unknown is replaced."""
    plan = make_plan("app", "/app", new, old)
    kinds = {a.deployment: a.kind for a in plan.actions}

    assert set(kinds) == set(new) | set(old)
    assert {n for n, k in kinds.items() if k == "add"} == set(new) - set(old)
    assert {n for n, k in kinds.items() if k == "remove"} == set(old) - set(new)
    assert all(kinds[n] == "replace" for n, found in old.items() if found is None and n in new)


def test_modes_force_and_refuse() -> None:
    """`replace` gives new processes to all; `swap` refuses what would need them."""
    state = Fingerprint("plain A", {"`f`": "1"}, {"`__init__`": "2"})

    assert make_plan("a", "/a", {"A": PLAIN}, {"A": PLAIN}, "replace").of("replace") == ["A"]
    with pytest.raises(PlanError, match="mode='swap' is refused: 'A' needs replace: `__init__`"):
        make_plan("a", "/a", {"A": state}, {"A": PLAIN}, "swap")
    with pytest.raises(PlanError, match="mode='fast' is unknown"):
        make_plan("a", "/a", {"A": PLAIN}, {"A": PLAIN}, "fast")
