import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import Corrupt, InvalidInput
from modelctl.statistics import clusters
from modelctl.statistics.clustered_quantile import QuantileInterval, clustered, independent
from modelctl.statistics.clusters import Clusters, ClusterStage, merge, summarise
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import MeanStage, compare_means
from modelctl.statistics.moments import Moments

UNITS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=30)
CROWDS = st.builds(
    lambda seed, size: summarise([(float(s), float(n)) for s, n in draw_users(seed, size)]),
    st.integers(0, 10**6),
    st.integers(100, 300),
)


def draw_users(seed: int, size: int) -> list[tuple[int, int]]:
    """Users with 1 to 40 rows of their own success rate."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 41, size=size)
    return [(int(s), int(n)) for s, n in zip(rng.binomial(rows, rng.beta(0.5, 4.5, size=size)), rows, strict=True)]


def same(one: Clusters, other: Clusters) -> bool:
    return all(
        math.isclose(getattr(one, name), getattr(other, name), rel_tol=1e-9, abs_tol=1e-9)
        for name in ("units", "s", "n", "ss", "nn", "sn")
    )


@given(UNITS, st.integers(0, 30), st.integers(0, 30))
def test_any_partition_of_the_units_gives_the_whole(units: list[tuple[int, int]], first: int, second: int) -> None:
    cuts = sorted((min(first, len(units)), min(second, len(units))))
    parts = [summarise(units[start:end]) for start, end in itertools.pairwise([0, *cuts, len(units)])]
    assert same(merge(merge(parts[0], parts[1]), parts[2]), summarise(units))


@given(UNITS)
def test_the_order_of_units_does_not_matter(units: list[tuple[int, int]]) -> None:
    assert same(summarise(units), summarise(units[::-1]))


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=40))
def test_units_of_one_row_are_ordinary_values(values: list[float]) -> None:
    arm = summarise([(value, 1.0) for value in values])
    assert arm.ratio == pytest.approx(np.mean(values), abs=1e-9)
    assert arm.variance == pytest.approx(np.var(values, ddof=1), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_a_common_offset_of_all_rows_leaves_the_variance_unchanged(offset: float) -> None:
    users = draw_users(1, 200)
    plain = summarise(users)
    moved = summarise([(s + offset * n, n) for s, n in users], pivot=offset)
    assert moved.variance == pytest.approx(plain.variance, rel=1e-6)
    assert moved.ratio == pytest.approx(offset + (plain.ratio or 0.0), rel=1e-12)


@given(CROWDS, CROWDS)
def test_swapping_the_arms_negates_the_difference(first: Clusters, second: Clusters) -> None:
    there = clusters.compare([ClusterStage(first, second)], tau=0.02, alpha=0.05)
    back = clusters.compare([ClusterStage(second, first)], tau=0.02, alpha=0.05)
    assert (there.state, there.n) == (back.state, back.n)
    assert there.lower == pytest.approx(-back.upper, rel=1e-9, abs=1e-12)
    assert there.log_e == pytest.approx(back.log_e, rel=1e-9, abs=1e-9)


def test_the_interval_of_units_with_one_row_is_that_of_means() -> None:
    rng = np.random.default_rng(3)
    arms = [rng.normal(size=size) for size in (400, 150)]
    rows = [summarise([(float(value), 1.0) for value in arm]) for arm in arms]
    means = [Moments(len(arm), float(arm.mean()), float(((arm - arm.mean()) ** 2).sum())) for arm in arms]
    clustered = clusters.compare([ClusterStage(*rows)], tau=0.1, alpha=0.05)
    plain = compare_means([MeanStage(*means)], tau=0.1, alpha=0.05)
    assert clustered.upper == pytest.approx(plain.upper, rel=1e-9)


def test_users_that_differ_make_the_interval_wider_than_their_rows_say() -> None:
    arm = summarise(draw_users(5, 300))
    effect = clusters.design_effect(arm)
    assert effect is not None
    assert effect > 1.5


def test_few_units_say_nothing_and_no_units_have_no_data() -> None:
    few = summarise(draw_users(6, 50))
    assert clusters.compare([ClusterStage(few, few)], tau=0.1, alpha=0.05).state is State.GATE
    assert clusters.compare([ClusterStage(few, Clusters())], tau=0.1, alpha=0.05).state is State.NO_DATA
    assert (Clusters().ratio, Clusters().variance, clusters.design_effect(Clusters())) == (None, None, None)


def test_users_without_any_variation_are_degenerate() -> None:
    arm = summarise([(float(n), float(n)) for n in range(1, 151)])
    assert arm.variance == 0
    assert clusters.compare([ClusterStage(arm, arm)], tau=0.1, alpha=0.05).state is State.DEGENERATE


def test_sums_that_belong_to_no_data_are_refused() -> None:
    with pytest.raises(Corrupt, match="rebuild"):
        _ = Clusters(units=10, s=50.0, n=100.0, ss=10.0, nn=1010.0, sn=600.0).variance
    with pytest.raises(InvalidInput, match="at least one row"):
        Clusters(units=3, n=2.0)
    with pytest.raises(InvalidInput, match="pivot"):
        merge(summarise([(1.0, 1.0)], pivot=1.0), summarise([(1.0, 1.0)]))


def test_a_quantile_of_independent_rows_has_a_design_effect_of_one() -> None:
    rng = np.random.default_rng(7)
    below = summarise([(float(hit), 1.0) for hit in rng.random(20_000) < 0.95])
    interval = QuantileInterval(q=0.95, n=20_000, n_star=20_000, lower=300.0, upper=320.0)
    found = clustered(interval, below)
    assert found.design_effect == pytest.approx(1.0, rel=0.05)
    assert found.se == pytest.approx(independent(interval).se, rel=0.03)
    with pytest.raises(InvalidInput, match="at least two"):
        clustered(interval, summarise([(1.0, 1.0)]))


@given(st.floats(1e-6, 1e6))
def test_the_unit_of_time_scales_the_error_of_a_quantile_and_nothing_else(unit: float) -> None:
    below = summarise(draw_users(8, 200))
    plain, scaled = (
        clustered(QuantileInterval(q=0.9, n=4000, n_star=4000, lower=30.0 * by, upper=32.0 * by), below) for by in (1.0, unit)
    )
    assert scaled.se == pytest.approx(unit * plain.se, rel=1e-9)
    assert scaled.design_effect == plain.design_effect
