"""A12 to A15: shares of traffic, of labels, and of slow requests; quantiles from buckets."""

from collections import Counter

import numpy as np
from scipy.special import chdtrc
from scipy.stats import norm

from modelctl.latency import bucket_index, growth
from modelctl.statistics import coin, quantiles, sample_ratio, tuning
from modelctl.statistics.arrays import Floats
from tests.statistics.acceptance.promise import (
    LOG_20,
    Bools,
    Case,
    Measured,
    alarms,
    batches,
    control,
    cumulative,
    false_alarms,
    first_look,
    most,
)

HALVES = np.array([0.5, 0.5])


def blocked(counts: Floats) -> Bools:
    """Where the split of two arms, the last axis, is proven not to be even."""
    proven: Bools = sample_ratio.log_e(counts, HALVES) >= sample_ratio.BLOCK_LOG_E
    return proven


def split(rng: np.random.Generator, share: float, *, runs: int, looks: int) -> Floats:
    """Units of two arms at every hundredth."""
    first = cumulative(rng.binomial(100, share, size=(runs, looks)))
    return np.stack([first, 100 * np.arange(1.0, looks + 1) - first], axis=-1)


def splits(runs: int) -> list[Measured]:
    """A12: 100,000 units, a look at every hundredth."""
    rng, kept, naive = np.random.default_rng(12), 0, 0
    for part in batches(runs, 500):
        counts = split(rng, 0.5, runs=part, looks=1000)
        kept += alarms(blocked(counts))
        half = counts.sum(axis=-1, keepdims=True) / 2
        naive += alarms(chdtrc(1, ((counts - half) ** 2 / half).sum(axis=-1)) < 0.001)
    stop = 100 * first_look(blocked(split(rng, 0.52, runs=500, looks=500)))
    wrong = most(runs, 0.001) + 1
    return [
        false_alarms("healthy split blocked, 1,000 looks", kept, runs=runs, rate=0.001),
        control("a chi-square test at 0.001 on the same", naive, runs=runs, share=wrong / runs),
        Measured(setting="units until 52/48 is blocked, median", found=float(np.median(stop)), bound=13_000),
    ]


def labels(rng: np.random.Generator, arrive: tuple[float, float], *, runs: int, looks: int) -> Floats:
    """Labelled predictions of either arm at every 200th prediction."""
    first = rng.binomial(200, 0.5, size=(runs, looks))
    return np.stack([cumulative(rng.binomial(first, arrive[0])), cumulative(rng.binomial(200 - first, arrive[1]))], axis=-1)


def label_splits(runs: int) -> list[Measured]:
    """A13."""
    rng, kept, few = np.random.default_rng(13), 0, max(runs // 25, 20)
    for part in batches(runs, 1000):
        kept += alarms(blocked(labels(rng, (0.9, 0.9), runs=part, looks=300)))
    stop = 200 * first_look(blocked(labels(rng, (0.9, 0.85), runs=few, looks=300)))
    return [
        Measured(
            setting="labels of 90 % and 85 % of predictions told apart within 60,000",
            found=int(np.isfinite(stop).sum()),
            bound=0.95 * few,
            at_least=True,
            runs=few,
        ),
        false_alarms("labels that come alike blocked, 300 looks", kept, runs=runs, rate=0.001),
    ]


def slow_requests(runs: int) -> list[Measured]:
    """A14: the share slower than the baseline's p99, every 25th of 20,000 requests."""
    rng, kept, limit, naive = np.random.default_rng(14), 0, 0, 0
    n: Floats = np.arange(25.0, 20_001, 25)
    for part in batches(runs, 1000):
        slow = cumulative(rng.binomial(25, 0.01, size=(part, 800)))
        kept += alarms(coin.log_e(slow, n, p0=0.01) >= LOG_20)
        limit += alarms(coin.log_e(slow, n, p0=0.01, kappa=tuning.limit_concentration(0.01)) >= LOG_20)
        naive += alarms((np.abs(slow - 0.01 * n) > 1.96 * np.sqrt(0.0099 * n))[:, n >= 1000])
    return [
        false_alarms("share slower than a p99, 800 looks, with a limit's prior", limit, runs=runs),
        false_alarms("the same with the prior of 100 trials", kept, runs=runs),
        control("a z-test on the same from 1,000 requests on", naive, runs=runs, share=0.15),
    ]


def lognormal(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Milliseconds of a service of one kind."""
    return rng.lognormal(3.0, 0.6, size=size)


def bimodal(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Milliseconds of a service where one request in five misses a cache."""
    return np.exp(np.where(rng.random(size) < 0.8, rng.normal(2.0, 0.3, size), rng.normal(5.0, 0.5, size)))


def true_quantile(name: str, q: float) -> float:
    """The quantile of the distribution that a stream is drawn from; of the bimodal one by bisection."""
    if name == "lognormal":
        return float(np.exp(3.0 + 0.6 * norm.ppf(q)))
    low, high = -5.0, 10.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        below = 0.8 * norm.cdf(middle, 2.0, 0.3) + 0.2 * norm.cdf(middle, 5.0, 0.5)
        low, high = (middle, high) if below < q else (low, middle)
    return float(np.exp(low))


def histogram(values: Floats) -> quantiles.Histogram:
    """The buckets of a stream, each value by the product's own index."""
    return quantiles.Histogram(Counter(bucket_index(float(value)) for value in values))


def missed_quantile(values: Floats, q: float, *, truth: float) -> Bools:
    """Where, at every 50th value, `quantiles.interval` ends before the bucket of the truth or begins behind it.

    Its ends are the edges whose coin is rejected, so only the two edges of that bucket are needed.
    """
    index = bucket_index(truth)
    n = np.arange(50.0, values.shape[1] + 1, 50)
    upto = [cumulative(values <= growth() ** end)[:, 49::50] for end in (index, index - 1)]
    too_few, too_many = (coin.log_e(below, np.broadcast_to(n, below.shape), p0=q) >= LOG_20 for below in upto)
    missed: Bools = (too_few & (upto[0] < q * n)) | (too_many & (upto[1] > q * n))
    return missed


def latencies(runs: int) -> list[Measured]:
    """A15: 2,000 values each. The scalar functions must agree with the arrays at the end of every tenth stream."""
    found, errors, apart, checked = [], [], 0, 0
    for name, draw in (("lognormal", lognormal), ("bimodal", bimodal)):
        values = draw(np.random.default_rng(15), (runs, 2000))
        some = {row: histogram(values[row]) for row in range(0, runs, 10)}
        for q in (0.5, 0.95, 0.99):
            truth = true_quantile(name, q)
            missed = missed_quantile(values, q, truth=truth)
            found.append(false_alarms(f"p{100 * q:g} of {name} latencies missed, 40 looks", alarms(missed), runs=runs))
            for row, buckets in some.items():
                low, high = quantiles.interval(buckets, q, alpha=0.05)
                exact = np.sort(values[row])[int(q * 1999)]
                errors.append(abs((quantiles.quantile(buckets, q) or 0.0) / exact - 1))
                apart += (not low < truth < high) != bool(missed[row, -1])
                checked += 1
    return [
        *found,
        Measured(setting="largest relative error of these quantiles", found=max(errors), bound=0.01),
        Measured(setting="intervals of whole histograms that say otherwise", found=apart, bound=0, runs=checked),
    ]


CASES = (
    Case(id="A12", measure=splits, runs=5000, quick=500),
    Case(id="A13", measure=label_splits, runs=5000, quick=500),
    Case(id="A14", measure=slow_requests, runs=2000, quick=300),
    Case(id="A15", measure=latencies, runs=1000, quick=50),
)
