"""A19, A20: error levels of the whole verdict, from counts and sums through `criterion` and `decide`.

The words come from the product's own functions. They are asked only at looks where the arrays say that the answer could be the one
that is counted; everywhere else an end of some interval is on the wrong side of its margin by more than rounding, and a sample
of those looks is asked as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import xlogy

from modelctl.statistics import arm_given_event, difference, normal_mixture, sample_ratio, tuning
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.arrays import Floats
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import MeanStage, Proportion, ProportionStage
from modelctl.statistics.moments import Moments
from modelctl.statistics.sample_ratio import ShareStage
from modelctl.statistics.verdict import Mode, Role, Sample, Word, criterion, decide
from tests.statistics.acceptance.canary import Counts
from tests.statistics.acceptance.promise import Bools, Case, Measured, control, cumulative, false_alarms

ALPHA = 0.05
ROUNDING = 1e-9
SHARE = 0.5
LOOKS = 600


class Metric(Protocol):
    """A guarded metric of every run (row) at every look (column). More is worse."""

    @property
    def margin(self) -> float:
        """The harm that is tolerated."""

    def compare(self, run: int, look: int, *, alpha: float) -> Comparison:
        """What the product makes of it at one look."""

    def ends(self, alpha: float) -> tuple[Floats, Floats]:
        """Numbers above 0 where harm is surely above 0, and where it is surely below the margin."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Events, by the arm of each."""

    counts: Counts
    margin: float = 0.0

    def compare(self, run: int, look: int, *, alpha: float) -> Comparison:
        """By arm given event."""
        k_a, k_b = int(self.counts.k_a[run, look]), int(self.counts.k_b[run, look])
        return arm_given_event.compare([EventStage(k_b, k_a + k_b, SHARE)], alpha=alpha)

    def ends(self, alpha: float) -> tuple[Floats, Floats]:
        """The evidence above its threshold, on either side of a ratio of 1.

        A mixture is never above the best of what it mixes, so the evidence is computed only where that best is above the threshold.
        """
        heads, total = self.counts.k_b, self.counts.k_a + self.counts.k_b
        tails, best = total - heads, np.maximum(total, 1)
        bound = xlogy(heads, heads / best / SHARE) + xlogy(tails, tails / best / (1 - SHARE)) - tuning.log_threshold(alpha)
        near = bound > -ROUNDING
        evidence = arm_given_event.log_e(heads[near][:, None], total[near][:, None], shares=np.array([SHARE]))
        bound[near] = evidence - tuning.log_threshold(alpha)
        return np.where(heads > SHARE * total, bound, -np.inf), np.where(heads < SHARE * total, bound, -np.inf)


