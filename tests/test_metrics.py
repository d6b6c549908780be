"""From what replicas report to samples: nothing lost, nothing counted twice, nothing negative."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.adapters.ray_store import _snapshot
from workbench.core.metrics import Sample, Series
from workbench.core.snapshots import (
    Counts,
    Look,
    Snapshot,
    complete_until,
    percentile,
    samples,
    spans,
)
from workbench.replica.figures import REMEMBERED, Figures, bucket_of, middle_ms
from workbench.replica.pulse import gauges
from workbench.replica.routers import METRIC, queues
from workbench.replica.series import KEPT_S
from workbench.replica.series import Series as Kept
from workbench.ui.tables import sample_table, series_table

EPOCH = 1_700_000_000.0
latencies = st.lists(st.floats(1e-5, 500), min_size=1, max_size=80)
gains = st.lists(st.integers(0, 50), min_size=2, max_size=12)
jitter = st.floats(0, 0.4)


def counted(seconds: list[float]) -> Counts:
    """What a replica reports after requests that took so long."""
    figures = Figures()
    for each in seconds:
        figures.ends((0.0, each, False, 200, None))
    content = figures.values() | {"pid": 1, "clock_s": 1.0, "cpu_s": 0.0, "memory_bytes": 0}
    blob = json.dumps(content).encode()
    return _snapshot(EPOCH, "D", "r", blob).counts


def track(
    gained: list[int], delays: list[float], replica: str = "r", skew_s: float = 0.0, pid: int = 1
) -> list[Snapshot]:
    """Reports once a second, each on its way for so long; the first tells of zeros."""
    found, total = [], 0
    for number, (more, delay) in enumerate(zip([0, *gained], [0.0, *delays], strict=False)):
        total += more
        counts = Counts(requests=total, errors=total // 2, latency_ms={5.0: total} if total else {})
        at_s = EPOCH + skew_s + number + delay
        found.append(Snapshot(at_s, "D", replica, pid, float(number), counts))
    return found


def everything(snapshots: list[Snapshot]) -> list[Sample]:
    """All samples that could be made of some reports."""
    return samples("app", snapshots, ["D"], EPOCH - 5, EPOCH + 60)


@given(latencies, st.sampled_from([50, 95, 99]))
def test_percentiles_are_exact_within_five_percent(seconds: list[float], percent: int) -> None:
    """The histogram's buckets are as fine as is promised."""
    rank = math.ceil(len(seconds) * percent / 100) - 1
    exact_ms = 1000 * sorted(seconds)[rank]

    assert percentile(counted(seconds).latency_ms, percent) == pytest.approx(exact_ms, rel=0.05)


@given(st.floats(1e-6, 1e5))
def test_a_bucket_lies_around_what_it_holds(seconds: float) -> None:
    """Its middle stands for it."""
    assert middle_ms(bucket_of(seconds)) == pytest.approx(1000 * seconds, rel=0.0251)


@given(gains, st.lists(jitter, min_size=12, max_size=12))
def test_rates_times_time_are_counts(gained: list[int], delays: list[float]) -> None:
    """However late reports come, every request is in exactly one sample."""
    found = everything(track(gained, delays))

    assert sum(s.deployments["D"].requests_per_s for s in found) == pytest.approx(sum(gained))


@given(gains, st.lists(st.integers(0, 12), max_size=5))
def test_lost_reports_lose_no_requests(gained: list[int], lost: list[int]) -> None:
    """Counters only grow, so the next report tells of what was lost; the last must come."""
    reports = track(gained, [0.0] * 12)
    kept = [r for n, r in enumerate(reports) if n in (0, len(reports) - 1) or n not in lost]
    found = everything(kept)

    assert sum(s.deployments["D"].requests_per_s for s in found) == pytest.approx(sum(gained))


@given(gains, gains, st.lists(jitter, min_size=12, max_size=12))
def test_two_replicas_are_as_one_with_both(
    first: list[int], second: list[int], delays: list[float]
) -> None:
    """Merging adds rates up; percentiles come from the merged histogram."""
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    both = [a + b for a, b in zip(first, second, strict=True)]
    apart = everything([*track(first, delays), *track(second, delays, "other")])
    together = everything(track(both, delays))

    for mine, theirs in zip(apart, together, strict=True):
        a, b = mine.deployments["D"], theirs.deployments["D"]
        assert a.requests_per_s == pytest.approx(b.requests_per_s)
        assert (a.p50_ms, a.p99_ms) == (b.p50_ms, b.p99_ms)


