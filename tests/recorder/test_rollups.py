"""Sums: what is counted under which metric and key, and that sums of parts add up to the sum of the whole."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.evidence import INFLIGHT, SENT, Answer, Compared, Served
from modelctl.recorder.readings import Reading
from modelctl.recorder.rollups import DISTINCT_KEYS, OTHER, Fold, bucket, first_numbers
from tests.recorder.stream import START, answer, readings, served, shown_to_new

TEXT = "word " * 40

Sums = dict[tuple[object, ...], tuple[float, ...]]


def _fold(parts: Sequence[Sequence[Reading]]) -> Sums:
    """The sums of all parts, each folded alone and added up as the database does it; with one place's pivots for all."""
    pivots = first_numbers([item for part in parts for item in part])
    total: dict[tuple[object, ...], list[float]] = {}
    for part in parts:
        fold = Fold(pivots)
        for item in part:
            fold.add(item)
        for row in fold.rows():
            key = tuple(row[name] for name in ("route", "rollout", "stage", "arm", "metric", "key", "minute"))
            values = [float(str(row[name])) for name in ("n", "k", "s1", "s2", "sp")]
            total[key] = [a + b for a, b in zip(total.get(key, [0.0] * 5), values, strict=True)]
    return {key: tuple(values) for key, values in total.items()}


def _of(records: Sequence[Served | Compared], metric: str) -> dict[tuple[object, object], tuple[float, ...]]:
    """A metric's sums by arm and key, over all minutes."""
    found: dict[tuple[object, object], tuple[float, ...]] = {}
    for (_route, _rollout, _stage, arm, name, key, _minute), values in _fold([readings(records)]).items():
        if name == metric:
            before = found.get((arm, key), (0.0,) * 5)
            found[arm, key] = tuple(a + b for a, b in zip(before, values, strict=True))
    return found


def _counts(records: Sequence[Served | Compared], metric: str) -> dict[tuple[object, object], float]:
    return {key: values[0] for key, values in _of(records, metric).items()}


def test_a_request_is_counted_once_under_its_outcome() -> None:
    records = [served(1, answer("old")), served(2, answer("old", status=404)), served(3, answer("new", status=500))]
    assert _counts(records, "requests") == {("old", "ok"): 1, ("old", "client_error"): 1, ("new", "backend_error"): 1}
    assert _counts(records, "units") == {("old", ""): 2, ("new", ""): 1}


def test_backend_errors_and_timeouts_are_failures_and_client_errors_are_not() -> None:
    given = [answer("old"), answer("old", status=404), answer("old", status=503), answer("old", failure="timeout")]
    records = [served(number, one) for number, one in enumerate(given)]
    assert _of(records, "error") == {("old", ""): (4, 2, 0, 0, 0)}


def test_previews_and_requests_whose_client_left_are_counted_nowhere() -> None:
    gone = served(2, answer("old", failure="client-gone"), shown={"new": SENT})
    records: list[Served | Compared] = [served(1, answer("new"), reason="preview"), gone, Compared(gone, answer("new"))]
    assert _fold([readings(records)]) == {}


def fallback(number: int, given: Answer) -> Served:
    """A request of `new` that `old` answered, because the breaker of `new` was open."""
    return served(number, given, reason="fallback", instead_of="new")


def test_a_fallback_is_counted_apart_and_as_a_unit_of_the_arm_that_was_drawn() -> None:
    records = [
        served(1, answer("old")),
        served(2, answer("new")),
        fallback(3, answer("old", 7)),
        fallback(4, answer("old", status=500)),
    ]
    assert _counts(records, "funnel") == {("new", "eligible"): 1, ("new", "fallback"): 2}
    assert _counts(records, "units") == {("old", ""): 1, ("new", ""): 3}
    assert _counts(records, "requests") == {("old", "ok"): 1, ("new", "ok"): 1}
    assert _of(records, "error") == {("old", ""): (1, 0, 0, 0, 0), ("new", ""): (1, 0, 0, 0, 0)}
    assert _counts(records, "label") == {("old", "cat"): 1, ("new", "cat"): 1}
    assert _counts(records, "number") == {}
    assert sum(_counts(records, "latency").values()) == 2


def test_a_fallback_whose_client_left_is_counted_nowhere() -> None:
    assert _fold([readings([fallback(1, answer("old", failure="client-gone"))])]) == {}


