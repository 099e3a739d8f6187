import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import boundaries as curves
from modelctl.statistics import coin
from modelctl.statistics.arrays import Numbers

TIMES = st.floats(1, 1e5)
LEVELS = st.floats(1e-6, 0.3)
RHO = {sides: curves.rho_at(100, sides=sides) for sides in (1, 2)}


@pytest.mark.parametrize(
    ("found", "published"),
    [
        (curves.two_sided_normal(10, 100, rho=RHO[2]), -0.6510052),
        (curves.one_sided_normal(10, 100, rho=RHO[1]), -0.06502391),
        (curves.gamma_exponential(10, 100, rho=RHO[1], scale=2), -0.2490165),
        (curves.gamma_poisson(10, 100, rho=RHO[1], scale=2), -0.06991219),
        (curves.beta_binomial(10, 100, rho=RHO[2], g=0.2, h=0.8, sides=2), -0.6941012),
        (curves.beta_binomial(10, 100, rho=RHO[1], g=0.2, h=0.8, sides=1), -0.07134019),
        (curves.gamma_poisson_bound(100, rho=RHO[1], scale=2, alpha=0.05), 30.1949),
        (curves.stitched_bound(100, v_min=10, scale=3, alpha=0.05), 64.48755),
        (curves.stitched_bound(100, v_min=10, scale=-1, alpha=0.05), 28.99389),
        (RHO[2], 12.60056),
    ],
)
def test_mixtures_and_boundaries_are_those_of_the_published_tests(found: Numbers, published: float) -> None:
    assert float(found) == pytest.approx(published, abs=1e-5)


@given(TIMES, LEVELS)
def test_a_mixture_reaches_its_threshold_at_its_boundary(v: float, alpha: float) -> None:
    threshold = -math.log(alpha)
    for sides in (1, 2):
        mixture = curves.one_sided_normal if sides == 1 else curves.two_sided_normal
        bound = curves.one_sided_normal_bound if sides == 1 else curves.two_sided_normal_bound
        assert float(mixture(bound(v, rho=RHO[sides], alpha=alpha), v, rho=RHO[sides])) == pytest.approx(threshold, abs=1e-8)
    s = curves.gamma_exponential_bound(v, rho=RHO[1], scale=1.5, alpha=alpha)
    assert float(curves.gamma_exponential(s, v, rho=RHO[1], scale=1.5)) == pytest.approx(threshold, abs=1e-6)
    s = curves.gamma_poisson_bound(v, rho=RHO[1], scale=1.5, alpha=alpha)
    assert float(curves.gamma_poisson(s, v, rho=RHO[1], scale=1.5)) == pytest.approx(threshold, abs=1e-6)


@given(TIMES, LEVELS)
def test_one_side_is_narrower_than_two_and_a_smaller_level_is_wider(v: float, alpha: float) -> None:
    one = curves.one_sided_normal_bound(v, rho=RHO[1], alpha=alpha)
    assert one < curves.one_sided_normal_bound(v, rho=RHO[1], alpha=alpha / 2)
    assert curves.one_sided_normal_bound(100, rho=RHO[1], alpha=alpha) < curves.two_sided_normal_bound(100, rho=RHO[2], alpha=alpha)


@given(TIMES, LEVELS)
def test_a_sum_of_bounded_steps_is_bounded(v: float, alpha: float) -> None:
    for sides in (1, 2):
        bound = curves.beta_binomial_bound(v, rho=RHO[sides], g=0.2, h=0.8, sides=sides, alpha=alpha)
        assert 0 < bound <= v / 0.2


@given(st.integers(1, 3000), st.floats(0.02, 0.98), st.floats(0, 1))
def test_the_two_sided_beta_mixture_is_the_coin(n: int, p0: float, share: float) -> None:
    k, v = share * n, n * p0 * (1 - p0)
    rho = 100 * p0 * (1 - p0) / 7.936154601737565
    mixture = curves.beta_binomial(k - n * p0, v, rho=rho, g=p0, h=1 - p0, sides=2)
    assert float(mixture) == pytest.approx(float(coin.log_e(k, float(n), p0=p0)), rel=1e-6, abs=1e-6)


def test_the_one_sided_normal_mixture_is_finite_far_below_zero() -> None:
    assert math.isfinite(float(curves.one_sided_normal(-1e4, 100.0, rho=RHO[1])))


def test_gamma_exponential_is_the_one_sided_normal_when_its_scale_goes_to_zero() -> None:
    limit = curves.one_sided_normal_bound(100, rho=RHO[1], alpha=0.05)
    assert curves.gamma_exponential_bound(100, rho=RHO[1], scale=0.01, alpha=0.05) == pytest.approx(limit, rel=1e-3)
    assert curves.gamma_poisson_bound(100, rho=RHO[1], scale=0.01, alpha=0.05) == pytest.approx(limit, rel=1e-3)


def test_a_random_walk_leaves_its_boundaries_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(4)
    walks = rng.choice([-1.0, 1.0], size=(2000, 1000)).cumsum(axis=1)
    looks = np.arange(1, 1001)
    curve = np.array([curves.one_sided_normal_bound(float(v), rho=RHO[1], alpha=0.05) for v in looks])
    stitched = np.array([curves.stitched_bound(float(v), v_min=10, scale=0.0, alpha=0.05) for v in looks])
    assert int((walks >= curve).any(axis=1).sum()) <= 138
    assert int((walks >= stitched).any(axis=1).sum()) <= 138
    assert int((walks >= 1.645 * np.sqrt(looks)).any(axis=1).sum()) > 600


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(InvalidInput, match="intrinsic time"):
        curves.rho_at(0, sides=1)
    with pytest.raises(InvalidInput, match="scale"):
        curves.gamma_exponential_bound(100, rho=RHO[1], scale=0.0, alpha=0.05)
    with pytest.raises(InvalidInput, match="range"):
        curves.beta_binomial_bound(100, rho=RHO[1], g=0.0, h=1.0, sides=1, alpha=0.05)
