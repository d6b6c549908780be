"""Classes that resist being looked at: what serves goes on, and the reason is said."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import workbench
from workbench.core.plan import KEEP, REPLACE, SWAP
from workbench.errors import PlanError

from .book import Edit, Flow, opened
from .rungs import graph, plan_of
from .words import edit, flow, service

VALUE = service("VALUE is not None", init="self.x = 1", more="def m(self):\n    return 1")
# Values that cannot be compared: how each is made. All can be sent to a replica.
ODD = {
    "another pickle each time": (
        "import time\nclass Odd:\n    def __reduce__(self):\n"
        "        return Odd, (), {'at': time.perf_counter_ns()}\nVALUE = Odd()"
    ),
    "equal to nothing": (
        "class Odd:\n    def __eq__(self, other):\n        raise RuntimeError('never')\n"
        "    __hash__ = None\nVALUE = Odd()"
    ),
    "without a text": (
        "class Odd:\n    def __repr__(self):\n        raise RuntimeError('never')\nVALUE = Odd()"
    ),
    "of an attribute for every name": (
        "class Odd:\n    def __getattr__(self, name):\n"
        "        if name.startswith('__'):\n            raise AttributeError(name)\n"
        "        return self\nVALUE = Odd()"
    ),
}
UNSENDABLE = (
    "class Odd:\n    def __reduce_ex__(self, protocol):\n        raise ValueError('not me')\n"
    "VALUE = Odd()"
)
HOLDS = """
@serve.deployment(ray_actor_options={"num_cpus": 0})
@serve.ingress(api)
class Service:
    @api.get("/answer")
    async def answer(self, seconds: float = 0.0):
        item = Item()
        await asyncio.sleep(seconds)
        return [item.said(), isinstance(item, Item)]
"""
ITEM = (
    "@dataclasses.dataclass\nclass Item:\n    n: int = 1\n    def said(self):\n        return 'one'"
)


def noted(made: str) -> Flow:
    """A notebook with such a value, in which a method is then edited."""
    return flow("odd", edit("service", "return 1", "return 2"), value=made, service=VALUE,
                rung=SWAP, answer=True)  # fmt: skip


@pytest.mark.parametrize("made", ODD.values(), ids=ODD)
def test_a_value_that_cannot_be_compared_costs_no_more_than_a_swap(
    made: str, tmp_path: Path
) -> None:
    """Whatever resists is taken for changed, never for the same, and stops no deploy."""
    with opened(noted(made), tmp_path) as book:
        before = graph(book.target())
        unchanged = plan_of(before, graph(book.target()))
        for each in noted(made).edits:
            book.edit(each)
        plan = plan_of(before, graph(book.target()))

    assert [action.kind for action in plan.actions] in ([SWAP], [REPLACE])
    assert [action.kind for action in unchanged.actions] in ([KEEP], [SWAP], [REPLACE])
    assert "changed" in plan.actions[0].reason


def test_a_value_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    """The message says which one, where it is used, and what to do."""
    with opened(noted("VALUE = 1"), tmp_path) as book:
        book.edit(Edit("value", "VALUE = 1", UNSENDABLE))
        with pytest.raises(PlanError) as refused:
            graph(book.target())

    assert "'VALUE'" in str(refused.value)
    assert "not me" in str(refused.value)


@pytest.mark.ray
def test_a_class_is_defined_anew_while_a_request_holds_an_object_of_it(
    name: str, tmp_path: Path
) -> None:
    """The request ends with the class that it began with; the next one has the new one."""
    asked = flow("held", item=ITEM, service=HOLDS, rung=SWAP, answer=None)
    with opened(asked, tmp_path) as book:
        app = workbench.deploy(book.target(), name=name)
        held: list[Any] = []
        ask = threading.Thread(
            target=lambda: held.append(app.get("/answer", params={"seconds": 3}).json())
        )
        ask.start()
        book.edit(Edit("item", "'one'", "'two'"))
        workbench.deploy(book.target(), name=name)
        answer = app.get("/answer").json()
        ask.join()

    assert app.history()[-1].deployments[0].action == SWAP
    assert answer == ["two", True]
    assert held[0][0] in ("one", "two")  # it may look its class up before or after the edit
    assert held[0][1] is True or held[0][0] == "one"


@pytest.mark.ray
def test_what_serves_goes_on_when_a_class_cannot_be_sent(name: str, tmp_path: Path) -> None:
    """A refused deploy changes nothing."""
    asked = flow("refused", item=ITEM, service=HOLDS, rung=SWAP, answer=None)
    with opened(asked, tmp_path) as book:
        app = workbench.deploy(book.target(), name=name)
        book.edit(Edit("item", ITEM, UNSENDABLE.replace("VALUE", "Item")))
        with pytest.raises(PlanError, match="not me"):
            workbench.deploy(book.target(), name=name)

    assert app.get("/answer").json() == ["one", True]
