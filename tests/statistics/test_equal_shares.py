"""Two groups of one stream: an e-value for "the same share, whatever it is"."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom, norm

from modelctl.statistics.comparison import State
from modelctl.statistics.difference import Proportion
from modelctl.statistics.equal_shares import Groups, compare, log_e

ALPHA = 0.05


def groups(part: tuple[int, int], rest: tuple[int, int]) -> Groups:
    return Groups(Proportion(*part), Proportion(*rest))


@st.composite
def proportions(draw: st.DrawFn) -> Proportion:
    n = draw(st.integers(0, 3_000))
    return Proportion(n, draw(st.integers(0, n)))


@given(proportions(), proportions())
def test_it_is_the_averaged_likelihood_over_the_largest_of_a_common_share(part: Proportion, rest: Proportion) -> None:
    common = (part.k + rest.k) / max(part.n + rest.n, 1)
    averaged = sum(float(betabinom.logpmf(one.k, one.n, 0.5, 0.5)) for one in (part, rest))
    largest = sum(float(binom.logpmf(one.k, one.n, common)) for one in (part, rest))
    assert log_e(Groups(part, rest)) == pytest.approx(averaged - largest, abs=1e-6)
    assert log_e(Groups(part, rest)) == pytest.approx(log_e(Groups(rest, part)), abs=1e-9)


def test_its_mean_over_every_outcome_is_at_most_one_for_each_common_share() -> None:
    outcomes = [(a, b) for a in range(13) for b in range(31)]
    e = np.array([math.exp(log_e(groups((12, a), (30, b)))) for a, b in outcomes])
    for share in np.linspace(0.01, 0.99, 25):
        chance = np.array([binom.pmf(a, 12, share) * binom.pmf(b, 30, share) for a, b in outcomes])
        assert float(e @ chance) <= 1 + 1e-9


@given(proportions(), proportions())
def test_the_interval_holds_the_estimate_and_turns_round_with_the_groups(part: Proportion, rest: Proportion) -> None:
    found, other = compare([Groups(part, rest)], alpha=ALPHA), compare([Groups(rest, part)], alpha=ALPHA)
    if not (part.n and rest.n):
        assert (found.state, found.estimate, found.log_e) == (State.NO_DATA, None, 0.0)
        return
    assert found.estimate is not None
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    assert (found.lower, found.upper) == pytest.approx((-other.upper, -other.lower), abs=1e-9)


def test_periods_may_have_common_shares_of_their_own() -> None:
    night, day = groups((100, 2), (1_000, 20)), groups((1_000, 200), (100, 20))
    heap = compare([groups((1_100, 202), (1_100, 40))], alpha=ALPHA)
    apart = compare([night, day], alpha=ALPHA)
    assert heap.log_e > 20, "one heap takes the time of day for an effect"
    assert apart.log_e < 0
    assert apart.log_e == pytest.approx(log_e(night) + log_e(day))


def test_without_a_rest_there_is_nothing_to_compare_with() -> None:
    assert compare([groups((100, 5), (0, 0))], alpha=ALPHA).state is State.NO_DATA
    assert compare([], alpha=ALPHA).reason == "nothing to compare with"


def test_watched_all_the_time_it_keeps_its_level_where_a_z_test_does_not() -> None:
    streams, looks = 400, 60
    chance = np.random.default_rng(7)
    part, rest = chance.integers(2, 20, streams), chance.integers(20, 200, streams)
    share = chance.uniform(0.02, 0.3, streams)
    k_part, k_rest = (np.cumsum(chance.binomial(n, share, (looks, streams)), axis=0) for n in (part, rest))
    steps = np.arange(1, looks + 1)[:, None]
    false = control = 0
    for stream in range(streams):
        n = (steps[:, 0] * part[stream]).tolist(), (steps[:, 0] * rest[stream]).tolist()
        k = k_part[:, stream].tolist(), k_rest[:, stream].tolist()
        looked = list(zip(n[0], k[0], n[1], k[1], strict=True))
        false += any(log_e(groups((a, b), (c, d))) >= math.log(20) for a, b, c, d in looked)
        control += any(_z(a, b, c, d=d) < ALPHA for a, b, c, d in looked)
    assert false <= 38, "the 1e-4 upper tail of 400 streams at 0.05"
    assert control >= 80


def _z(n: int, k: int, m: int, *, d: int) -> float:
    pooled = (k + d) / (n + m)
    error = math.sqrt(max(pooled * (1 - pooled) * (1 / n + 1 / m), 1e-12))
    return 2 * float(norm.sf(abs(k / n - d / m) / error))
