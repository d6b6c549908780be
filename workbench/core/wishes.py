"""What somebody wishes of the running service, and when it is carried out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PENDING, APPLYING, APPLIED, REFUSED = "pending", "applying", "applied", "refused"
Topic = tuple[str, str]  # deployment or "", and what is wished for: one wish of each may wait


@dataclass(frozen=True)
class Wish:
    """Something to be done.

    Attributes:
        topic: deployment (or "" for the whole application) and knob or action; a later wish of
            the same topic takes the place of an earlier one that was not begun.
        values: what is wished for, by knob or argument.
    """

    topic: Topic
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """How a wish stands.

    Attributes:
        wish: the wish.
        state: pending, applying, applied or refused.
        text: what was done, or why it was refused.
        result: what carrying it out returned.
    """

    wish: Wish
    state: str
    text: str = ""
    result: Any = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in (APPLIED, REFUSED)


@dataclass(frozen=True)
class Waiting:
    """Wishes that were not begun.

    Attributes:
        entries: each with the moment from which it may be carried out, in seconds of any clock.
    """

    entries: tuple[tuple[Wish, float], ...] = ()

    def adding(self, wish: Wish, due_s: float) -> Waiting:
        """The same with another wish; one of the same topic goes, and its rest begins anew."""
        others = tuple(each for each in self.entries if each[0].topic != wish.topic)
        return Waiting((*others, (wish, due_s)))

    def taking(self, now_s: float) -> tuple[Wish | None, Waiting]:
        """The wish that is due for longest, and the rest; None when none is due."""
        due = [each for each in self.entries if each[1] <= now_s]
        if not due:
            return None, self
        first = min(due, key=lambda each: each[1])
        return first[0], Waiting(tuple(each for each in self.entries if each is not first))

    def rest_s(self, now_s: float) -> float | None:
        """Seconds until one is due; None when there is none."""
        return min((max(due - now_s, 0.0) for _, due in self.entries), default=None)

    def has(self, topic: Topic) -> bool:
        """Whether a wish of a topic waits."""
        return any(wish.topic == topic for wish, _ in self.entries)
