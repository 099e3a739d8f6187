import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import coin
from modelctl.statistics.sample_ratio import SampleRatio, ShareStage, chi_square, compare, log_e

COUNTS = st.integers(0, 100_000)


@given(COUNTS, COUNTS, st.floats(0.01, 0.99))
def test_two_arms_are_a_coin(first: int, second: int, share: float) -> None:
    arms = float(log_e(np.array([first, second], dtype=float), np.array([share, 1 - share]), kappa=100.0))
    assert arms == pytest.approx(float(coin.log_e(first, first + second, p0=share, kappa=100.0)), rel=1e-9, abs=1e-6)


@given(st.lists(COUNTS, min_size=3, max_size=3))
def test_any_counts_give_evidence_without_nan(counts: list[int]) -> None:
    found = compare([ShareStage((counts[0], counts[1], counts[2]), (0.9, 0.05, 0.05))])
    assert math.isfinite(found.log_e)
    assert 0 <= found.p <= 1
    assert sum(found.expected) == pytest.approx(sum(counts))


def test_stages_add_their_evidence_each_with_its_own_shares() -> None:
    ramp = [ShareStage((9_900, 100), (0.99, 0.01)), ShareStage((9_500, 500), (0.95, 0.05))]
    whole = compare(ramp)
    assert whole.log_e == pytest.approx(sum(compare([stage]).log_e for stage in ramp))
    assert whole.log_e < 0
    assert compare([ShareStage((19_400, 600), (0.95, 0.05))]).blocked


def test_the_arms_may_be_named_in_any_order() -> None:
    there = compare([ShareStage((520, 300, 180), (0.5, 0.3, 0.2))])
    back = compare([ShareStage((180, 520, 300), (0.2, 0.5, 0.3))])
    assert there.log_e == pytest.approx(back.log_e)
    assert there.chi_square == pytest.approx(back.chi_square)


def test_six_percent_instead_of_five_is_blocked_and_five_is_not() -> None:
    assert compare([ShareStage((18_800, 1_200), (0.95, 0.05))]).blocked
    assert not compare([ShareStage((19_000, 1_000), (0.95, 0.05))]).blocked
    assert SampleRatio(math.log(1000), (1, 1), (1.0, 1.0), 0.0, 1.0).blocked


def test_units_in_an_arm_without_share_are_proof_enough() -> None:
    found = compare([ShareStage((1_000, 1), (1.0, 0.0))])
    assert (found.log_e, found.blocked, found.p) == (math.inf, True, 0.0)


def test_one_arm_or_no_units_prove_nothing() -> None:
    for stages in ([], [ShareStage((0, 0), (0.5, 0.5))], [ShareStage((1_000, 0), (1.0, 0.0))]):
        found = compare(stages)
        assert found.log_e == pytest.approx(0.0, abs=1e-9)
        assert (found.chi_square, found.p) == (0.0, 1.0)


def test_chi_square_takes_weights_of_any_scale() -> None:
    assert chi_square([5050, 4950], [1.0, 1.0]) == chi_square([5050, 4950], [0.5, 0.5])


@pytest.mark.parametrize(
    ("counts", "shares"), [((1, 2), (0.5, 0.4)), ((1, 2), (1.0,)), ((-1, 2), (0.5, 0.5)), ((1, 2), (1.5, -0.5)), ((), ())]
)
def test_a_split_that_is_none_is_refused(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput):
        ShareStage(counts, shares)


def test_stages_with_different_arms_are_refused() -> None:
    with pytest.raises(InvalidInput, match="different numbers of arms"):
        compare([ShareStage((1, 1), (0.5, 0.5)), ShareStage((1, 1, 1), (0.5, 0.25, 0.25))])
