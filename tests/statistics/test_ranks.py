import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, wilcoxon

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.ranks import ZeroRule, differences, mann_whitney, sign_test, signed_ranks

VALUES = st.lists(st.one_of(st.integers(0, 4).map(float), st.floats(-1e6, 1e6)), max_size=40)


@given(VALUES, VALUES)
def test_swapping_the_arms_mirrors_the_ranks(a: list[float], b: list[float]) -> None:
    there, back = mann_whitney(a, b), mann_whitney(b, a)
    assert there.state is back.state
    if there.u is not None and back.u is not None and there.auc is not None:
        assert there.p == pytest.approx(back.p, rel=1e-9)
        assert there.u + back.u == len(a) * len(b)
        assert there.auc == pytest.approx(1 - (back.auc or 0.0))
        assert there.shift == -(back.shift or 0.0)


@given(VALUES, VALUES)
def test_any_values_give_shares_and_p_values_between_0_and_1(a: list[float], b: list[float]) -> None:
    found = mann_whitney(a, b)
    assert (found.state is State.NO_DATA) == (not a or not b)
    assert found.p is None or 0 <= found.p <= 1
    assert found.auc is None or 0 <= found.auc <= 1


@given(VALUES.filter(bool), VALUES.filter(bool))
def test_the_auc_counts_pairs_and_half_of_ties(a: list[float], b: list[float]) -> None:
    wanted = sum((y > x) + (y == x) / 2 for x in a for y in b) / (len(a) * len(b))
    assert mann_whitney(a, b).auc == pytest.approx(wanted)


@given(st.lists(st.integers(0, 50).map(float), min_size=1), st.lists(st.integers(0, 50).map(float), min_size=1))
def test_ranks_do_not_care_for_the_scale(a: list[float], b: list[float]) -> None:
    plain, stretched = mann_whitney(a, b), mann_whitney([x**3 for x in a], [x**3 for x in b])
    assert (plain.u, plain.p) == (stretched.u, stretched.p)


def test_the_asymptotic_p_is_used_at_every_size() -> None:
    small = mann_whitney([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert small.p == pytest.approx(float(mannwhitneyu([4, 5, 6], [1, 2, 3], method="asymptotic").pvalue))
    assert signed_ranks([1.0, 2.0, 3.0]).p == pytest.approx(float(wilcoxon([1, 2, 3], method="approx").pvalue))


def test_values_that_are_all_one_are_degenerate() -> None:
    found = mann_whitney([2.0] * 9, [2.0] * 4)
    assert (found.state, found.auc, found.shift, found.p) == (State.DEGENERATE, 0.5, 0.0, 1.0)


@given(VALUES)
def test_turning_the_signs_around_leaves_the_signed_ranks(d: list[float]) -> None:
    for zeros in ZeroRule:
        there, back = signed_ranks(d, zeros=zeros), signed_ranks([-x for x in d], zeros=zeros)
        assert (there.w, there.state) == (back.w, back.state)
        assert (there.p is None) == (there.state is not State.OK)
        if there.p is not None:
            assert there.p == pytest.approx(back.p, rel=1e-9)
            assert 0 <= there.p <= 1


def test_pratt_lets_equal_pairs_weaken_the_evidence_and_wilcoxon_forgets_them() -> None:
    moved = [1.0, 2.0, 3.0, -4.0, 5.0, 6.0, 7.0]
    padded = [*moved, *[0.0] * 30]
    assert signed_ranks(padded, zeros=ZeroRule.WILCOX).p == signed_ranks(moved, zeros=ZeroRule.WILCOX).p
    assert signed_ranks(padded).p != signed_ranks(moved).p


def test_no_pairs_and_no_differences_have_no_p() -> None:
    assert (signed_ranks([]).state, signed_ranks([]).p) == (State.NO_DATA, None)
    still = signed_ranks([0.0] * 5)
    assert (still.state, still.n, still.w, still.p) == (State.DEGENERATE, 5, 0.0, None)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_only_signs_count_in_the_sign_test(up: int, down: int, same: int) -> None:
    found = sign_test([3.0] * up + [-0.1] * down + [0.0] * same)
    assert (found.n_positive, found.n_negative) == (up, down)
    assert found.p == sign_test([1.0] * down + [-1.0] * up).p
    assert 0 <= found.p <= 1
    assert up != down or found.p == 1


def test_differences_that_should_be_ties_are_ties() -> None:
    found = differences([0.2, 0.1], [0.3, 0.2])
    assert found[0] == found[1] == 0.1


def test_values_that_are_no_pairs_or_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidInput, match="pairs"):
        differences([1.0], [])
    for method in (signed_ranks, sign_test):
        with pytest.raises(InvalidInput, match="finite"):
            method([float("nan")])
    with pytest.raises(InvalidInput, match="finite"):
        mann_whitney([float("inf")], [1.0])
    with pytest.raises(InvalidInput, match="sample"):
        mann_whitney([0.0] * 6000, [0.0] * 6000)
