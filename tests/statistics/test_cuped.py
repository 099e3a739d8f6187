import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import Corrupt, InvalidInput
from modelctl.statistics import cuped, triggered
from modelctl.statistics.comparison import State
from modelctl.statistics.cuped import Joint, JointStage, JointSums, from_sums, merge
from modelctl.statistics.difference import MeanStage, estimate_means
from modelctl.statistics.estimate import Estimate
from modelctl.statistics.moments import Moments
from modelctl.statistics.triggered import Trigger

PAIRS = st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), max_size=20)


def joint(pairs: list[tuple[float, float]], *, pivot: float = 0.0) -> Joint:
    y, x = [one - pivot for one, _ in pairs], [other - pivot for _, other in pairs]
    return from_sums(
        JointSums(
            n=len(pairs),
            y=math.fsum(y),
            x=math.fsum(x),
            yy=math.fsum(one * one for one in y),
            xx=math.fsum(one * one for one in x),
            xy=math.fsum(one * other for one, other in zip(y, x, strict=True)),
            pivot_y=pivot,
            pivot_x=pivot,
        )
    )


def arm(seed: int, *, size: int = 500, effect: float = 0.0, offset: float = 0.0) -> list[tuple[float, float]]:
    """Outcomes that share four fifths of their deviation with the covariate."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=size)
    y = 0.8 * x + 0.6 * rng.normal(size=size) + effect
    return [(float(one) + offset, float(other) + offset) for one, other in zip(y, x, strict=True)]


@given(PAIRS, PAIRS)
def test_merging_parts_gives_the_whole(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> None:
    merged, whole = merge(joint(first), joint(second)), joint(first + second)
    assert merged.y.n == whole.y.n
    assert merged.cross == pytest.approx(whole.cross, rel=1e-9, abs=1e-6)
    assert merged.x.m2 == pytest.approx(whole.x.m2, rel=1e-9, abs=1e-6)


def test_a_covariate_that_explains_the_outcome_takes_its_variance_away() -> None:
    stages = [JointStage(joint(arm(1, size=5000)), joint(arm(2, size=5000, effect=0.1)))]
    raw = estimate_means([MeanStage(stage.baseline.y, stage.candidate.y) for stage in stages])
    adjusted = cuped.estimate(stages)
    reduction = cuped.variance_reduction(stages)
    assert reduction == pytest.approx(0.64, abs=0.04)
    assert adjusted.se == pytest.approx(raw.se * math.sqrt(1 - 0.64), rel=0.05)
    assert adjusted.value == pytest.approx(0.1, abs=3 * adjusted.se)


def test_a_covariate_that_never_varies_changes_nothing() -> None:
    flat = [(one, 7.1) for one, _ in arm(3)], [(one, 7.1) for one, _ in arm(4, effect=0.3)]
    stages = [JointStage(merge(joint(flat[0][:50]), joint(flat[0][50:])), joint(flat[1], pivot=7.0))]
    assert cuped.slope(stages) == 0
    assert cuped.estimate(stages).value == pytest.approx(stages[0].candidate.y.mean - stages[0].baseline.y.mean)


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_a_common_offset_leaves_slope_and_difference_unchanged(offset: float) -> None:
    plain = [JointStage(joint(arm(5)), joint(arm(6, effect=0.1)))]
    moved = [JointStage(joint(arm(5, offset=offset), pivot=offset), joint(arm(6, effect=0.1, offset=offset), pivot=offset))]
    assert cuped.slope(moved) == pytest.approx(cuped.slope(plain), rel=1e-6)
    assert cuped.compare(moved, tau=0.1, alpha=0.05).lower == pytest.approx(
        cuped.compare(plain, tau=0.1, alpha=0.05).lower, rel=1e-5, abs=1e-6
    )


def test_a_slope_from_before_the_start_is_used_as_it_is() -> None:
    stages = [JointStage(joint(arm(7)), joint(arm(8)))]
    raw = estimate_means([MeanStage(stage.baseline.y, stage.candidate.y) for stage in stages])
    assert cuped.estimate(stages, theta=0.0) == raw
    assert cuped.estimate(stages, theta=0.8).se < raw.se


def test_swapping_the_arms_negates_the_adjusted_difference() -> None:
    first, second = joint(arm(9)), joint(arm(10, effect=0.2))
    there = cuped.compare([JointStage(first, second)], tau=0.1, alpha=0.05)
    back = cuped.compare([JointStage(second, first)], tau=0.1, alpha=0.05)
    assert there.lower == pytest.approx(-back.upper, rel=1e-9)


def test_sums_with_a_correlation_beyond_one_are_refused() -> None:
    with pytest.raises(Corrupt, match="correlation"):
        from_sums(JointSums(n=3, y=0.0, x=0.0, yy=2.0, xx=2.0, xy=3.0))
    with pytest.raises(InvalidInput, match="leave out"):
        Joint(Moments(2, 0.0, 1.0), Moments(3, 0.0, 1.0))


def test_no_outcomes_are_no_data() -> None:
    assert cuped.compare([JointStage(Joint(), joint(arm(11)))], tau=0.1, alpha=0.05).state is State.NO_DATA
    assert cuped.variance_reduction([]) is None


@given(st.integers(1, 1000), st.integers(0, 10_000), st.floats(-1, 1), st.floats(1e-6, 1))
def test_dilution_keeps_z_and_state(n_t: int, others: int, value: float, se: float) -> None:
    found = triggered.dilute(Estimate(value=value, se=se, n=n_t), Trigger(n_t, n_t + others))
    assert found.n == n_t + others
    assert found.value is not None
    assert found.value / found.se == pytest.approx(value / se, rel=1e-9, abs=1e-12)


def test_the_variance_of_a_triggered_effect_falls_by_the_share_that_differs() -> None:
    rng = np.random.default_rng(12)
    differs = rng.random(200_000) < 0.03
    arms = rng.random(200_000) < 0.5
    outcome = rng.random(200_000) < np.where(differs & arms, 0.55, 0.5)

    def moments(of: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Moments:
        return Moments(len(of), float(of.mean()), float(len(of) * of.mean() * (1 - of.mean())))

    plain = estimate_means([MeanStage(moments(outcome[~arms]), moments(outcome[arms]))])
    seen = estimate_means([MeanStage(moments(outcome[differs & ~arms]), moments(outcome[differs & arms]))])
    found = triggered.compare(seen, Trigger(int(differs.sum()), 200_000), tau=0.002, alpha=0.05)
    diluted = triggered.dilute(seen, Trigger(int(differs.sum()), 200_000))
    assert (diluted.se / plain.se) ** 2 == pytest.approx(0.03, rel=0.05)
    assert found.upper - found.lower < 1
    assert found.usable


def test_an_effect_over_no_requests_cannot_be_diluted() -> None:
    with pytest.raises(InvalidInput, match="no effect"):
        triggered.dilute(Estimate(value=0.1, se=0.1, n=10), Trigger(0, 100))
    with pytest.raises(InvalidInput, match="part of all"):
        Trigger(5, 4)
    nothing = triggered.compare(estimate_means([]), Trigger(0, 100), tau=0.1, alpha=0.05)
    assert nothing.state is State.NO_DATA