def test_the_minute_is_that_of_the_request() -> None:
    (key,) = (key for key in _fold([readings([served(7_000, answer("old"))])]) if key[4] == "units")
    assert key[6] == (START + 70_000_000) // 60_000_000


@given(st.integers(1, 10**12))
def test_a_latency_is_within_one_percent_of_its_bucket(latency: int) -> None:
    gamma = 1.01 / 0.99
    value = 2 * gamma ** int(bucket(latency)) / (gamma + 1)
    assert math.isclose(value, latency, rel_tol=0.01 + 1e-9)


def test_a_latency_of_zero_has_its_own_bucket() -> None:
    assert bucket(0) == "zero"
    assert bucket(1) == "0"


def test_timeouts_count_as_slow_and_broken_answers_have_no_latency() -> None:
    records = [served(1, answer("old", failure="timeout", latency=90)), served(2, answer("old", failure="reset", latency=90))]
    assert _counts(records, "latency") == {("old", bucket(90)): 1}


def test_labels_are_counted_by_instance() -> None:
    assert _counts([served(1, answer("old", ["cat", "dog", "cat"]))], "label") == {("old", "cat"): 2, ("old", "dog"): 1}


def test_more_labels_than_a_database_should_hold_are_counted_together() -> None:
    many = [f"label {number}" for number in range(DISTINCT_KEYS + 50)]
    found = _counts([served(1, answer("old", many)), served(2, answer("old", many[:1]))], "label")
    assert len(found) == DISTINCT_KEYS + 1
    assert found["old", OTHER] == 50
    assert found["old", "label 0"] == 2


def test_numbers_are_summed_from_the_first_one_so_that_variances_keep_their_digits() -> None:
    records = [served(1, answer("old", 1e9)), served(2, answer("old", 1e9 + 3)), served(3, answer("new", 1e9 + 1))]
    assert _of(records, "number") == {("old", ""): (2, 0, 3, 9, 0), ("new", ""): (1, 0, 1, 1, 0)}


def test_the_instances_of_a_request_are_one_number() -> None:
    records = [served(1, answer("old", 0.0)), served(2, answer("old", [1.0, 5.0]))]
    assert _of(records, "number") == {("old", ""): (2, 0, 3, 9, 0)}


def test_a_number_whose_square_is_no_float_is_not_summed() -> None:
    assert _of([served(1, answer("old", 1e200))], "number") == {}


@pytest.mark.parametrize(
    ("baseline", "candidate", "key"),
    [
        (answer("old"), answer("new"), "0"),
        (answer("old"), answer("new", status=500), "-"),
        (answer("old"), answer("new", failure="connect"), "-"),
        (answer("old", status=500), answer("new"), "+"),
        (answer("old", failure="timeout"), answer("new", status=503), "0"),
        (answer("old", status=422), answer("new", status=422), "0"),
    ],
)
def test_a_pair_counts_who_failed_and_a_missing_candidate_answer_is_a_failure(
    baseline: Answer, candidate: Answer, key: str
) -> None:
    assert _counts([Compared(served(1, baseline), candidate)], "pair_error") == {("new", key): 1}


def test_agreement_and_confusion_are_counted_under_the_candidate() -> None:
    records = [*shown_to_new(1, "cat", "cat"), *shown_to_new(2, "cat", "dog"), *shown_to_new(3, ["a", "b"], ["a", "c"])]
    assert _counts(records, "agreement") == {("new", "equal"): 1, ("new", "different"): 2}
    confusion = {tuple(json.loads(str(key))): n for (_arm, key), n in _counts(records, "confusion").items()}
    assert confusion == {("cat", "cat"): 1, ("cat", "dog"): 1, ("a", "a"): 1, ("b", "c"): 1}


def test_differences_are_candidate_minus_baseline() -> None:
    records = [*shown_to_new(1, 1.0, 3.0), *shown_to_new(2, 5.0, 4.0)]
    assert _of(records, "difference") == {("new", ""): (2, 0, 1, 5, 0)}


def test_texts_and_rankings_are_summed_up_by_how_alike_they_are() -> None:
    texts = [*shown_to_new(1, ["a", "b"], ["a", "b"]), *shown_to_new(2, TEXT + "one", TEXT + "one two two")]
    (sums,) = _of(texts, "similarity").values()
    assert sums == pytest.approx((1, 0, 41 / 42, (41 / 42) ** 2, 0))
    assert _of(shown_to_new(1, "cat", "dog"), "similarity") == {}


