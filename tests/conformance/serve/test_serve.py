"""Each case answers under `workbench.deploy` as it does under plain `serve.run`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .case import Case
from .cases import CASES
from .worlds import OURS, PLAIN, Group

AT_ONCE = 8


class Groups:
    """The group that is deployed now; another one takes its place when a case of it is asked."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        self._cases, self._folder = cases, folder
        self._now: Group | None = None

    def of(self, case: Case) -> Group:
        """The group that a case is in."""
        if self._now is None or case.name not in self._now.cases:
            self.end()
            first = next(n for n, each in enumerate(self._cases) if each.name == case.name)
            together = [each for each in self._cases[first : first + AT_ONCE] if not each.alone]
            self._now = Group([case] if case.alone else together, self._folder)
        return self._now

    def end(self) -> None:
        """Delete what is deployed."""
        if self._now is not None:
            self._now.end()
            self._now = None


@pytest.fixture(scope="module")
def groups(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Groups]:
    """Groups of the cases that this session runs."""
    callspecs = [getattr(each, "callspec", None) for each in request.session.items]
    cases = [spec.params["case"] for spec in callspecs if spec and "case" in spec.params]
    made = Groups([each for each in cases if isinstance(each, Case)], tmp_path_factory.mktemp("s"))
    yield made
    made.end()


def _params() -> list[Any]:
    long = pytest.mark.conformance
    return [pytest.param(c, id=c.name, marks=() if c.sample else long) for c in CASES]


@pytest.mark.ray
@pytest.mark.parametrize("case", _params())
def test_answers_are_those_of_plain_serve(case: Case, groups: Groups, record_property: Any) -> None:
    """Plain Ray Serve is the specification."""
    group = groups.of(case)

    plain, ours = group.ask(case, PLAIN), group.ask(case, OURS)

    outcome = "equal" if plain == ours else "listed" if case.listed else "wrong"
    record_property("outcome", outcome)
    assert plain == ours or case.listed, f"\nplain: {plain}\nours:  {ours}"
    assert plain != ours or not case.listed, f"listed, and yet equal: {ours}"
    raised = isinstance(plain, list) and plain[:1] == ["the questions raised"]
    assert not raised, plain


def test_names_are_unique() -> None:
    """A case is found by its name."""
    names = [each.name for each in CASES]

    assert len(names) == len(set(names))