@dataclass(frozen=True, slots=True)
class Rate:
    """Events, by the difference of their rates."""

    counts: Counts
    tau: float
    margin: float = 0.0

    def compare(self, run: int, look: int, *, alpha: float) -> Comparison:
        """By the normal mixture."""
        n_a, n_b, k_a, k_b = (int(part[run, look]) for part in (self.counts.n_a, self.counts.n_b, self.counts.k_a, self.counts.k_b))
        stage = ProportionStage(Proportion(n_a, k_a), Proportion(n_b, k_b))
        return difference.compare_proportions([stage], tau=self.tau, alpha=alpha)

    def ends(self, alpha: float) -> tuple[Floats, Floats]:
        """The distances of the interval from 0 and from the margin, where the gate is open."""
        half = half_width(np.sqrt(np.maximum(*self.counts.variances)), tau=self.tau, alpha=alpha)
        ready = self.counts.expected >= difference.MIN_EXPECTED_EVENTS
        gap = self.counts.gap
        return np.where(ready, gap - half, -np.inf), np.where(ready, self.margin - gap - half, -np.inf)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of either arm: units, mean and sum of squared deviations."""

    n: tuple[Floats, Floats]
    mean: tuple[Floats, Floats]
    m2: tuple[Floats, Floats]
    tau: float
    margin: float = 0.0

    def compare(self, run: int, look: int, *, alpha: float) -> Comparison:
        """By the normal mixture."""
        a, b = (
            Moments(int(n[run, look]), float(mean[run, look]), float(m2[run, look]))
            for n, mean, m2 in zip(self.n, self.mean, self.m2, strict=True)
        )
        return difference.compare_means([MeanStage(a, b)], tau=self.tau, alpha=alpha)

    def ends(self, alpha: float) -> tuple[Floats, Floats]:
        """The distances of the interval from 0 and from the margin, where the gate is open."""
        gap = self.mean[1] - self.mean[0]
        pair = difference.mean_variances(*self.n, m2_a=self.m2[0], m2_b=self.m2[1], gap=gap)
        half = half_width(np.sqrt(np.maximum(*pair)), tau=self.tau, alpha=alpha)
        ready = np.minimum(*self.n) >= difference.MIN_UNITS
        return np.where(ready, gap - half, -np.inf), np.where(ready, self.margin - gap - half, -np.inf)


def half_width(se: Floats, *, tau: float, alpha: float) -> Floats:
    """Of an interval; infinite without variation, of which nothing follows."""
    some = se > 0
    return np.where(some, normal_mixture.half_width(np.where(some, se, 1.0), tau=tau, alpha=alpha), np.inf)


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Runs of a rollout with several guardrails over the same units, `n` of each arm."""

    n: tuple[Floats, Floats]
    metrics: Sequence[Metric]

    def word(self, run: int, look: int, *, alphas: Sequence[float]) -> Word:
        """The verdict at one look, by the product's own functions; `alphas` are the levels that may roll back."""
        units = int(self.n[0][run, look]), int(self.n[1][run, look])
        criteria = [
            criterion(
                f"metric {number}",
                Role.GUARDRAIL,
                margin=metric.margin,
                higher_is_better=False,
                for_rollback=metric.compare(run, look, alpha=alpha),
                for_promote=metric.compare(run, look, alpha=ALPHA),
            )
            for number, (metric, alpha) in enumerate(zip(self.metrics, alphas, strict=True))
        ]
        split = sample_ratio.compare([ShareStage(units, (1 - SHARE, SHARE))])
        sample = Sample(n=sum(units), min_n=1000, log_e_srm=split.log_e)
        return decide(criteria, sample, mode=Mode.NON_INFERIORITY).word

    def ever(self, wanted: Word, *, alphas: Sequence[float]) -> int:
        """Runs with this word, rollback or promote, at some look."""
        possible = self._possible(wanted, alphas=alphas)
        found = 0
        for run in np.flatnonzero(possible.any(axis=1)):
            looks = np.flatnonzero(possible[run])
            found += any(self.word(int(run), int(look), alphas=alphas) is wanted for look in looks)
        self._check_a_sample_of_the_rest(wanted, ~possible, alphas=alphas)
        return found

    def _possible(self, wanted: Word, *, alphas: Sequence[float]) -> Bools:
        harmful = [metric.ends(alpha)[0] > -ROUNDING for metric, alpha in zip(self.metrics, alphas, strict=True)]
        harmless = [metric.ends(ALPHA)[1] > -ROUNDING for metric in self.metrics]
        possible: Bools = np.any(harmful, axis=0) if wanted is Word.ROLLBACK else np.all(harmless, axis=0)
        return possible

    def _check_a_sample_of_the_rest(self, wanted: Word, elsewhere: Bools, *, alphas: Sequence[float]) -> None:
        places = np.argwhere(elsewhere)
        for run, look in np.random.default_rng(0).choice(places, size=100):
            assert self.word(int(run), int(look), alphas=alphas) is not wanted


def widening_looks(runs: int, requests: float) -> Floats:
    """Requests between LOOKS looks that come ever more rarely: as much chance of a false alarm in each, up to `requests`."""
    ends = np.unique(np.geomspace(200, requests, LOOKS).astype(np.int64))
    return np.broadcast_to(np.diff(ends, prepend=0), (runs, len(ends)))


def units(rng: np.random.Generator, batch: Floats) -> tuple[Floats, Floats]:
    """How many of each batch each arm gets."""
    n_b = rng.binomial(batch.astype(np.int64), SHARE).astype(np.float64)
    return batch - n_b, n_b


