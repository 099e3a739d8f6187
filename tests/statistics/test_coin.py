import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import coin
from modelctl.statistics.comparison import State

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_log_e_at_the_edges_is_the_threshold(counts: tuple[int, int]) -> None:
    k, n = counts
    for end in coin.interval(k, n, alpha=0.05):
        if 0 < end < 1:
            assert float(coin.log_e(k, n, p0=end)) == pytest.approx(math.log(20), abs=1e-9)


@given(COUNTS)
def test_a_stricter_interval_contains_a_looser_one_and_both_the_share(counts: tuple[int, int]) -> None:
    k, n = counts
    strict, loose = coin.interval(k, n, alpha=0.01), coin.interval(k, n, alpha=0.05)
    assert 0 <= strict[0] <= loose[0] <= k / n <= loose[1] <= strict[1] <= 1


def test_degrees_from_0_to_1_are_covered_at_every_look_as_flips_are() -> None:
    """A likelihood ratio of flips is convex in an outcome, so for degrees of the same mean its expectation is at most 1."""
    rng = np.random.default_rng(5)
    draws = {
        "flips": (rng.random((400, 1500)) < 0.9).astype(float),
        "two places": np.where(rng.random((400, 1500)) < 0.8, 1.0, 0.5),
        "spread": rng.beta(4.5, 0.5, (400, 1500)),
    }
    missed = {}
    for name, values in draws.items():
        k, n = np.cumsum(values, axis=1), np.arange(1.0, 1501)
        missed[name] = int((coin.log_e(k, n, p0=0.9) >= math.log(20)).any(axis=1).sum())
    assert max(missed.values()) <= 35  # 5 % of 400, and 99.9 % of chance
    assert missed["two places"] <= missed["flips"]
    wrong = np.cumsum(np.where(rng.random((400, 1500)) < 0.5, 1.0, 0.5), axis=1)
    assert (coin.log_e(wrong, np.arange(1.0, 1501), p0=0.9) >= math.log(20)).any(axis=1).all()


@given(COUNTS)
def test_heads_and_tails_are_alike(counts: tuple[int, int]) -> None:
    k, n = counts
    heads, tails = coin.interval(k, n, alpha=0.05), coin.interval(n - k, n, alpha=0.05)
    assert heads == pytest.approx((1 - tails[1], 1 - tails[0]), abs=1e-9)


@given(st.integers(0, 100), st.integers(1, 100))
def test_any_share_gives_evidence_without_nan(heads: int, more: int) -> None:
    found = coin.compare(heads, heads + more, null=0.01, alpha=0.05)
    assert math.isfinite(found.log_e)
    assert 0 <= found.p <= 1


def test_no_heads_give_a_lower_end_of_0_and_no_tails_an_upper_end_of_1() -> None:
    assert coin.interval(0, 427, alpha=0.05)[0] == 0.0
    assert coin.interval(427, 427, alpha=0.05)[1] == 1.0


def test_no_trials_say_nothing() -> None:
    found = coin.compare(0, 0, null=0.5, alpha=0.05)
    assert (found.estimate, found.lower, found.upper, found.log_e) == (None, 0.0, 1.0, 0.0)
    assert found.state is State.NO_DATA


def test_a_sum_of_scores_between_0_and_1_is_a_share_too() -> None:
    lower, upper = coin.interval(412.75, 1000, alpha=0.05)
    assert lower < 0.41275 < upper


def test_the_interval_narrows_as_trials_come_in() -> None:
    widths = [upper - lower for lower, upper in (coin.interval(n // 10, n, alpha=0.05) for n in range(200, 5000, 200))]
    assert widths == sorted(widths, reverse=True)


def test_zero_errors_certify_one_percent_only_after_hundreds_of_requests() -> None:
    proven = [n for n in range(100, 1000) if coin.interval(0, n, alpha=0.05)[1] < 0.01]
    assert 299 < proven[0] < 700


def test_a_hundred_million_trials_stay_finite() -> None:
    found = coin.compare(1_000_500, 100_000_000, null=0.01, alpha=0.05)
    assert found.lower < 0.010005 < found.upper
    assert math.isfinite(found.log_e)


@pytest.mark.parametrize(("k", "n"), [(-1, 10), (11, 10), (1, math.nan)])
def test_what_is_no_share_is_refused(k: float, n: float) -> None:
    with pytest.raises(InvalidInput, match="not a share"):
        coin.interval(k, n, alpha=0.05)


def test_a_null_of_0_or_1_is_refused() -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        coin.compare(1, 10, null=0.0, alpha=0.05)
