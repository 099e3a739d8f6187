"""Error rates over thousands of simulated runs that are watched all the time, with broken methods as negative controls.

A bound is the 1e-4 upper tail of a binomial at the nominal error rate, so a correct method passes with nearly any seed.
A control shows that the harness would see a method that does not keep its promise.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import chdtrc
from scipy.stats import binom

from modelctl.statistics import arm_given_event, difference, grid_betting, normal_mixture, sample_ratio
from modelctl.statistics.arrays import Floats

RUNS = 1000
THRESHOLD = np.log(20)


def most(runs: int, rate: float) -> int:
    """The most false alarms that a method with this true error rate may show: exceeded once in 10,000 suites."""
    return int(binom.isf(1e-4, runs, rate))


def alarms(rejected: NDArray[Any]) -> int:
    """Runs (rows) with at least one rejection over all looks (columns)."""
    return int(rejected.astype(bool).any(axis=1).sum())


def outside(estimate: Floats, se: Floats, *, truth: float, tau: float) -> NDArray[np.bool_]:
    """Where the 95 % interval misses the truth; a standard error of 0 claims certainty, as a naive watcher would."""
    safe = np.where(se > 0, se, 1.0)
    half = np.where(se > 0, normal_mixture.half_width(safe, tau=tau, alpha=0.05), 0.0)
    missed: NDArray[np.bool_] = np.abs(estimate - truth) > half
    return missed


def cumulative(draws: NDArray[Any]) -> Floats:
    return np.cumsum(draws, axis=1, dtype=np.float64)


def test_the_bounds_are_those_of_the_acceptance_list() -> None:
    assert [most(300, 0.05), most(1000, 0.05), most(2000, 0.05), most(5000, 0.001)] == [31, 77, 138, 15]


def test_a_watched_t_test_raises_false_alarms_and_the_mixture_does_not() -> None:
    rng = np.random.default_rng(1)
    n = np.arange(1.0, 2001.0)
    draws = rng.normal(size=(RUNS, 2000))
    mean = cumulative(draws) / n
    m2 = np.maximum(cumulative(draws * draws) - n * mean * mean, 0.0)
    se = np.sqrt(m2 / np.maximum(n - 1, 1) / n)
    naive = np.abs(mean[:, 9:]) > 1.96 * se[:, 9:]
    assert alarms(naive) >= 0.35 * RUNS
    gated = outside(mean, se, truth=0.0, tau=0.1)[:, difference.MIN_PAIRS - 1 :]
    assert alarms(gated) <= most(RUNS, 0.05)


def canary(rng: np.random.Generator, *, p_a: float, p_b: float, batch: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Units and events of a 5 % canary at 300 looks, `batch` requests apart: n_a, n_b, k_a, k_b."""
    n_b = rng.binomial(batch, 0.05, size=(RUNS, 300))
    k_a, k_b = rng.binomial(batch - n_b, p_a), rng.binomial(n_b, p_b)
    return cumulative(batch - n_b), cumulative(n_b), cumulative(k_a), cumulative(k_b)


@pytest.mark.parametrize(("rate", "batch"), [(0.01, 1000), (0.001, 3000)])
def test_a_canary_with_rare_errors_keeps_its_promise_with_the_larger_error_and_the_gate(rate: float, batch: int) -> None:
    n_a, n_b, k_a, k_b = canary(np.random.default_rng(2), p_a=rate, p_b=rate, batch=batch)
    estimate = k_b / n_b - k_a / n_a
    unpooled, pooled = difference.proportion_variances(n_a, n_b, k_a=k_a, k_b=k_b)
    ready = difference.expected_events(n_a, n_b, k_a=k_a, k_b=k_b) >= difference.MIN_EXPECTED_EVENTS
    kept = ready & outside(estimate, np.sqrt(np.maximum(unpooled, pooled)), truth=0.0, tau=rate / 2)
    assert alarms(kept) <= most(RUNS, 0.05)
    assert alarms(outside(estimate, np.sqrt(unpooled), truth=0.0, tau=rate / 2)) >= 0.2 * RUNS


