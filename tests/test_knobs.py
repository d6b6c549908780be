"""Decisions about knobs: what is refused, what follows, what new code keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.knobs import (
    BATCHING,
    KINDS,
    SCALE,
    Change,
    Knob,
    Knobs,
    Setting,
    Tunable,
    Tuned,
    bounds,
    carried,
    checked,
    knobs_of,
    with_change,
)
from workbench.errors import TuneError
from workbench.ui import tables

FIXED: dict[str, Any] = {
    "num_replicas": 2,
    "min_replicas": None,
    "max_replicas": None,
    "target_ongoing_requests": None,
    "max_ongoing_requests": 5,
    "max_queued_requests": -1,
    "num_cpus": 1.0,
    "num_gpus": 0.0,
}
BATCHED = {**FIXED, "max_batch_size": 4, "batch_wait_timeout_s": 0.1}
FULL = {**BATCHED, "num_gpus": 0.5, "gpu_memory_fraction": 0.5, "user_config": None}
GOOD: dict[str, Any] = {
    "num_replicas": st.integers(1, 100),
    "min_replicas": st.integers(0, 100),
    "max_replicas": st.integers(100, 200),
    "target_ongoing_requests": st.floats(0.1, 50),
    "max_ongoing_requests": st.integers(1, 100),
    "max_queued_requests": st.integers(-1, 100),
    "max_batch_size": st.integers(1, 256),
    "batch_wait_timeout_s": st.floats(0, 10),
    "num_gpus": st.sampled_from([0, 0.25, 0.5, 1, 2]),
    "num_cpus": st.floats(0, 8),
    "gpu_memory_fraction": st.floats(0.01, 1),
    "user_config": st.dictionaries(st.text(), st.integers()),
}
requests = st.fixed_dictionaries({}, optional=GOOD).filter(
    lambda asked: not ("num_replicas" in asked and set(asked) & set(SCALE[1:]))
)


@given(requests)
def test_what_is_in_range_is_taken_as_asked(asked: dict[str, Any]) -> None:
    """Each value that is asked for is set; nothing is changed silently."""
    change = checked(asked, Tunable("LLM", FULL))

    assert {name: change.values[name] for name in asked} == asked
    assert len(change.values) == len(asked) or change.notes


@given(requests)
def test_batches_can_fill_or_it_is_said(asked: dict[str, Any]) -> None:
    """A replica takes as many requests at once as a batch holds, unless the user was told."""
    change = checked(asked, Tunable("LLM", FULL))

    now = {**FULL, **change.values}
    fills = now["max_batch_size"] <= now["max_ongoing_requests"]
    assert fills or (change.notes and "max_ongoing_requests" in asked)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"num_replicas": 0}, "num_replicas=0 is out of range"),
        ({"num_replicas": 1.5}, "num_replicas=1.5 is not a whole number"),
        ({"num_replicas": True}, "num_replicas=True is not a whole number"),
        ({"max_batch_size": "8"}, "max_batch_size='8' is not a whole number"),
        ({"batch_wait_timeout_s": -0.1}, "batch_wait_timeout_s=-0.1 is out of range"),
        ({"batch_wait_timeout_s": float("nan")}, "batch_wait_timeout_s=nan is not a number"),
        ({"gpu_memory_fraction": 0}, "gpu_memory_fraction=0 is out of range"),
        ({"gpu_memory_fraction": 1.2}, "gpu_memory_fraction=1.2 is out of range"),
        ({"num_gpus": 1.5}, "num_gpus=1.5 cannot be placed"),
        ({"max_batchsize": 8}, "did you mean 'max_batch_size'?"),
        ({"user_config": [1]}, "user_config=[1] is not a dictionary"),
        ({"user_config": {"a": {1, 2}}}, "not JSON serializable"),
        ({"min_replicas": 5, "max_replicas": 2}, "min_replicas=5 is above max_replicas=2"),
        ({"num_replicas": 2, "max_replicas": 4}, "num_replicas and max_replicas contradict"),
    ],
)
def test_bad_values_are_named(asked: dict[str, Any], says: str) -> None:
    """The message tells the knob, the value and what it takes."""
    with pytest.raises(TuneError) as refused:
        checked(asked, Tunable("LLM", FULL))

    assert says in str(refused.value)
    assert refused.value.advice


@pytest.mark.parametrize(
    ("knob", "value", "says"),
    [
        ("max_batch_size", 8, "has no batched method"),
        ("batch_wait_timeout_s", 0.1, "has no batched method"),
        ("gpu_memory_fraction", 0.5, "books no GPU"),
        ("user_config", {}, "has no reconfigure"),
    ],
)
def test_knobs_that_a_deployment_lacks_are_refused(knob: str, value: Any, says: str) -> None:
    """A batch size without a batched method would change nothing."""
    with pytest.raises(TuneError, match=says):
        checked({knob: value}, Tunable("Plain", FIXED))


@given(requests)
def test_settings_survive_new_code_that_declares_the_same(asked: dict[str, Any]) -> None:
    """What was tuned stays for as long as the code's own values stay."""
    here = Tunable("LLM", FULL)
    settings = with_change(here, checked(asked, here))

    assert carried(settings, FULL) == settings


