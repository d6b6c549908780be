"""The latest wish of each topic is carried out once, after it has rested."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import until
from workbench.core.wishes import APPLIED, APPLYING, PENDING, REFUSED, Report, Waiting, Wish
from workbench.errors import TuneError
from workbench.runtime.wishes import Wishes

TOPICS = st.sampled_from(["a", "b", "c"])
MOVES = st.lists(st.tuples(TOPICS, st.floats(0, 10)), max_size=30)


def wish(topic: str, value: float = 1) -> Wish:
    """A wish for a knob of one deployment."""
    return Wish(("d", topic), {topic: value})


@given(MOVES)
def test_one_wish_per_topic_is_carried_out_and_it_is_the_last(
    moves: list[tuple[str, float]],
) -> None:
    """However often something is moved before it is begun, its last value counts, once."""
    waiting = Waiting()
    for moment, (topic, value) in enumerate(moves):
        waiting = waiting.adding(wish(topic, value), moment + 1000)
    done = []
    while True:
        taken, waiting = waiting.taking(9999)
        if taken is None:
            break
        done.append(taken)

    last = {topic: wish(topic, value) for topic, value in moves}
    assert sorted(done, key=str) == sorted(last.values(), key=str)
    assert waiting.entries == ()


@given(MOVES, st.floats(0, 20))
def test_nothing_is_carried_out_before_it_has_rested(
    moves: list[tuple[str, float]], now_s: float
) -> None:
    """What is taken is due; when nothing is due, the rest is the time until something is."""
    waiting = Waiting()
    for topic, due_s in moves:
        waiting = waiting.adding(wish(topic), due_s)
    dues = {each.topic: due_s for each, due_s in waiting.entries}
    taken, _ = waiting.taking(now_s)
    rest_s = waiting.rest_s(now_s)

    if taken is not None:
        assert dues[taken.topic] == min(dues.values()) <= now_s
        assert rest_s == 0
    else:
        assert all(due_s > now_s for due_s in dues.values())
        assert rest_s == (min(dues.values()) - now_s if dues else None)


def test_ten_moves_are_one_change() -> None:
    """A slider that is dragged along changes the service once, to where it was let go."""
    done: list[Wish] = []

    def carry_out(asked: Wish) -> tuple[str, object]:
        done.append(asked)
        return "2/2", None

    wishes = Wishes(carry_out, lambda report: None, settle_s=0.05)
    for value in range(10):
        wishes.wish(wish("a", value))
    until(lambda: bool(done))
    time.sleep(0.1)
    wishes.close()

    assert done == [wish("a", 9)]
    assert wishes.join(5)


def test_reports_come_in_order_from_one_thread() -> None:
    """Widgets may have one writer, so every report comes from the same thread."""
    reports: list[Report] = []
    threads = set()

    def carry_out(asked: Wish) -> tuple[str, object]:
        if asked.topic[1] == "bad":
            raise TuneError("out of range", "it takes 1, 2, 3")
        if asked.topic[1] == "broken":
            raise ZeroDivisionError("by zero")
        return "2/2", None

    def tell(report: Report) -> None:
        threads.add(threading.get_ident())
        reports.append(report)

    wishes = Wishes(carry_out, tell, settle_s=0.01)
    for topic in ("good", "bad", "broken"):
        wishes.wish(wish(topic))
        until(
            lambda topic=topic: (
                bool(reports) and reports[-1].wish == wish(topic) and reports[-1].over
            )
        )
    wishes.close()

    assert [each.state for each in reports] == [
        *(PENDING, APPLYING, APPLIED),
        *(PENDING, APPLYING, REFUSED),
        *(PENDING, APPLYING, REFUSED),
    ]
    assert "it takes 1, 2, 3" in reports[5].text
    assert reports[8].text == "ZeroDivisionError: by zero"
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_a_wish_is_taken_at_once_while_another_is_carried_out() -> None:
    """Callbacks of widgets run in the kernel, which must not wait."""
    goes_on = threading.Event()
    wishes = Wishes(lambda asked: (str(goes_on.wait(5)), None), lambda report: None, settle_s=0)
    wishes.wish(wish("a"))
    until(lambda: wishes.busy_with(("d", "a")))
    began_s = time.monotonic()
    for value in range(1000):
        wishes.wish(wish("b", value))
    took_s = time.monotonic() - began_s
    goes_on.set()
    until(lambda: not wishes.busy_with(("d", "b")))
    wishes.close()

    assert took_s < 0.5
    assert wishes.join(5)
