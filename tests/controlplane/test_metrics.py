"""The sums of what workers tell, how far behind the database is, and the text that Prometheus reads."""

from collections import Counter

import httpx
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from modelctl.controlplane.metrics.catalog import METRICS, Type
from modelctl.controlplane.metrics.text import Durations, Family, Sample, exposition
from modelctl.controlplane.metrics.totals import SILENT_AFTER, Backlog, Totals
from modelctl.counts import Exemplar, Gauge, Key, Report, Written

SECOND = 1_000_000
OK: Key = ("requests", "fraud", "old", "ok")
BY_NAME = {metric.name: metric for metric in METRICS}


def report(number: int, boot: str = "b", *, last: bool = False, **more: object) -> Report:
    return Report(worker="w", boot=boot, number=number, last=last, **more)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(1, 3))))
def test_the_sum_is_that_of_all_workers_and_never_falls(told: list[tuple[str, int, int]]) -> None:
    totals, numbers, sent, before = Totals(), Counter[str](), 0, 0
    for boot, count, times in told:
        numbers[boot] += 1
        sent += count
        taken = [totals.take(report(numbers[boot], boot, changes=((OK, count),)), at=1) for _ in range(times)]
        assert taken == [True] + [False] * (times - 1)
        assert totals.counts[OK] == sent > before
        before = totals.counts[OK]


def test_a_worker_that_ended_or_is_silent_measures_nothing_any_more() -> None:
    totals, gauge = Totals(), Gauge(("connections",), 4)
    totals.take(report(1, "a", gauges=(gauge,)), at=0)
    totals.take(report(1, "b", gauges=(gauge,)), at=SILENT_AFTER)
    assert totals.gauges(SILENT_AFTER) == {gauge.key: [4, 4]}
    assert totals.gauges(SILENT_AFTER + 1) == {gauge.key: [4]}
    totals.take(report(2, "b", last=True), at=SILENT_AFTER + 1)
    assert totals.gauges(SILENT_AFTER + 1) == {}


def test_the_backlog_is_what_was_written_and_is_not_in_the_database() -> None:
    totals = Totals()
    for second in range(1, 11):
        totals.take(report(second, written=Written("s", second * 10, second * 1_000)), at=second * SECOND)
    assert totals.backlog({"s": 100}, 12 * SECOND) == Backlog(0, 0, 0.0)
    assert totals.backlog({"s": 100, "other": 5}, 12 * SECOND).records == 0
    behind = Totals()
    for second in range(1, 11):
        behind.take(report(second, written=Written("s", second * 10, second * 1_000)), at=second * SECOND)
    assert behind.backlog({"s": 45}, 12 * SECOND) == Backlog(55, 5_500, 7.0)
    assert behind.backlog({"s": 45}, 20 * SECOND) == Backlog(55, 5_500, 15.0)
    assert behind.backlog({"s": 100}, 21 * SECOND) == Backlog(0, 0, 0.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), max_size=60))
def test_a_backlog_is_never_negative_and_has_bytes_and_age_only_with_records(steps: list[tuple[int, int]]) -> None:
    totals, written = Totals(), 0
    for second, (more, done) in enumerate(steps, 1):
        written += more
        totals.take(report(second, written=Written("s", written, written * 100)), at=second * SECOND)
        found = totals.backlog({"s": done}, second * SECOND)
        assert found.records == max(0, written - done)
        assert (found.size > 0) == (found.records > 0)
        assert found.lag >= 0


def test_spools_of_a_long_outage_are_remembered_within_bounds() -> None:
    totals = Totals()
    for second in range(1, 10_001):
        totals.take(report(second, written=Written("s", second, second * 100)), at=second * SECOND)
    found = totals.backlog({}, 10_000 * SECOND)
    assert (found.records, found.size) == (10_000, 1_000_000)
    assert found.lag == 9_999
    assert len(totals._boots["b"].reached) <= 3_600


def test_a_histogram_is_cumulative_and_has_exemplars_only_in_openmetrics() -> None:
    metric = BY_NAME["modelctl_request_duration_seconds"]
    one = Exemplar(("requests-durations", "fraud", "old"), "4bf9", 700, 1_700_000_000_123_456)
    family = Family(metric, [Durations(("fraud", "old"), {"500": 2, "1000": 1, "inf": 1}, 61.5, {"1000": one})])
    classic = exposition([family], openmetrics=False).splitlines()
    rich = exposition([family], openmetrics=True).splitlines()
    assert 'modelctl_request_duration_seconds_bucket{route="fraud",arm="old",le="0.001"} 3' in classic
    assert 'modelctl_request_duration_seconds_bucket{route="fraud",arm="old",le="+Inf"} 4' in classic
    assert 'modelctl_request_duration_seconds_sum{route="fraud",arm="old"} 61.5' in classic
    assert (
        'modelctl_request_duration_seconds_bucket{route="fraud",arm="old",le="0.001"} 3 # {trace_id="4bf9"} 0.0007 1700000000.123'
    ) in rich
    assert rich[-1] == "# EOF"
    assert "# UNIT modelctl_request_duration_seconds seconds" in rich
    assert not any("# {" in line or line == "# EOF" for line in classic)


def test_labels_are_escaped() -> None:
    family = Family(BY_NAME["modelctl_refusals_total"], [Sample(('a"b\\c\nd',), 1)])
    assert exposition([family], openmetrics=False).splitlines()[-1] == 'modelctl_refusals_total{code="a\\"b\\\\c\\nd"} 1'


def test_names_follow_the_rules_of_prometheus() -> None:
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("modelctl_")
        assert metric.name.endswith("_total") == (metric.type is Type.COUNTER)
        assert set(metric.labels) <= {
            "route", "arm", "backend", "outcome", "result", "role", "decision", "phase", "reason", "code", "event", "version",
        }  # fmt: skip


def test_a_control_plane_answers_with_what_its_workers_told(api: httpx.Client) -> None:
    api.post("/v1/backends", json={"name": "old", "endpoints": ["http://old.test:8000"]})
    api.post("/v1/routes", json={"name": "fraud", "path": "/fraud", "baseline": "old"})
    told = report(1, changes=((OK, 5),), gauges=(Gauge(("connections",), 3),))
    for _ in range(2):
        sent = api.post("/internal/counts", content=msgspec.json.encode(told), headers={"content-type": "application/json"})
        assert sent.status_code == 204
    answer = api.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'modelctl_requests_total{route="fraud",arm="old",outcome="ok"} 5' in lines
    assert 'modelctl_requests_total{route="fraud",arm="old",outcome="timeout"} 0' in lines
    assert 'modelctl_arm_share_ratio{route="fraud",arm="old",role="baseline"} 1' in lines
    assert "modelctl_connections 3" in lines
    assert "modelctl_database_up 1" in lines
    rich = api.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert rich.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert rich.text.endswith("# EOF\n")


def test_counts_of_another_version_of_the_router_break_no_scrape(api: httpx.Client) -> None:
    words: tuple[Key, ...] = (
        (),
        ("requests",),
        ("requests", "fraud", "old", "ok", "more"),
        ("requests-durations", "x"),
        ("new", "x"),
    )
    told = report(
        1, changes=(*((key, 1) for key in words), (OK, 2)), gauges=tuple(Gauge(key, 1) for key in (*words, ("inflight", "x")))
    )
    sent = api.post("/internal/counts", content=msgspec.json.encode(told), headers={"content-type": "application/json"})
    assert sent.status_code == 204
    answer = api.get("/metrics")
    assert answer.status_code == 200
    assert 'modelctl_requests_total{route="fraud",arm="old",outcome="ok"} 2' in answer.text.splitlines()