def events(rng: np.random.Generator, n: tuple[Floats, Floats], *, rate: float) -> Counts:
    """The same rate in both arms."""
    k_a, k_b = (rng.binomial(part.astype(np.int64), rate) for part in n)
    return Counts(cumulative(n[0]), cumulative(n[1]), cumulative(k_a), cumulative(k_b))


def sums(rng: np.random.Generator, n: Floats, *, noise: Floats) -> tuple[Floats, Floats]:
    """Cumulative mean and m2 of unit variance, from the exact sums of batches whose standardised means are `noise`."""
    some = np.maximum(n, 1)
    mean = noise / np.sqrt(some)
    squares = cumulative(n * mean * mean + np.where(n > 1, rng.chisquare(np.maximum(n - 1, 1)), 0.0))
    total, seen = cumulative(n * mean), np.maximum(cumulative(n), 1)
    return total / seen, np.maximum(squares - total * total / seen, 0.0)


def ten_guardrails(runs: int) -> list[Measured]:
    """A20: two ratios, two differences of rates and six means, all without any difference between the arms."""
    rng = np.random.default_rng(20)
    n = units(rng, widening_looks(runs, 1e7))
    seen = cumulative(n[0]), cumulative(n[1])
    metrics: list[Metric] = [Ratio(events(rng, n, rate=rate)) for rate in (0.02, 0.1)]
    metrics += [Rate(events(rng, n, rate=rate), tau=rate / 5) for rate in (0.1, 0.3)]
    for tau in (0.02, 0.02, 0.05, 0.05, 0.1, 0.1):
        (mean_a, m2_a), (mean_b, m2_b) = (sums(rng, part, noise=rng.normal(size=part.shape)) for part in n)
        metrics.append(Mean(seen, (mean_a, mean_b), (m2_a, m2_b), tau=tau))
    rollouts = Rollouts(seen, metrics)
    split = tuple(tuning.split_alpha(ALPHA, {str(number): 1.0 for number in range(len(metrics))}).values())
    whole = [ALPHA] * len(metrics)
    return [
        false_alarms("rollback, ten guardrails, through the whole verdict", rollouts.ever(Word.ROLLBACK, alphas=split), runs=runs),
        control("the same without the split of alpha", rollouts.ever(Word.ROLLBACK, alphas=whole), runs=runs, share=0.15),
    ]


def three_guardrails(rng: np.random.Generator, *, runs: int, harm: float, margin: float) -> Rollouts:
    """Three means with correlation 0.5; the candidate is worse by `harm` on the first alone."""
    n = units(rng, widening_looks(runs, 1e5))
    seen = cumulative(n[0]), cumulative(n[1])
    common = [rng.normal(size=part.shape) for part in n]
    metrics: list[Metric] = []
    for worse in (harm, 0.0, 0.0):
        noise = [np.sqrt(0.5) * (shared + rng.normal(size=shared.shape)) for shared in common]
        (mean_a, m2_a), (mean_b, m2_b) = (sums(rng, part, noise=own) for part, own in zip(n, noise, strict=True))
        metrics.append(Mean(seen, (mean_a, mean_b + worse), (m2_a, m2_b), tau=margin, margin=margin))
    return Rollouts(seen, metrics)


def one_guardrail_at_its_margin(runs: int) -> list[Measured]:
    """A19."""
    rng, levels = np.random.default_rng(19), [ALPHA / 3] * 3
    at = three_guardrails(rng, runs=runs, harm=0.08, margin=0.08)
    equal = three_guardrails(rng, runs=200, harm=0.0, margin=0.08)
    return [
        false_alarms("promote, one of three guardrails at its margin", at.ever(Word.PROMOTE, alphas=levels), runs=runs),
        control("three equal metrics promoted", equal.ever(Word.PROMOTE, alphas=levels), runs=200, share=0.9),
    ]


CASES = (
    Case(id="A19", measure=one_guardrail_at_its_margin, runs=2000, quick=200),
    Case(id="A20", measure=ten_guardrails, runs=2000, quick=500),
)