@given(gains, gains)
def test_nothing_is_negative_when_a_process_begins_anew(old: list[int], new: list[int]) -> None:
    """Counters that go back to 0 are another process's, or begin again."""
    before = track(old, [0.0] * 12)
    after = track(new, [0.0] * 12, skew_s=len(old) + 5.0)
    same_clock = [replace(each, clock_s=each.clock_s + len(old) + 5) for each in after]
    for later in ([replace(each, pid=2) for each in after], same_clock):
        found = everything([*before, *later])
        rates = [s.deployments["D"].requests_per_s for s in found]
        assert min(rates) >= 0
        assert sum(rates) == pytest.approx(sum(old) + sum(new))


def test_clocks_of_nodes_do_not_matter() -> None:
    """A replica's own clock says how long, the store's says when."""
    plain = track([10, 20, 30], [0.0] * 3)
    skewed = [replace(each, clock_s=each.clock_s + 0.7) for each in plain]

    assert [s.end_s for s in spans(plain)] == [s.end_s for s in spans(skewed)][1:]


def test_a_late_report_bends_no_rate() -> None:
    """A report that was on its way for long is placed by when it was made."""
    found = everything(track([10, 10, 10, 10], [0.0, 0.3, 0.0, 0.2]))

    assert [s.deployments["D"].requests_per_s for s in found if s.deployments["D"].replicas] == [
        pytest.approx(10)
    ] * 4


def test_a_replica_that_was_there_before_the_first_report_has_no_rate_yet() -> None:
    """What it counted in hours is not the work of one second."""
    [_, *rest] = track([10, 10], [0.0, 0.0])
    old = [replace(each, clock_s=each.clock_s + 3600) for each in rest]

    assert sum(s.deployments["D"].requests_per_s for s in everything(old)) == pytest.approx(10)


def test_a_replica_that_ended_is_shown_no_longer() -> None:
    """Its last requests count, its memory and what it works on do not."""
    [*_, last] = everything(track([10, 10], [0.0, 0.0]))

    assert last.deployments["D"].replicas == ()
    assert last.deployments["D"].p50_ms is None


def test_samples_wait_for_replicas_that_still_report() -> None:
    """One second is not shown with half of its replicas, nor held back by one that is gone."""
    ahead, behind = track([1, 1, 1], [0.0] * 3), track([1, 1], [0.0] * 2, "other")
    now_s = EPOCH + 3

    assert complete_until([*ahead, *behind], now_s) == EPOCH + 2
    assert complete_until([*ahead, *behind[:1]], now_s) == EPOCH + 3
    assert complete_until([], now_s) == now_s


def test_batches_are_means_over_requests_and_batches() -> None:
    """A batch of 4 and one of 2, each request having waited 10 ms."""
    counts = Counts(requests=6, batches=2, batched=6, batch_wait_s=0.06, cpu_s=0.5)
    begun = Snapshot(EPOCH, "D", "r", 1, 0.0, Counts())
    ended = Snapshot(EPOCH + 1, "D", "r", 1, 1.0, counts, ongoing=3, queued=2, memory_bytes=9)
    [found] = samples("app", [begun, ended], ["D"], EPOCH, EPOCH + 1)
    sample = found.deployments["D"]

    assert sample.batch_size == pytest.approx(3)
    assert sample.batch_wait_ms == pytest.approx(10)
    assert (sample.ongoing, sample.queued) == (3, 2)
    assert (sample.replicas[0].cpu_percent, sample.replicas[0].memory_bytes) == (50.0, 9)


def test_what_waits_in_routers_is_added_to_the_queues() -> None:
    """It was seen at other moments than the samples', so the nearest look counts, if it is near."""
    looks = [Look(EPOCH + 1.2, {"D": 3}), Look(EPOCH + 2.1, {"D": 5, "gone": 1})]
    found = samples("app", track([1] * 6, [0.0] * 6), ["D"], EPOCH, EPOCH + 6, looks)

    assert [s.deployments["D"].queued for s in found] == [3, 5, 5, 5, 0, 0]


def test_queues_of_routers_are_read_from_prometheus_text() -> None:
    """Those of a deployment add up over its callers and nodes."""
    line = METRIC + '{NodeAddress="::1",application="a",deployment="D\\"",handle="%s"} %s\n'
    texts = [
        f"# TYPE {METRIC} gauge\n" + line % ("x", "2.0") + line % ("y", "1.0"),
        line % ("z", 4),
    ]

    assert queues(["", *texts]) == {("a", 'D\\"'): 7}


def test_deployments_stand_callers_first() -> None:
    """In the order that is given, also those that did not report; others follow."""
    [found] = samples("app", track([1], [0.0]), ["Ingress"], EPOCH, EPOCH + 1)

    assert list(found.deployments) == ["Ingress", "D"]
    assert found.deployments["Ingress"].requests_per_s == 0