@pytest.mark.parametrize(("p_a", "p_b"), [(0.01, 0.03), (0.03, 0.01)])
def test_the_interval_covers_a_true_difference_all_the_time(p_a: float, p_b: float) -> None:
    n_a, n_b, k_a, k_b = canary(np.random.default_rng(3), p_a=p_a, p_b=p_b, batch=1000)
    estimate = k_b / n_b - k_a / n_a
    unpooled, pooled = difference.proportion_variances(n_a, n_b, k_a=k_a, k_b=k_b)
    ready = difference.expected_events(n_a, n_b, k_a=k_a, k_b=k_b) >= difference.MIN_EXPECTED_EVENTS
    missed = outside(estimate, np.sqrt(np.maximum(unpooled, pooled)), truth=p_b - p_a, tau=0.01)
    assert alarms(ready & missed) <= most(RUNS, 0.05)


def test_a_noisier_candidate_needs_the_larger_error() -> None:
    rng = np.random.default_rng(4)
    looks, n_a, n_b = 300, 475.0, 25.0
    a, b = (rng.normal(0, sd / np.sqrt(n), size=(RUNS, looks)) for sd, n in ((1.0, n_a), (2.0, n_b)))
    squares_a = n_a * a * a + rng.chisquare(n_a - 1, size=(RUNS, looks))
    squares_b = n_b * b * b + 4.0 * rng.chisquare(n_b - 1, size=(RUNS, looks))
    units_a, units_b = n_a * np.arange(1.0, looks + 1), n_b * np.arange(1.0, looks + 1)
    mean_a, mean_b = cumulative(a * n_a) / units_a, cumulative(b * n_b) / units_b
    m2_a, m2_b = cumulative(squares_a) - units_a * mean_a**2, cumulative(squares_b) - units_b * mean_b**2
    gap = mean_b - mean_a
    unpooled, pooled = difference.mean_variances(units_a, units_b, m2_a=m2_a, m2_b=m2_b, gap=gap)
    ready = units_b >= difference.MIN_UNITS
    larger = outside(gap, np.sqrt(np.maximum(unpooled, pooled)), truth=0.0, tau=0.1)
    assert alarms(ready & larger) <= most(RUNS, 0.05)
    assert alarms(ready & outside(gap, np.sqrt(pooled), truth=0.0, tau=0.1)) >= 0.3 * RUNS


@pytest.mark.parametrize("theta0", [-0.01, 0.0, -0.005])
def test_bets_on_pairs_keep_their_promise_at_the_boundary(theta0: float) -> None:
    rng = np.random.default_rng(5)
    won, lost = 0.01 + theta0 / 2, 0.01 - theta0 / 2
    counts = rng.multinomial(25, [won, 1 - won - lost, lost], size=(RUNS, 160))
    n_pos, n_zero, n_neg = (cumulative(counts[..., column]) for column in range(3))
    wealth = grid_betting.log_e_up(n_pos, n_zero, n_neg=n_neg, theta0=theta0)
    assert alarms(wealth >= THRESHOLD) <= most(RUNS, 0.05)
    n = n_pos + n_zero + n_neg
    mean, se = (n_pos - n_neg) / n, np.sqrt(np.maximum(n_pos + n_neg, 1) / n**2)
    assert alarms((mean - theta0) / se > 1.645) > most(RUNS, 0.05)


