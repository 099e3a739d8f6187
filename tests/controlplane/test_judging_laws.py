"""Laws of a verdict that hold for any counts: its words, its sentences, and what more data can never do."""

import json
import math
import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.controlplane.judgement.bundle import read_bundle, write_bundle
from modelctl.controlplane.judgement.judging import missing_for
from modelctl.rollout import Rollout
from modelctl.store.summing import Sum
from tests.controlplane.judged import FIVE_PERCENT, GATE, NOW, SHADOW, evidence, gated, judged, pairs, rows_of
from tests.controlplane.scene import counts, rollout, served

HALF = rollout("canary", {"percent_bp": 5000})
GATES = (GATE, "timeout_rate:guardrail:margin=30%", "accuracy:success:design=split", "agreement:guardrail:limit=90%")
FORBIDDEN = ("no difference", "significant", "probability that the null")
COUNTS = st.integers(0, 20_000)


def split(n_a: int, k_a: int, n_b: int, k_b: int) -> list[Sum]:
    return [*served("a", n_a, min(n_a, k_a)), *served("b", n_b, min(n_b, k_b))]


@given(n_a=COUNTS, k_a=COUNTS, n_b=COUNTS, k_b=COUNTS, minus=COUNTS, plus=COUNTS)
@settings(max_examples=60, deadline=None)
def test_any_counts_give_a_word_without_nan_and_without_forbidden_words(
    n_a: int, k_a: int, n_b: int, k_b: int, minus: int, plus: int
) -> None:
    of = gated(rollout("canary", {"percent_bp": 5000, "shadow_bp": 10_000}), *GATES)
    sums = [*split(n_a, k_a, n_b, k_b), *pairs(minus, plus, 10), Sum(1, "b", "accuracy", "", n_b, min(n_b, k_b))]
    sums += [Sum(1, "a", "accuracy", "", n_a, min(n_a, k_a)), *counts("b", "agreement", {"equal": minus, "different": plus})]
    found = evidence(of, sums)
    judgement = judged(of, sums)
    assert judgement.word in ("promote", "rollback", "continue", "inconclusive", "invalid", "no-data")
    body = write_bundle(found, judgement, at=NOW)
    assert b"NaN" not in body
    assert read_bundle(body).judgement == judgement
    said = " ".join([judgement.sentence, judgement.margins, *judgement.needs, *missing_for(judgement, 5_000)]).lower()
    assert not [word for word in FORBIDDEN if word in said]
    assert "nan" not in said.replace("unanswered", "")


@given(n=st.integers(200, 20_000), k_a=st.integers(0, 200), k_b=st.integers(0, 200), more=st.integers(1, 200))
@settings(max_examples=80, deadline=None)
def test_more_failures_of_the_candidate_never_turn_a_rollback_into_anything_better(n: int, k_a: int, k_b: int, more: int) -> None:
    of = gated(HALF, GATE, "error_rate:guardrail:margin=30%", min_n=1)
    before, after = judged(of, split(n, k_a, n, k_b)).word, judged(of, split(n, k_a, n, k_b + more)).word
    assert (before, after) not in (("rollback", "promote"), ("continue", "promote"), ("rollback", "continue"))


