"""What a worker counts: the outcome, the bucket, and that a look takes everything once."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl import counts, evidence
from modelctl.counts import BUCKETS, OUTCOMES, bucket_of
from modelctl.evidence import Answer
from modelctl.kinds.outcome import judged
from modelctl.router.census import Census
from modelctl.router.counting import ArmCounts, outcome_of, trace_of

FAILURES = (
    "",
    evidence.CONNECT,
    evidence.TLS,
    evidence.TIMEOUT,
    evidence.RESET,
    evidence.TRUNCATED,
    evidence.INVALID,
    evidence.OVERLOAD,
    evidence.CLIENT_GONE,
)
PLACE = ("requests", "fraud", "old")
asked = st.tuples(st.integers(0, 599), st.sampled_from(FAILURES), st.integers(0, 10**8))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_router_and_the_recorder_name_an_answer_without_a_body_alike(failure: str) -> None:
    for status in range(100, 600):
        answer = Answer("old", status, failure, 1, 1, b"", b"", b"", 0)
        assert OUTCOMES[outcome_of(status, failure)] == judged(answer).value


@given(st.lists(asked))
def test_every_answer_is_counted_once_and_timed_when_it_says_how_fast_the_backend_is(answers: list[tuple[int, str, int]]) -> None:
    arm = ArmCounts()
    for status, failure, took in answers:
        arm.answered(status, failure, took=took)
    timed = [took for status, failure, took in answers if status != 101 and failure in ("", evidence.TIMEOUT)]
    assert sum(arm.outcomes) == len(answers)
    assert dict(zip(BUCKETS, arm.durations, strict=True)) == dict.fromkeys(BUCKETS, 0) | Counter(map(bucket_of, timed))
    assert arm.took == sum(timed)


@given(st.lists(st.lists(asked)))
def test_looks_add_up_to_what_was_counted(rounds: list[list[tuple[int, str, int]]]) -> None:
    arm, census, found = ArmCounts(), Census(), Counter[counts.Key]()
    for answers in rounds:
        for status, failure, took in answers:
            arm.answered(status, failure, took=took)
            arm.skipped(evidence.SHED)
        found.update(dict(census.arms({PLACE: arm})))
    assert not list(census.arms({PLACE: arm}))
    by_outcome = {word: found[*PLACE, word] for word in OUTCOMES}
    assert by_outcome == dict(zip(OUTCOMES, arm.outcomes, strict=True))
    assert found["requests-took", "fraud", "old"] == arm.took
    assert found[*PLACE, "skipped_shed"] == sum(map(len, rounds))


def test_the_slowest_answer_between_two_looks_stands_for_the_others() -> None:
    arm, census = ArmCounts(), Census()
    for took in (3, 9, 7):
        if arm.answered(200, "", took=took):
            arm.exemplify(took, f"trace-{took}", at=took)
    list(census.arms({PLACE: arm}))
    assert [(one.trace, one.took) for one in census.exemplars] == [("trace-9", 9)]
    assert arm.answered(200, "", took=1)


def test_a_count_that_began_anew_counts_from_nothing() -> None:
    census = Census()
    told = [dict(census.single([(("retries", "old"), count)])) for count in (5, 5, 2)]
    assert told == [{("retries", "old"): 5}, {}, {("retries", "old"): 2}]


def test_a_request_is_traced_under_the_id_that_its_client_gave() -> None:
    assert trace_of(b"\1" * 16, b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01") == "a" * 32
    assert trace_of(b"\1" * 16, b"") == "01" * 16
