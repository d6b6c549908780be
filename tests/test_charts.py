"""What the live charts show."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from workbench.core.charts import CHARTS, GRID, SECONDS, TALL, marks, path, rows, top, window
from workbench.core.metrics import DeploymentSample, Sample
from workbench.core.revision import Revision
from workbench.ui import style

RATE, LATENCY, *_ = CHARTS
NOW_S = 1_700_000_000.0


def sample(ago_s: float, rate: float, p50_ms: float | None = 5.0) -> Sample:
    """One deployment's figures some seconds ago."""
    figures = DeploymentSample(rate, 0.0, p50_ms, p50_ms, p50_ms, 0, 0)
    return Sample("a", NOW_S - ago_s, {"D": figures})


def revision(number: int, ago_s: float, outcome: str = "served", note: str = "") -> Revision:
    """A revision whose deploy began some seconds ago and took one second."""
    return Revision("a", number, "/a", NOW_S - ago_s, note, outcome, "", "", 1000.0, ())


@given(st.sets(st.integers(0, SECONDS), max_size=40))
def test_every_sample_stands_at_its_second(ages: set[int]) -> None:
    """A chart shows what was measured when it was, and nothing else but short bridges."""
    found = [sample(age, rate=age + 1.0) for age in sorted(ages, reverse=True)]
    [rates, errors] = rows(window(found, "D", NOW_S), RATE)

    assert len(rates) == len(errors) == len(GRID)
    for place, value in zip(GRID, rates, strict=True):
        if -place in ages:
            assert value == -place + 1.0
        elif not math.isnan(value):
            assert min(abs(-place - age) for age in ages) <= 2


@given(st.floats(-0.2, 0.2), st.floats(0.95, 1.05))
def test_clocks_that_beat_leave_no_hole(shift: float, period_s: float) -> None:
    """Samples come about once per second, not exactly."""
    found = [sample(110 - i * period_s + shift, rate=1.0) for i in range(100)]
    [rates, _] = rows(window(found, "D", NOW_S), RATE)
    known = [i for i, value in enumerate(rates) if not math.isnan(value)]

    assert known == list(range(known[0], known[-1] + 1))


def test_what_was_not_measured_is_a_hole() -> None:
    """No latency is drawn for seconds in which no request ended, and none for a gap."""
    found = [sample(20, 1.0), sample(19, 0.0, p50_ms=None), sample(10, 1.0)]
    values = rows(window(found, "D", NOW_S), LATENCY)

    assert values[0][SECONDS - 20] == 5.0
    assert math.isnan(values[0][SECONDS - 19])
    assert math.isnan(values[0][SECONDS - 15])
    assert all(
        math.isnan(value) for row in rows(window(found, "other", NOW_S), RATE) for value in row
    )


@given(st.lists(st.one_of(st.floats(0, 1e9), st.just(math.nan)), max_size=20))
def test_an_axis_holds_all_values_and_is_not_much_longer(values: list[float]) -> None:
    """The top of an axis is a round number at most two and a half times the highest value."""
    highest = max((v for v in values if not math.isnan(v)), default=0.0)

    assert top([values]) >= highest * (1 - 1e-6)
    assert top([values]) <= max(1.0, 2.5 * highest + 1e-6)


def points(drawn: str) -> dict[int, int]:
    """The points that an SVG path leads through."""
    found, at, height = {}, 0, 0
    for kind, text in re.findall(r"([Mlh])([-\d ]+)", drawn):
        numbers = [int(each) for each in re.findall(r"-?\d+", text)]
        if kind == "h":
            found |= {at + i: height for i in range(numbers[0] + 1)}
            at += numbers[0]
        else:
            at, height = numbers if kind == "M" else (at + numbers[0], height + numbers[1])
            found[at] = height
    return found


@given(st.lists(st.one_of(st.floats(0, 50), st.just(math.nan)), max_size=SECONDS + 1))
def test_a_path_leads_through_every_value_and_leaves_out_holes(values: list[float]) -> None:
    """What a chart draws is what was measured, to a hundredth of its height."""
    expected = {i: round(TALL * (1 - v / 50)) for i, v in enumerate(values) if not math.isnan(v)}

    assert points(path(values, 50.0)) == expected


def test_changes_are_marked_when_they_became_true() -> None:
    """A mark says the revision and what was done; old ones go, failed ones say so."""
    past = [revision(1, 500), revision(2, 60, note="shorter prompt")]
    past += [revision(3, 30, outcome="failed", note="oops")]
    found = marks(past, NOW_S)

    assert [each.label for each in found] == ["r2", "r3!"]
    assert found[0].at_s == NOW_S - 59
    assert [each.text for each in found] == ["r2 shorter prompt", "r3 oops (failed)"]


def test_every_line_has_its_own_colour_and_dashes() -> None:
    """Who cannot tell colours apart tells the dashes apart."""
    assert max(len(each.lines) for each in CHARTS) <= len(style.LINES)
    assert len({dash for _, dash in style.LINES}) == len({c for c, _ in style.LINES})
