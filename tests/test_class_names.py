"""A class of the notebook has one name, and what took its place has that too."""

from __future__ import annotations

import pickle

import pytest
from ray import cloudpickle

from workbench.adapters import class_names

from .notebook import Notebook

CELL = "class Item:\n    def __init__(self, n=1):\n        self.n = n\n"


@pytest.fixture
def digest(request: pytest.FixtureRequest) -> str:
    """A digest of this test alone."""
    return str(request.node.name)


def test_a_cell_that_ran_again_takes_the_name(digest: str) -> None:
    """Replicas know the class by it, whatever object it is in the notebook."""
    book = Notebook()
    first = book.run(CELL)["Item"]
    class_names.name(first, digest, book.names)
    sent = cloudpickle.dumps(first())

    again = book.run(CELL)["Item"]

    assert class_names.name(again, digest, book.names) == (digest, "")
    assert type(pickle.loads(sent)) is again


def test_a_class_keeps_its_name_when_what_it_uses_changes(digest: str) -> None:
    """Another application may know it by that name, and was not deployed again."""
    book = Notebook()
    cls = book.run(CELL)["Item"]
    class_names.name(cls, digest, book.names)

    assert class_names.name(cls, "another digest", book.names) == (digest, "")


def test_equal_classes_of_two_namespaces_are_two(digest: str) -> None:
    """Two front ends' namespaces, two scripts, two tests."""
    one, other = Notebook(), Notebook()
    class_names.name(one.run(CELL)["Item"], digest, one.names)

    name, number = class_names.name(other.run(CELL)["Item"], digest, other.names)

    assert (name, number) == (f"{digest} 2", "2")
    assert class_names.name(other.run(CELL)["Item"], digest, other.names) == (name, number)


def test_what_a_factory_makes_twice_is_two_classes(digest: str) -> None:
    """They are equal and stand beside each other under two names."""
    book = Notebook()
    book.run("def make():\n    class Made:\n        pass\n    return Made\nA, B = make(), make()")

    names = [class_names.name(book.names[each], digest, book.names)[0] for each in "AB"]

    assert names == [digest, f"{digest} 2"]


def test_a_nested_class_stands_where_its_outer_one_does(digest: str) -> None:
    """It is found by its whole name."""
    text = "class Outer:\n    class Inner:\n        pass\n"
    one, other = Notebook(), Notebook()
    class_names.name(one.run(text)["Outer"].Inner, digest, one.names)

    assert class_names.name(one.run(text)["Outer"].Inner, digest, one.names)[1] == ""
    assert class_names.name(other.run(text)["Outer"].Inner, digest, other.names)[1] == "2"
