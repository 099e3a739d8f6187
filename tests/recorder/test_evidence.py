"""Sums over units, questions that are asked again, second copies: right however the stream is cut, however many record it."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelctl.evidence import Compared, Served
from modelctl.gate import Gate, GateRole
from modelctl.latency import bucket_index
from modelctl.recorder.book import SLICES
from tests.recorder.evidence import all_sums, copied, failed, lively, over_minutes, request, said, sticky, template
from tests.recorder.stream import Recording, declare, register, rows

Records = Sequence[Served | Compared]


@pytest.fixture
def url(database_url: str) -> str:
    sticky(database_url)
    return database_url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("evidence"))


def record(url: str, pieces: Sequence[Records], name: str = "worker-0") -> None:
    recording = Recording(url, name)
    for piece in pieces:
        recording.take(piece)
    recording.engine.dispose()


def cut(records: Records, places: Sequence[int]) -> list[Records]:
    ends = sorted({min(place, len(records)) for place in places} | {len(records)})
    return [records[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


_numbers = iter(range(1_000_000))


@settings(max_examples=12)
@example(seed=100, places=[5])
@given(seed=st.integers(0, 10**6), places=st.lists(st.integers(1, 90), max_size=6))
def test_the_sums_are_the_same_however_the_stream_is_cut(empty: Path, seed: int, places: list[int]) -> None:
    records = lively(seed, 40)
    whole, pieces = copied(empty, next(_numbers)), copied(empty, next(_numbers))
    record(whole, [records])
    record(pieces, cut(records, places))
    assert all_sums(whole) == all_sums(pieces)


def test_replaying_a_stream_adds_nothing(url: str) -> None:
    records = lively(1, 60)
    record(url, cut(records, [20, 50]))
    before = all_sums(url), rows(url, "unit_total"), rows(url, "first_event"), rows(url, "pair_seen")
    record(url, cut(records, [7, 31]), "worker-1")
    assert (all_sums(url), rows(url, "unit_total"), rows(url, "first_event"), rows(url, "pair_seen")) == before


def test_both_databases_hold_the_same_sums(sqlite_url: str, postgres_url: str) -> None:
    records = lively(2, 60)
    for url in (sqlite_url, postgres_url):
        sticky(url)
        record(url, cut(records, [11, 40]))
    assert all_sums(sqlite_url) == all_sums(postgres_url)


def _unit_sums(url: str, metric: str) -> dict[str, tuple[float, ...]]:
    """K, N, S, S^2, SN and N^2 by arm, from the rows of predictions."""
    units: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows(url, "prediction"):
        value = _value(row, metric)
        if value is not None:
            unit = units[row["arm"], row["unit"] or row["id"]]
            unit[0] += 1
            unit[1] += value
    found: dict[str, tuple[float, ...]] = {}
    for (arm, _), (n, s) in units.items():
        before = found.get(arm, (0.0,) * 6)
        found[arm] = tuple(a + b for a, b in zip(before, (1, n, s, s * s, s * n, n * n), strict=True))
    return found


def _value(row: dict[str, Any], metric: str) -> float | None:
    if metric == "number":
        return None if row["number"] is None else float(row["number"])
    return float(row["outcome"] == "timeout" or (metric == "error" and row["outcome"] == "backend_error"))


@pytest.mark.parametrize("metric", ["error", "timeout", "number"])
def test_sums_over_units_are_those_of_the_rows(url: str, metric: str) -> None:
    record(url, cut(lively(3, 150), [1, 30, 31, 90]))
    pivot = next(row["value"] for row in rows(url, "pivot") if row["metric"] == "number") if metric == "number" else 0.0
    found = over_minutes(url, f"unit:{metric}")
    expected = _unit_sums(url, metric)
    assert expected.keys() == {"old", "new"}
    for arm, (units, n, s, *_rest) in expected.items():
        assert found[arm, ""][:2] == (units, n)
        assert found[arm, ""][2] == pytest.approx(s - n * pivot)
        assert found[arm, "size"][3] == pytest.approx(expected[arm][5])
    if not pivot:
        for arm, (_units, _n, _s, squares, products, _sizes) in expected.items():
            assert found[arm, ""][3:] == pytest.approx((squares, products))


def test_a_unit_is_counted_once_where_it_was_seen_first_and_once_where_it_failed_first(url: str) -> None:
    failures = [request(number, failed("new"), user="u1") for number in (1, 2, 3)]
    fine = [request(number, said("new", "yes"), user="u2") for number in (4, 5)]
    late = [request(6, failed("new", "timeout"), user="u2"), request(7, failed("old"), user="")]
    record(url, [failures[:1], [*failures[1:], *fine], late])
    assert over_minutes(url, "first_unit") == {("new", ""): (2, 0, 0, 0, 0), ("old", ""): (1, 0, 0, 0, 0)}
    assert over_minutes(url, "first_error") == {("new", ""): (2, 0, 0, 0, 0), ("old", ""): (1, 0, 0, 0, 0)}
    assert over_minutes(url, "first_timeout") == {("new", ""): (1, 0, 0, 0, 0)}


def test_slow_answers_are_counted_by_unit_behind_the_line_of_each_gate(database_url: str) -> None:
    register(database_url)
    gate = Gate(metric="slow_rate", role=GateRole.GUARDRAIL, limit=0.01, slower_ms=250)
    declare(database_url, unit="header:x-user", gates=(gate,))
    quick, slow = (msgspec.structs.replace(said("new", "yes"), latency=latency) for latency in (100_000, 400_000))
    asked = [(quick, "u1"), (slow, "u1"), (slow, "u1"), (quick, "u2"), (quick, "")]
    record(database_url, [[request(number, given, user=user) for number, (given, user) in enumerate(asked, 1)]])
    line = bucket_index(250_000)
    found = over_minutes(database_url, f"unit:slow:{line}")
    assert found["new", ""][:4] == (3, 5, 2, 4), "three units with five requests; one of them was slow twice"
    assert over_minutes(database_url, f"first_slow:{line}") == {("new", ""): (1, 0, 0, 0, 0)}


def test_requests_that_are_their_own_units_leave_no_rows_behind(url: str) -> None:
    record(url, [[request(number, said("old", 1.5)) for number in (1, 2)]])
    assert rows(url, "unit_total") == rows(url, "first_event") == []
    assert over_minutes(url, "unit:error")["old", ""][:2] == (2, 2)


def shown(number: int, baseline: object = "yes", candidate: object = "no", *, amount: int = 1) -> Records:
    first = request(number, said("old", baseline), amount=amount, shown=["new"])
    return [first, Compared(first, said("new", candidate))]


def test_ten_copies_of_a_question_count_once_and_stay_visible(url: str) -> None:
    copies = [shown(number) for number in range(1, 11)]
    record(url, [copies[0], [one for copy in copies[1:6] for one in copy], *copies[6:], shown(11, amount=2)])
    assert over_minutes(url, "agreement") == {("new", "different"): (2, 0, 0, 0, 0)}
    assert over_minutes(url, "pair_error") == {("new", "0"): (2, 0, 0, 0, 0)}
    funnel = over_minutes(url, "funnel")
    assert [funnel["new", key][0] for key in ("paired", "answered", "parsed", "duplicate")] == [11, 11, 11, 9]
    assert [row["duplicate"] for row in rows(url, "pair")] == [0, *[1] * 9, 0]
    assert over_minutes(url, "error")["old", ""][0] == 11


def test_copies_count_each_time_where_the_rollout_says_so(database_url: str) -> None:
    sticky(database_url, deduplicate=False)
    record(database_url, [shown(1), [*shown(2), *shown(3)]])
    assert over_minutes(database_url, "pair_error") == {("new", "0"): (3, 0, 0, 0, 0)}


def test_a_candidate_that_came_too_late_alone_is_minus(url: str) -> None:
    first = request(1, said("old", "yes"), shown=["new"])
    record(url, [[first, Compared(first, failed("new", "timeout"))]])
    assert over_minutes(url, "pair_timeout") == {("new", "-"): (1, 0, 0, 0, 0)}


def test_fields_of_pairs_are_compared_as_flags_and_numbers(url: str) -> None:
    first = request(1, said("old", "yes", risk=2.0, sure=False), shown=["new"])
    record(url, [[first, Compared(first, said("new", "yes", risk=2.5, sure=True))]])
    assert over_minutes(url, "pair_field:sure") == {("new", "-"): (1, 0, 0, 0, 0)}
    found = over_minutes(url, "pair_field:risk")
    assert found["new", ""] == (1, 0, 0.5, 0.25, 0)
    assert (found["new", "baseline"], found["new", "candidate"]) == ((1, 0, 0, 0, 0), (1, 0, 0.5, 0.25, 0))
    assert over_minutes(url, "field") == {
        ("new", '["prediction","equal"]'): (1, 0, 0, 0, 0),
        ("new", '["risk","value"]'): (1, 0, 0, 0, 0),
        ("new", '["score","equal"]'): (1, 0, 0, 0, 0),
        ("new", '["sure","value"]'): (1, 0, 0, 0, 0),
    }


def test_values_that_are_none_are_counted_apart(url: str) -> None:
    risks = [float("nan"), "high", 0.5]
    record(url, [[request(number, said("old", "yes", risk=risk)) for number, risk in enumerate(risks)]])
    assert over_minutes(url, "invalid") == {("old", "field:risk"): (2, 0, 0, 0, 0)}
    assert over_minutes(url, "field:risk")["old", ""][0] == 1


def test_slices_count_failures_by_dimension_and_value(url: str) -> None:
    record(url, [[request(1, failed("old"), amount=5), request(2, said("old", "x"), amount=1), request(3, said("old", "x"))]])
    assert over_minutes(url, "slice:error") == {
        ("old", '["country","de"]'): (2, 1, 0, 0, 0),
        ("old", '["country","fr"]'): (1, 0, 0, 0, 0),
        ("old", '["amount",">=3"]'): (1, 1, 0, 0, 0),
        ("old", '["amount","<3"]'): (2, 0, 0, 0, 0),
    }


def test_the_first_values_of_a_dimension_keep_their_sums_and_the_rest_is_one(url: str) -> None:
    def many(first: int, last: int) -> Records:
        return [_from(number, f"land-{number}") for number in range(first, last)]

    record(url, [many(0, 30)])
    record(url, [many(30, 70), many(0, 5)], "worker-1")
    found = {key: values[0] for (_, key), values in over_minutes(url, "slice:error").items() if "country" in key}
    assert len(found) == SLICES + 1
    assert found['["country","…"]'] == 20
    assert found['["country","land-49"]'] == 1


def _from(number: int, country: str) -> Served:
    one = request(number + 1, said("old", "x"))
    asked = msgspec.structs.replace(one.request, headers=((b"x-country", country.encode()),))
    return msgspec.structs.replace(one, request=asked)


def noisy(number: int, candidate: object, copy: object) -> Records:
    first = request(number, said("old", "yes"), amount=number, shown=["new", "old"])
    return [first, Compared(first, said("new", candidate)), Compared(first, said("old", copy))]


@pytest.mark.parametrize("together", [True, False])
def test_a_second_copy_says_what_differs_by_itself(url: str, together: bool) -> None:
    records = [*noisy(1, "no", "yes"), *noisy(2, "yes", "no"), *noisy(3, "no", "no"), *noisy(4, "yes", "yes")]
    record(url, [records] if together else [[one] for one in records])
    assert over_minutes(url, "noise") == {("new", key): (1, 0, 0, 0, 0) for key in ("raw", "noise", "both", "neither")}
    assert over_minutes(url, "noise_field") == {
        ("new", f'["prediction","{key}"]'): (1, 0, 0, 0, 0) for key in ("raw", "noise", "both")
    }
    assert over_minutes(url, "funnel")["new", "noise"][0] == 4
    assert {arm for arm, _ in over_minutes(url, "pair_error")} == {"new"}


def test_latencies_of_a_stages_first_minute_are_kept_apart(url: str) -> None:
    early = request(1, said("old", "x"))
    early = msgspec.structs.replace(early, at=early.at - 20_000_000)
    record(url, [[early, request(2, failed("old", "timeout"))]])
    assert sum(values[0] for values in over_minutes(url, "latency_warm").values()) == 1
    assert sum(values[0] for values in over_minutes(url, "latency").values()) == 1
    assert over_minutes(url, "error")["old", ""] == (2, 1, 0, 0, 0)


def test_recorders_that_meet_the_same_units_and_questions_at_once_lose_and_double_nothing(postgres_url: str, empty: Path) -> None:
    sticky(postgres_url)
    streams = [[_renumbered(record, 1_000 * part) for record in lively(part, 60)] for part in range(3)]
    errors: list[BaseException] = []

    def run(part: int) -> None:
        try:
            record(postgres_url, cut(streams[part], range(5, 200, 5)), f"worker-{part}")
        except BaseException as error:  # noqa: BLE001  (a thread's error is the test's)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    alone = copied(empty, next(_numbers))
    for part in range(3):
        record(alone, [streams[part]], f"worker-{part}")
    for metric in ("unit:error", "unit:timeout", "error", "units"):
        assert over_minutes(postgres_url, metric) == over_minutes(alone, metric)
    for metric in ("first_unit", "first_error", "first_timeout", "pair_error", "pair_timeout"):
        assert _total(postgres_url, metric) == _total(alone, metric)
    duplicates = sum(row["duplicate"] for row in rows(postgres_url, "pair"))
    assert duplicates == sum(row["duplicate"] for row in rows(alone, "pair")) > 0


def _total(url: str, metric: str) -> float:
    return sum(values[0] for values in over_minutes(url, metric).values())


def _renumbered(record: Served | Compared, by: int) -> Served | Compared:
    if isinstance(record, Compared):
        return Compared(_moved(record.served, by), record.shadow)
    return _moved(record, by)


def _moved(one: Served, by: int) -> Served:
    number = int.from_bytes(one.id, "big") + by
    return msgspec.structs.replace(one, id=number.to_bytes(16, "big"), request_id=f"r{number}".encode())