def test_paired_numbers_keep_both_sums_and_the_products() -> None:
    records = [*shown_to_new(1, 10.0, 11.0), *shown_to_new(2, 12.0, 15.0)]
    assert _of(records, "pair_number") == {
        ("new", "baseline"): (2, 0, 2, 4, 0),
        ("new", "candidate"): (2, 0, 6, 26, 0),
        ("new", ""): (2, 0, 0, 0, 10),
    }


def test_paired_latencies_are_those_of_the_same_requests() -> None:
    broken = served(2, answer("old", latency=1000), shown={"new": SENT})
    records = [*shown_to_new(1, "cat", "cat"), broken, Compared(broken, answer("new", failure="reset", latency=5))]
    assert _counts(records, "pair_latency") == {
        ("new", f"baseline:{bucket(1001)}"): 1,
        ("new", f"candidate:{bucket(2001)}"): 1,
    }


def test_the_funnel_says_where_shown_requests_went() -> None:
    skipped = served(5, answer("old"), shown={"new": INFLIGHT})
    failed = served(6, answer("old"), shown={"new": SENT})
    unread = served(7, answer("old"), shown={"new": SENT})
    records = [
        *shown_to_new(1, "cat", "cat"),
        served(2, answer("old")),
        served(3, answer("new")),
        served(4, answer("new"), reason="preview"),
        skipped,
        *(failed, Compared(failed, answer("new", failure="timeout"))),
        *(unread, Compared(unread, answer("new", None))),
    ]
    assert _counts(records, "funnel") == {
        ("new", "eligible"): 5,
        ("new", "sampled"): 4,
        ("new", "sent"): 3,
        ("new", "skipped:inflight"): 1,
        ("new", "answered"): 2,
        ("new", "parsed"): 1,
        ("new", "paired"): 3,
    }


_predictions = st.one_of(
    st.sampled_from(["cat", "dog", None]), st.floats(-1e6, 1e6), st.lists(st.sampled_from(["cat", "dog"]), min_size=1, max_size=3)
)
_answers = st.builds(
    answer,
    st.just("new"),
    _predictions,
    status=st.sampled_from([200, 200, 422, 500]),
    failure=st.sampled_from(["", "", "", "timeout", "connect"]),
    latency=st.integers(0, 10**7),
)


@st.composite
def _records(draw: st.DrawFn) -> list[Served | Compared]:
    records: list[Served | Compared] = []
    for number in range(draw(st.integers(0, 12))):
        baseline = draw(_answers)
        if draw(st.booleans()):
            records.append(served(number * 1000, baseline, reason=draw(st.sampled_from(["split", "preview", "fallback"]))))
            continue
        fate = draw(st.sampled_from([SENT, SENT, INFLIGHT]))
        first = served(number * 1000, msgspec.structs.replace(baseline, backend="old"), shown={"new": fate})
        records += [first, Compared(first, draw(_answers))] if fate == SENT else [first]
    return records


@given(_records(), st.sets(st.integers(0, 24)))
def test_however_a_stream_is_cut_into_batches_the_sums_are_the_same(records: list[Served | Compared], cuts: set[int]) -> None:
    found = readings(records)
    edges = [0, *sorted(cut for cut in cuts if cut < len(found)), len(found)]
    parts = [found[start:end] for start, end in pairwise(edges)]
    whole, cut = _fold([found]), _fold(parts)
    assert whole.keys() == cut.keys()
    for key, values in whole.items():
        assert cut[key] == pytest.approx(values, rel=1e-9, abs=1e-6)


@given(_records())
def test_what_enters_the_funnel_is_accounted_for(records: list[Served | Compared]) -> None:
    funnel = {str(key): n for (_arm, key), n in _counts(records, "funnel").items()}
    skipped = sum(n for key, n in funnel.items() if key.startswith("skipped:"))
    count = funnel.get
    assert count("eligible", 0) >= count("sampled", 0) == count("sent", 0) + skipped
    assert count("sent", 0) == count("paired", 0) >= count("answered", 0) >= count("parsed", 0)
    assert count("paired", 0) == sum(_counts(records, "pair_error").values())
    assert count("parsed", 0) == sum(_counts(records, "agreement").values())
