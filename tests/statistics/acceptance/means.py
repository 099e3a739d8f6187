"""A1, A2, A4, A10, A23: the normal mixture on means whose variance is estimated."""

import numpy as np

from modelctl.statistics import difference, normal_mixture, tuning
from modelctl.statistics.arrays import Floats
from tests.statistics.acceptance.promise import (
    Case,
    Measured,
    alarms,
    batches,
    control,
    cumulative,
    false_alarms,
    first_look,
    outside,
)

STEPS = 2000
N_FIXED = 1000
EFFECT = (1.959964 + 0.841621) / np.sqrt(N_FIXED)
"""What a fixed test of N_FIXED pairs with sd 1 finds in 80 % of runs."""


def one_by_one(rng: np.random.Generator, runs: int) -> tuple[Floats, Floats, Floats]:
    """n, mean and standard error after each of STEPS standard normal values."""
    n = np.arange(1.0, STEPS + 1)
    draws = rng.normal(size=(runs, STEPS))
    mean = cumulative(draws) / n
    m2 = np.maximum(cumulative(draws * draws) - n * mean * mean, 0.0)
    return n, mean, np.sqrt(m2 / np.maximum(n - 1, 1) / n)


def watched_t_test(runs: int) -> list[Measured]:
    """A1: the harness sees what peeking does."""
    rng, naive = np.random.default_rng(1), 0
    for part in batches(runs, 500):
        _, mean, se = one_by_one(rng, part)
        naive += alarms(np.abs(mean[:, 9:]) > 1.96 * se[:, 9:])
    return [control("t-test after every observation from 10 to 2,000", naive, runs=runs, share=0.35)]


def pairs_of_unknown_variance(runs: int) -> list[Measured]:
    """A2."""
    rng, missed = np.random.default_rng(2), 0
    for part in batches(runs, 500):
        _, mean, se = one_by_one(rng, part)
        missed += alarms(outside(mean, se, truth=0.0, tau=0.1)[:, difference.MIN_PAIRS - 1 :])
    return [false_alarms("paired means, gate of 30, every pair to 2,000", missed, runs=runs)]


def noisier_candidate(runs: int) -> list[Measured]:
    """A4: 25 of 500 units at each of 300 looks go to a candidate with twice the spread."""
    rng = np.random.default_rng(4)
    looks, n_a, n_b = 300, 475.0, 25.0
    a, b = (rng.normal(0, sd / np.sqrt(n), size=(runs, looks)) for sd, n in ((1.0, n_a), (2.0, n_b)))
    squares_a = n_a * a * a + rng.chisquare(n_a - 1, size=(runs, looks))
    squares_b = n_b * b * b + 4.0 * rng.chisquare(n_b - 1, size=(runs, looks))
    units_a, units_b = n_a * np.arange(1.0, looks + 1), n_b * np.arange(1.0, looks + 1)
    mean_a, mean_b = cumulative(a * n_a) / units_a, cumulative(b * n_b) / units_b
    m2_a, m2_b = cumulative(squares_a) - units_a * mean_a**2, cumulative(squares_b) - units_b * mean_b**2
    gap = mean_b - mean_a
    unpooled, pooled = difference.mean_variances(units_a, units_b, m2_a=m2_a, m2_b=m2_b, gap=gap)
    ready = units_b >= difference.MIN_UNITS
    larger = outside(gap, np.sqrt(np.maximum(unpooled, pooled)), truth=0.0, tau=0.1)
    naive = outside(gap, np.sqrt(pooled), truth=0.0, tau=0.1)
    return [
        false_alarms("means, 5 % canary, its sd twice the baseline's", alarms(ready & larger), runs=runs),
        control("the same with the pooled error alone", alarms(ready & naive), runs=runs, share=0.3),
    ]


def watched(rng: np.random.Generator, *, runs: int, truth: float, looks: int) -> tuple[Floats, Floats, Floats]:
    """n, mean and standard error of pairs with sd 1 after every 5th pair, from batches' exact sums."""
    n: Floats = np.arange(5.0, 5 * looks + 1, 5)
    mean = rng.normal(truth, 1 / np.sqrt(5), size=(runs, looks))
    squares = cumulative(5 * mean * mean + rng.chisquare(4, size=(runs, looks)))
    total = cumulative(5 * mean) / n
    return n, total, np.sqrt(np.maximum(squares - n * total * total, 0.0) / (n - 1) / n)


def power(runs: int) -> list[Measured]:
    """A10: what looking at any time costs against a fixed test with 80 % power."""
    rng, looks = np.random.default_rng(10), 600
    n, mean, se = watched(rng, runs=runs, truth=float(EFFECT), looks=looks)
    tuned = tuning.mixing_sd_at(1 / np.sqrt(N_FIXED))
    found = []
    for name, tau, limit in (
        ("tuned", tuned, 1.75),
        ("tau sqrt(10) too large", tuned * 10**0.5, 2.0),
        # By the formula itself: at a fifth of the pairs it is tuned for, an interval is 3.4 standard errors wide. 200,000 runs
        # with known variance need 2.05 as well (at 2.0 their power is 78.3 %), so no implementation of it comes below 2.0.
        ("tau sqrt(10) too small", tuned / 10**0.5, 2.1),
    ):
        seen = outside(mean, se, truth=0.0, tau=tau) & (n >= difference.MIN_PAIRS)
        stop = 5 * first_look(seen)
        n80 = float(np.quantile(stop, 0.8)) / N_FIXED
        found.append(Measured(setting=f"pairs for 80 % power, {name}, by those of a fixed test", found=n80, bound=limit))
        if name == "tuned":
            early = int((stop <= N_FIXED).sum())
            promise = Measured(
                setting="stopped within the fixed test's pairs", found=early, bound=runs / 2, at_least=True, runs=runs
            )
            found.append(promise)
    return found


def stopped(runs: int) -> list[Measured]:
    """A23: at the moment a run stops its estimate is too large, and its interval covers the truth all the same."""
    rng, truth, tau = np.random.default_rng(23), float(EFFECT), float(EFFECT)
    n, mean, se = watched(rng, runs=runs, truth=truth, looks=800)
    seen = outside(mean, se, truth=0.0, tau=tau) & (n >= difference.MIN_PAIRS)
    at = np.where(seen.any(axis=1), seen.argmax(axis=1), len(n) - 1)
    every = np.arange(runs)
    estimate, error = mean[every, at], se[every, at]
    covered = int((np.abs(estimate - truth) <= normal_mixture.half_width(error, tau=tau, alpha=0.05)).sum())
    bias = float(estimate.mean() / truth)
    return [
        Measured(setting="interval at the stop covers the truth", found=covered, bound=0.95 * runs, at_least=True, runs=runs),
        Measured(
            setting="mean estimate at the stop, by the truth: biased away from 0",
            found=bias,
            bound=1.1,
            at_least=True,
            control=True,
        ),
    ]


CASES = (
    Case(id="A1", measure=watched_t_test, runs=2000, quick=300),
    Case(id="A2", measure=pairs_of_unknown_variance, runs=2000, quick=300),
    Case(id="A4", measure=noisier_candidate, runs=2000, quick=500),
    Case(id="A10", measure=power, runs=3000),
    Case(id="A23", measure=stopped, runs=2000, quick=500),
)
