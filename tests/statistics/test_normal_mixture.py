import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import normal_mixture, tuning
from modelctl.statistics.comparison import anytime_p

ESTIMATES = st.floats(-1e3, 1e3)
ERRORS = st.floats(1e-6, 1e3)
TAUS = st.floats(1e-4, 1e3)


@given(ESTIMATES, ERRORS, TAUS)
def test_log_e_at_the_edge_is_the_threshold(estimate: float, se: float, tau: float) -> None:
    half = float(normal_mixture.half_width(se, tau=tau, alpha=0.05))
    assert float(normal_mixture.log_e(half, se, tau=tau)) == pytest.approx(math.log(20), rel=1e-9)
    assert float(normal_mixture.log_e(-half, se, tau=tau)) == pytest.approx(math.log(20), rel=1e-9)


@given(ESTIMATES, ERRORS, TAUS)
def test_a_stricter_interval_contains_a_looser_one_and_both_the_estimate(estimate: float, se: float, tau: float) -> None:
    strict, loose = (normal_mixture.compare(estimate, se, n=100, tau=tau, alpha=alpha) for alpha in (0.01, 0.05))
    assert strict.lower <= loose.lower <= estimate <= loose.upper <= strict.upper


@given(ESTIMATES, ERRORS, TAUS, st.floats(1e-6, 1e6))
def test_the_unit_of_measurement_changes_nothing_but_the_unit(estimate: float, se: float, tau: float, unit: float) -> None:
    plain = normal_mixture.compare(estimate, se, n=100, tau=tau, alpha=0.05)
    scaled = normal_mixture.compare(unit * estimate, unit * se, n=100, tau=unit * tau, alpha=0.05)
    assert scaled.upper - unit * estimate == pytest.approx(
        unit * (plain.upper - estimate), rel=1e-6, abs=1e-9 * unit * abs(estimate)
    )
    assert scaled.log_e == pytest.approx(plain.log_e, rel=1e-9, abs=1e-9)


@given(st.floats(-1e50, 1e50), st.floats(1e-100, 1e100), st.floats(1e-100, 1e100))
def test_no_scale_overflows(estimate: float, se: float, tau: float) -> None:
    assert float(normal_mixture.half_width(se, tau=tau, alpha=0.05)) >= se
    assert math.isfinite(float(normal_mixture.log_e(estimate, se, tau=tau)))


@given(st.floats(-1e5, 1e5))
def test_a_p_value_lies_between_0_and_1_however_strong_the_evidence(log_e: float) -> None:
    assert 0 <= anytime_p(log_e) <= 1


def test_at_the_tuned_standard_error_the_interval_is_three_standard_errors_wide() -> None:
    widths = {se: float(normal_mixture.half_width(se, tau=tuning.mixing_sd_at(1.0), alpha=0.05)) / se for se in (0.3, 1.0, 3.0)}
    assert widths[1.0] == pytest.approx(3.035, abs=0.001)
    assert widths[0.3] > widths[1.0] < widths[3.0]


def test_an_interval_narrows_as_information_grows() -> None:
    widths = [float(normal_mixture.half_width(1 / math.sqrt(n), tau=0.1, alpha=0.05)) for n in range(10, 10_000, 10)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("se", [0.0, -1.0, math.nan])
def test_an_estimate_without_a_standard_error_is_refused(se: float) -> None:
    with pytest.raises(InvalidInput, match="above 0"):
        normal_mixture.compare(0.1, se, n=100, tau=0.1, alpha=0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_an_error_level_outside_0_and_1_is_refused(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="error level"):
        tuning.log_threshold(alpha)


@pytest.mark.parametrize("effect", [0.0, math.inf, math.nan])
def test_an_effect_that_nothing_can_be_tuned_for_is_refused(effect: float) -> None:
    with pytest.raises(InvalidInput, match="declare a margin"):
        tuning.mixing_sd(effect)


def test_the_declared_constants_are_those_of_the_defaults_table() -> None:
    assert pytest.approx(11.6006, abs=1e-4) == tuning.COIN_CONCENTRATION
    assert pytest.approx(1259.06, abs=0.01) == tuning.SHARE_CONCENTRATION
    assert tuning.concentration(1) == 1e-3


def test_the_error_level_is_shared_out_by_weight() -> None:
    assert tuning.split_alpha(0.05, {"errors": 3.0, "latency": 1.0}) == pytest.approx({"errors": 0.0375, "latency": 0.0125})
    with pytest.raises(InvalidInput, match="above 0"):
        tuning.split_alpha(0.05, {"errors": 0.0})