@given(n=st.integers(1_000, 50_000), k_a=st.integers(0, 500), k_b=st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_arms_that_change_places_turn_the_harm_of_a_difference_around(n: int, k_a: int, k_b: int) -> None:
    of = gated(HALF, "error_rate:equivalence:margin=1pt")
    (one, *_), (other, *_) = rows_of(of, split(n, k_a, n, k_b)), rows_of(of, split(n, k_b, n, k_a))
    if one.harm_lower is None or one.harm_upper is None:
        assert (one.harm_lower, one.harm_upper) == (other.harm_upper, other.harm_lower)
    else:
        assert (other.harm_lower, other.harm_upper) == pytest.approx((-one.harm_upper, -one.harm_lower), abs=1e-9)


@given(minus=st.integers(0, 300), plus=st.integers(0, 300), same=st.integers(0, 20_000))
@settings(max_examples=60, deadline=None)
def test_pairs_that_change_sides_turn_their_harm_around(minus: int, plus: int, same: int) -> None:
    of = gated(SHADOW, "error_rate:equivalence:margin=1pt")
    if minus + plus + same:
        one, other = rows_of(of, pairs(minus, plus, same))[0], rows_of(of, pairs(plus, minus, same))[0]
        assert (other.harm_lower, other.harm_upper) == pytest.approx((-(one.harm_upper or 0), -(one.harm_lower or 0)), abs=1e-9)


@given(minus=st.integers(0, 100), plus=st.integers(0, 100), same=st.integers(1, 5_000))
@settings(max_examples=60, deadline=None)
def test_more_pairs_on_which_both_agree_never_prove_harm(minus: int, plus: int, same: int) -> None:
    of = gated(SHADOW, "error_rate:guardrail:margin=1pt")
    few, many = rows_of(of, pairs(minus, plus, same))[0], rows_of(of, pairs(minus, plus, 2 * same))[0]
    assert few.harm_lower is not None
    assert many.harm_lower is not None
    assert many.harm_lower <= max(few.harm_lower, 0.0) + 1e-9


@given(n=st.integers(1_000, 50_000), k_a=st.integers(0, 500), k_b=st.integers(0, 500))
@settings(max_examples=40, deadline=None)
def test_a_margin_beyond_all_harm_promotes_and_a_smaller_level_promotes_later(n: int, k_a: int, k_b: int) -> None:
    sums = split(n, k_a, n, k_b)
    assert judged(gated(HALF, "error_rate:guardrail:margin=100pt,design=split", "error_rate:info"), sums).word in (
        "promote",
        "invalid",
    )
    usual, strict = (rows_of(gated(HALF, GATE, alpha_promote=alpha, alpha_rollback=alpha), sums)[0] for alpha in (0.05, 0.0001))
    for near, far in ((usual.harm_upper, strict.harm_upper), (strict.harm_lower, usual.harm_lower)):
        assert far is None or near is None or near <= far


def test_the_order_of_gates_and_of_sums_does_not_matter() -> None:
    sums = [
        *split(50_000, 500, 50_000, 510),
        Sum(1, "a", "accuracy", "", 50_000, 40_000),
        Sum(1, "b", "accuracy", "", 50_000, 41_000),
    ]
    ladder = rollout("canary", {"percent_bp": 5000, "shadow_bp": 10_000})
    sums += [*pairs(10, 20, 50_000), *counts("b", "agreement", {"equal": 9_900, "different": 100})]
    gates = (GATE, "accuracy:success:design=split", "agreement:guardrail:limit=90%", "error_rate:guardrail:margin=30%,design=split")

    def facts(of: Rollout, found: list[Sum]) -> tuple[str, set[tuple[object, ...]]]:
        rows = rows_of(of, found)
        return judged(of, found).word, {(row.gate, row.design, row.harm_lower, row.harm_upper, row.finding) for row in rows}

    chance = random.Random(1)
    wanted = facts(gated(ladder, *gates), sums)
    for order in permutations(gates):
        assert facts(gated(ladder, *order), chance.sample(sums, len(sums))) == wanted


def test_a_rollout_whose_ladder_was_left_out_of_the_bundle_is_not_judged_by_chance() -> None:
    found = evidence(gated(FIVE_PERCENT, GATE), split(95_000, 950, 5_000, 50))
    document = json.loads(write_bundle(found, judged(found.rollout, split(95_000, 950, 5_000, 50)), at=NOW))
    assert document["results"][0]["alpha"] == pytest.approx(0.025)
    assert math.isclose(document["judgement"]["harms"][0]["margin"], 0.005)