@given(requests, st.sampled_from(sorted(GOOD)))
def test_an_edited_value_wins_over_what_was_set(asked: dict[str, Any], edited: str) -> None:
    """Code that declares another value than it did when it was tuned is obeyed."""
    here = Tunable("LLM", FULL)
    settings = with_change(here, checked(asked, here))

    left = carried(settings, {**FULL, edited: "something else"})

    lost = set(SCALE) if edited in SCALE else {edited}
    assert set(left) == set(settings) - lost


def test_settings_of_a_method_that_is_batched_no_longer_are_dropped() -> None:
    """Nothing is left that could be applied to nothing."""
    settings = {"max_batch_size": Setting(4, 8)}

    assert carried(settings, FIXED) == {}


def test_a_fixed_number_of_replicas_and_bounds_replace_each_other() -> None:
    """The last of the two that was asked for holds."""
    here = Tunable("LLM", FULL)
    adjusting = with_change(here, Change({"min_replicas": 1, "max_replicas": 4}))
    again = Tunable("LLM", {**FULL, "num_replicas": None, "max_replicas": 4}, adjusting)

    fixed = with_change(again, Change({"num_replicas": 3}))

    assert set(fixed) == {"num_replicas"}
    assert fixed["num_replicas"].declared == (2, None, None, None)


@given(st.integers(0, 20), st.none() | st.integers(0, 20), st.none() | st.integers(1, 20))
def test_bounds_are_always_complete(fixed: int, low: int | None, high: int | None) -> None:
    """Whichever is given, the other one fits beside it unless both were asked for."""
    asked = {n: v for n, v in (("min_replicas", low), ("max_replicas", high)) if v is not None}
    lowest, highest = bounds(asked, Tunable("LLM", {**FULL, "num_replicas": fixed}))

    assert lowest <= highest or (low is not None and high is not None)


def test_listing_shows_what_was_set_beside_what_is_declared() -> None:
    """The table names every knob that the deployment has, no other."""
    settings = {"max_batch_size": Setting(4, 8), "num_replicas": Setting((2, None, None, None), 3)}
    here = Tunable("LLM", {**BATCHED, "max_batch_size": 8, "num_replicas": 3}, settings)

    listed = {each.name: each for each in knobs_of(here)}

    assert set(listed) == set(BATCHED)
    assert (listed["max_batch_size"].value, listed["max_batch_size"].declared) == (8, 4)
    assert (listed["num_replicas"].declared, listed["num_replicas"].tuned) == (2, True)
    assert listed["num_gpus"].cost == "new processes"
    assert "max_batch_size" in repr(Knobs(listed.values()))
    assert set(BATCHING) < set(KINDS)


def test_the_outcome_reads_as_a_sentence() -> None:
    """No times in it: a notebook's output stays the same."""
    done = Tuned("rag", "LLM", {"max_batch_size": 8}, {"max_batch_size": 8}, 2, 31.5, True, 4)

    assert repr(done) == "LLM: max_batch_size=8 on 2 of 2 replicas, in place"


def test_knobs_show_themselves_as_a_table() -> None:
    """As text and in a notebook; what was set since the deploy stands out, text is escaped."""
    one = Knob("RAG", "num_replicas", 3, 2, "1, 2, 3, ...", "in place")
    other = Knob("RAG", "user_config", {"a": "<b>"}, {"a": "<b>"}, "a dictionary", "in place")

    html = tables.knobs_table(Knobs([one, other]))

    assert html.count("<tr>") == 3
    assert "<b>3</b>" in html
    assert "&lt;b&gt;" in html
    assert len(repr(Knobs([one, other])).splitlines()) == 3
    assert repr(Knobs()) == "no knobs"