def test_the_plain_form_has_figures_and_the_repr_has_none() -> None:
    """A notebook's saved output must not differ from run to run; `print` shows figures."""
    found = everything(track([120], [0.0]))[5]

    assert repr(found) == "metrics of app: D"
    assert repr(Series([found])) == "series of metrics of app: D"
    assert "120.0" in str(found) and "5.0 ms" in str(found)
    assert "120.0" in sample_table(found) and "120.0" in series_table(Series([found]))
    assert "<td" not in series_table(Series())


def test_figures_count_what_ends() -> None:
    """Requests by outcome, each once; websockets only while they are open."""
    figures = Figures()
    with pytest.raises(ValueError), figures.request():
        raise ValueError
    with figures.request() as request:
        request.answer(type("Response", (), {"status_code": 503}))
    with figures.request() as request, figures.connection():
        assert figures.values()["ongoing"] == 2
    values = figures.values()

    assert (values["requests"], values["errors"], values["ongoing"]) == (3, 2, 0)
    assert sum(count for _, count in values["latency_ms"]) == 3


def test_what_serve_asks_is_no_request() -> None:
    """A health check every ten seconds is nobody's request."""
    figures = Figures()
    with figures.counting("check_health")() as call:
        assert call.answer(7) == 7

    assert figures.values()["requests"] == 0


def test_every_request_is_counted_once_also_when_nobody_looks() -> None:
    """A busy replica whose report is late keeps no more than the newest rows."""
    figures = Figures()

    def requests(number: int) -> None:
        for _ in range(number):
            with figures.http({"method": "GET", "path": "/"}):
                pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(requests, [3000] * 4))
    assert len(figures.ended) <= REMEMBERED
    assert figures.values()["requests"] == 12_000
    assert len(figures.recent()) == REMEMBERED


async def _sent(message: object) -> None:
    """An ASGI `send`."""


def test_a_response_ends_with_its_last_part() -> None:
    """Not with its first, and not with the background tasks after it."""
    figures = Figures()
    with figures.request() as request:
        send = request.watched(_sent)
        seen = []
        for message in (
            {"type": "http.response.start", "status": 500},
            {"type": "http.response.body", "more_body": True},
            {"type": "http.response.body"},
        ):
            send(message).close()
            seen.append(figures.values()["requests"])

    assert seen == [0, 0, 1]
    assert figures.values()["errors"] == 1
    assert figures.values()["ongoing"] == 0


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_moves_no_figures(
    monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """Neither are they lost, nor do they stand still until the clock has caught up."""
    kept = Kept()
    kept.put("app", "Echo", "one", b"before")
    before, real = kept.now(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    time.sleep(0.01)
    kept.put("app", "Echo", "one", b"after")
    now, rows = kept.newer("app", before - 60)

    assert [blob for *_, blob in rows] == [b"before", b"after"]
    assert 0.01 <= now - before < 5


def test_the_store_keeps_minutes() -> None:
    """Old reports go, and a silent replica with them."""
    now = [EPOCH]
    kept = Kept(lambda: now[0])
    kept.put("app", "D", "gone", b"1")
    now[0] += KEPT_S + 1
    kept.put("app", "D", "r", b"2")

    assert [row[2:] for row in kept.newer("app", -KEPT_S)[1]] == [("r", b"2")]
    assert kept.newer("other", -KEPT_S)[1] == []


def test_the_store_gives_each_report_once() -> None:
    """Whoever goes on from the time that was given misses nothing, even if the clock stands."""
    kept, seen = Kept(lambda: EPOCH), []
    after_s = -1.0
    for blob in (b"1", b"2", b"3"):
        kept.put("app", "D", "r", blob)
        after_s, rows = kept.newer("app", after_s)
        seen += [row[3] for row in rows]

    assert seen == [b"1", b"2", b"3"]


def test_a_deleted_application_is_forgotten() -> None:
    """Its replicas may report while they drain; a new one of that name begins with nothing."""
    kept = Kept(lambda: EPOCH)
    kept.put("app", "D", "old", b"1")
    kept.forget("app")
    kept.put("app", "D", "old", b"2")
    kept.put("app", "D", "new", b"3")

    assert [row[3] for row in kept.newer("app", -1)[1]] == [b"3"]


def test_gauges_show_the_last_second() -> None:
    """Ray's own metrics get means over what was counted since, and no GPU where there is none."""
    before = {
        **Figures().values(),
        **{"clock_s": 1.0, "cpu_s": 1.0, "memory_bytes": 5, "gpu_memory_bytes": None},
    }
    now = before | {"clock_s": 2.0, "cpu_s": 1.5, "batches": 2, "batched": 8, "batch_wait_s": 0.4}

    assert gauges(None, before) == {
        "workbench_memory_bytes": 5,
        "workbench_batch_queue_length": 0,
    }
    shown = gauges(before, now)
    assert shown["workbench_cpu_percent"] == pytest.approx(50)
    assert shown["workbench_batch_wait_ms"] == pytest.approx(50)
    assert shown["workbench_batch_size"] == 4