def test_a_ramp_while_the_error_rate_drifts_fools_pooled_rows_only() -> None:
    rng = np.random.default_rng(6)
    runs, batch, looks = 300, 2000, 20
    shares, base = np.array([0.01, 0.05, 0.2, 0.5]), np.array([0.004, 0.02, 0.01, 0.002])
    draws = np.zeros((4, runs, 4 * looks, 4))
    for stage in range(4):
        now = np.s_[:, stage * looks : (stage + 1) * looks, stage]
        n_b = rng.binomial(batch, shares[stage], size=(runs, looks))
        k_a, k_b = rng.binomial(batch - n_b, base[stage]), rng.binomial(n_b, base[stage])
        for drawn, part in zip(draws, (batch - n_b, n_b, k_a, k_b), strict=True):
            drawn[now] = part
    units_a, units_b, events_a, events_b = (cumulative(part) for part in draws)
    assert alarms(arm_given_event.log_e(events_b, events_a + events_b, shares=shares) >= THRESHOLD) <= most(runs, 0.05)

    some_a, some_b = np.maximum(units_a, 1), np.maximum(units_b, 1)
    variances = np.maximum(*difference.proportion_variances(some_a, some_b, k_a=events_a, k_b=events_b))
    weights = difference.overlap(units_a, units_b)
    estimate, se = difference.stratify(events_b / some_b - events_a / some_a, variances, weights=weights)
    expected = difference.expected_events(units_a, units_b, k_a=events_a, k_b=events_b).sum(axis=-1)
    ready = expected >= difference.MIN_EXPECTED_EVENTS
    assert alarms(ready & outside(estimate, se, truth=0.0, tau=0.002)) <= most(runs, 0.05)

    units_a, units_b, events_a, events_b = (part.sum(axis=-1) for part in (units_a, units_b, events_a, events_b))
    se = np.sqrt(np.maximum(*difference.proportion_variances(units_a, units_b, k_a=events_a, k_b=events_b)))
    assert alarms(outside(events_b / units_b - events_a / units_a, se, truth=0.0, tau=0.002)) >= 0.9 * runs


def split(rng: np.random.Generator, share: float, *, runs: int, looks: int, batch: int) -> Floats:
    first = cumulative(rng.binomial(batch, share, size=(runs, looks)))
    return np.stack([first, batch * np.arange(1.0, looks + 1) - first], axis=-1)


def test_a_healthy_split_is_not_blocked_however_often_one_looks() -> None:
    runs, batch = 2000, 250
    counts = split(np.random.default_rng(7), 0.5, runs=runs, looks=400, batch=batch)
    shares = np.array([0.5, 0.5])
    assert alarms(sample_ratio.log_e(counts, shares) >= sample_ratio.BLOCK_LOG_E) <= most(runs, 0.001)
    half = counts.sum(axis=-1, keepdims=True) / 2
    watched = chdtrc(1, ((counts - half) ** 2 / half).sum(axis=-1)) < 0.001
    assert alarms(watched) > most(runs, 0.001)


def test_a_split_of_52_to_48_is_blocked_within_13000_units() -> None:
    runs, batch = 300, 100
    counts = split(np.random.default_rng(8), 0.52, runs=runs, looks=400, batch=batch)
    blocked = sample_ratio.log_e(counts, np.array([0.5, 0.5])) >= sample_ratio.BLOCK_LOG_E
    first = np.where(blocked.any(axis=1), blocked.argmax(axis=1) + 1, 10**6) * batch
    assert np.median(first) <= 13_000


def test_errors_ten_times_the_usual_are_seen_within_3000_requests() -> None:
    rng = np.random.default_rng(9)
    n_b = rng.binomial(500, 0.05, size=(200, 20))
    k_a, k_b = cumulative(rng.binomial(500 - n_b, 0.01)), cumulative(rng.binomial(n_b, 0.1))
    log_e = arm_given_event.log_e(k_b[..., None], (k_a + k_b)[..., None], shares=np.array([0.05]))
    seen = log_e >= THRESHOLD
    first = np.where(seen.any(axis=1), seen.argmax(axis=1) + 1, 10**6) * 500
    assert np.median(first) <= 3_000


def test_the_rate_ratio_is_covered_through_a_ramp_with_drift() -> None:
    rng = np.random.default_rng(10)
    shares, base = np.array([0.05, 0.2, 0.5]), np.array([0.004, 0.02, 0.01])
    for ratio in (0.5, 1.0, 2.0):
        n_b = rng.binomial(500, shares, size=(300, 60, 3))
        k_a, k_b = rng.binomial(500 - n_b, base), rng.binomial(n_b, ratio * base)
        now = np.repeat(np.eye(3), 20, axis=0)[None]
        heads, total = cumulative(k_b * now), cumulative((k_a + k_b) * now)
        assert alarms(arm_given_event.log_e(heads, total, shares=shares, ratio=ratio) >= THRESHOLD) <= most(300, 0.05)
