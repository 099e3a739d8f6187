"""Changes as a share of the baseline's value."""

import math

import pytest

from modelctl.statistics import relative
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.normal_mixture import compare


def contrast(m_a: float, m_b: float, *, se: float = 0.1) -> relative.Contrast:
    def of(factor: float) -> Comparison:
        return compare(m_b - factor * m_a, se, n=100, tau=0.5, alpha=0.05)

    return of


@pytest.mark.parametrize("m_a", [10.0, -10.0])
def test_an_end_touches_its_margin_exactly_where_the_contrast_touches_zero(m_a: float) -> None:
    half = compare(0.0, 0.1, n=100, tau=0.5, alpha=0.05).upper
    edge = m_a + 0.05 * abs(m_a) - half
    found = relative.by_contrast(contrast(m_a, edge), baseline=m_a, ends=(0.05, 0.05))
    assert found.upper == pytest.approx(0.05, abs=1e-12)
    assert found.estimate == pytest.approx((edge - m_a) / abs(m_a))
    better = relative.by_contrast(contrast(m_a, edge - 1e-6), baseline=m_a, ends=(0.05, 0.05))
    assert better.upper < 0.05


def test_a_baseline_of_zero_has_no_relative_change() -> None:
    found = relative.by_contrast(contrast(0.0, 1.0), baseline=0.0, ends=(0.1, 0.1))
    assert (found.state, found.lower, found.upper) == (State.DEGENERATE, -math.inf, math.inf)


def test_a_box_divides_each_end_by_what_makes_it_widest_and_counts_both_levels() -> None:
    difference = Comparison(estimate=0.01, lower=-0.02, upper=0.04, n=100, method="m", alpha=0.025)
    found = relative.by_box(difference, baseline=(0.1, 0.2, 0.4))
    assert (found.lower, found.estimate, found.upper, found.alpha) == pytest.approx((-0.2, 0.05, 0.4, 0.05))
    surely = relative.by_box(Comparison(estimate=0.3, lower=0.2, upper=0.4, n=9, method="m", alpha=0.01), baseline=(0.1, 0.2, 0.4))
    assert surely.lower == pytest.approx(0.5)
    assert relative.by_box(difference, baseline=(0.0, 0.0, 0.4)).upper == math.inf


def test_what_may_not_be_used_stays_so() -> None:
    nothing = Comparison(estimate=None, n=0, method="m", alpha=0.05, state=State.NO_DATA, reason="no pairs yet")
    assert relative.by_box(nothing, baseline=(0.1, 0.2, 0.3)).reason == "no pairs yet"
    assert relative.by_contrast(lambda _: nothing, baseline=0.0, ends=(0.1, 0.1)).state is State.NO_DATA
