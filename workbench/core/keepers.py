"""Functions that keep something for themselves: a cache, a list in a closure or as a default.

A new function of the same text begins afresh. So where nothing of what such a function is made of
was edited, a process goes on using the one that it has.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from .digests import Units
from .objects import keeps
from .units import closure_digest, reached


class Keepers:
    """The functions that keep something, among all that a deployment reaches.

    Args:
        units: with a unit of everything that the deployment reaches.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        digests = [closure_digest([units.of(each)]) for each in units.keepers]
        self._digests = {id(k): d for k, d in zip(units.keepers, digests, strict=True)}
        self._times = Counter(digests)

    def name(self, function: Any) -> str:
        """The same for equal functions, for a process that has one to go on using it; "" for none.

        Args:
            function: any function; those that keep nothing have no name.
        """
        digest = self._digests.get(id(function), "")
        return f"keeps {digest}" if digest and not self._problem(function) else ""

    def unsound(self) -> str:
        """Why code cannot be exchanged while one of these functions lives, or ""."""
        for each in self._units.keepers:
            kept, problem = keeps(each), self._problem(each)
            if kept and problem:
                return f"{kept[0]}, which cannot be handed over: {problem}"
        return ""

    def _problem(self, function: Any) -> str:
        inner = getattr(function, "__wrapped__", function)
        inner = inner if hasattr(inner, "__code__") and not keeps(function) else function
        if "__class__" in getattr(inner, "__code__", _NO_CODE).co_freevars:
            return "it uses super()"
        if self._times[self._digests[id(function)]] > 1:
            return "another function is made of the same"
        used = {each.label.strip("`") for each in reached([self._units.of(function)])}
        assigned = sorted(self._units.stored & used)
        return f"it uses `{assigned[0]}`, which code assigns to" if assigned else ""


_NO_CODE = (lambda: None).__code__
