import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp

from modelctl.errors import InvalidInput
from modelctl.statistics.distance import binned_wasserstein, kolmogorov_smirnov, wasserstein
from modelctl.statistics.drift import association, expected_psi, jensen_shannon, psi, total_variation

COUNT = st.one_of(st.integers(0, 5), st.integers(0, 10**6))
PAIRS = st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=12)
BINS = PAIRS.map(lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs]))
VALUES = st.lists(st.one_of(st.integers(0, 5).map(float), st.floats(-1e6, 1e6)), max_size=30)


@given(BINS)
def test_no_counts_make_a_nan_and_bounded_measures_stay_in_0_to_1(bins: tuple[list[int], list[int]]) -> None:
    a, b = bins
    both = bool(sum(a) and sum(b))
    for value in (jensen_shannon(a, b), total_variation(a, b)):
        assert value is None if not both else value is not None and 0 <= value <= 1
    for unbounded in (psi(a, b), expected_psi(a, b)):
        assert unbounded is None if not both else unbounded is not None and 0 <= unbounded < math.inf
    found = association(a, b)
    assert 0 <= found.chi2 < math.inf
    assert 0 <= found.g < math.inf
    assert min(found.chi2_p, found.g_p, found.cramers_v) >= 0
    assert max(found.chi2_p, found.g_p, found.cramers_v) <= 1


@given(BINS)
def test_distances_are_the_same_in_both_directions(bins: tuple[list[int], list[int]]) -> None:
    a, b = bins
    assert jensen_shannon(a, b) == jensen_shannon(b, a)
    assert total_variation(a, b) == total_variation(b, a)
    there, back = association(a, b), association(b, a)
    assert there.chi2 == pytest.approx(back.chi2, rel=1e-9)
    assert there.df == back.df


@given(BINS, st.randoms(use_true_random=False))
def test_the_order_of_labels_does_not_matter(bins: tuple[list[int], list[int]], chance: st.DataObject) -> None:
    places = list(range(len(bins[0])))
    chance.shuffle(places)  # type: ignore[attr-defined]
    a, b = ([side[place] for place in places] for side in bins)
    assert association(a, b).chi2 == pytest.approx(association(*bins).chi2, rel=1e-9, abs=1e-12)
    assume(sum(a) and sum(b))
    assert jensen_shannon(a, b) == pytest.approx(jensen_shannon(*bins), rel=1e-9, abs=1e-15)
    assert psi(a, b) == pytest.approx(psi(*bins), rel=1e-9, abs=1e-15)


@given(st.lists(COUNT, min_size=1, max_size=8), st.integers(1, 50))
def test_the_same_shares_are_no_distance(a: list[int], times: int) -> None:
    b = [count * times for count in a]
    assume(sum(a))
    assert total_variation(a, b) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(a, b) == pytest.approx(0, abs=1e-12)
    assert association(a, b).cramers_v == pytest.approx(0, abs=1e-6)
    assert psi(a, a) == 0


@given(BINS)
def test_the_test_and_the_divergence_are_scipys(bins: tuple[list[int], list[int]]) -> None:
    a, b = bins
    used = [(x, y) for x, y in zip(a, b, strict=True) if x + y]
    assume(sum(a) and sum(b) and len(used) > 1)
    table = [[x for x, _ in used], [y for _, y in used]]
    found = association(a, b)
    chi2 = chi2_contingency(table, correction=False)
    g = chi2_contingency(table, correction=False, lambda_="log-likelihood")
    assert (found.chi2, found.chi2_p) == pytest.approx((chi2.statistic, chi2.pvalue), rel=1e-6, abs=1e-9)
    assert (found.g, found.g_p) == pytest.approx((g.statistic, g.pvalue), rel=1e-6, abs=1e-6)
    assert jensen_shannon(a, b) == pytest.approx(float(jensenshannon(a, b, 2)) ** 2, rel=1e-6, abs=1e-12)


def test_nothing_in_common_is_the_largest_distance() -> None:
    assert (jensen_shannon([9, 0], [0, 4]), total_variation([9, 0], [0, 4])) == (1.0, 1.0)
    found = association([9, 0], [0, 4])
    assert (found.chi2, found.cramers_v) == (13.0, 1.0)


def test_one_label_alone_has_nothing_to_test() -> None:
    found = association([7], [9])
    assert (found.chi2, found.chi2_p, found.g_p, found.df, found.cramers_v) == (0.0, 1.0, 1.0, 0, 0.0)
    assert association([5, 0], [3, 0]) == association([0, 0], [0, 0]) == found
    assert association([5, 2], [0, 0]) == found


def test_psi_without_a_change_is_about_what_is_printed_beside_it() -> None:
    reference, current = [400, 300, 200, 100], [38, 33, 17, 12]
    assert expected_psi(reference, current) == pytest.approx(3 * (1 / 1000 + 1 / 100))
    assert 0 < (psi(reference, current) or 0.0) < 0.033


@pytest.mark.parametrize(("a", "b"), [([1], [1, 2]), ([], []), ([-1, 2], [1, 1])])
def test_bins_that_do_not_match_are_refused(a: list[int], b: list[int]) -> None:
    for method in (psi, expected_psi, jensen_shannon, total_variation, association):
        with pytest.raises(InvalidInput, match="bin"):
            method(a, b)


@given(VALUES, VALUES)
@example([0.0] * 13, [*[0.0] * 12, 1.0])
def test_the_exact_p_of_a_gap_is_scipys(a: list[float], b: list[float]) -> None:
    assume(a and b)
    exact, asymptotic = kolmogorov_smirnov(a, b), kolmogorov_smirnov(a, b, exact=False)
    assert exact.d == asymptotic.d
    assert exact == kolmogorov_smirnov(b, a)
    if exact.p is not None and exact.p < 0.999:
        assert exact.p == pytest.approx(float(ks_2samp(a, b, method="exact").pvalue), rel=1e-9)
    assert 0 <= (asymptotic.p or 0.0) <= 1
    assert 0 <= (exact.p or 0.0) <= 1


@given(VALUES, st.floats(-1e3, 1e3))
def test_moving_a_sample_is_as_far_as_it_was_moved(a: list[float], by: float) -> None:
    assume(a)
    assert wasserstein(a, [x + by for x in a]) == pytest.approx(abs(by), rel=1e-6, abs=1e-6)
    assert wasserstein(a, a) == 0
    assert wasserstein(a, []) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_bins_are_as_far_apart_as_the_values_they_stand_for(bins: list[tuple[int, int]]) -> None:
    at = [float(place * place) for place in range(len(bins))]
    a, b = ([value for value, pair in zip(at, bins, strict=True) for _ in range(pair[side])] for side in (0, 1))
    found = binned_wasserstein(at, [x for x, _ in bins], current=[y for _, y in bins])
    plain = wasserstein(a, b)
    assert found is plain is None or found == pytest.approx(plain)


def test_a_gap_of_small_chance_keeps_its_digits() -> None:
    found = kolmogorov_smirnov([0.0] * 40, [1.0] * 60)
    assert found.d == 1
    assert found.p == pytest.approx(2 / math.comb(100, 40), rel=1e-12)


def test_the_asymptotic_p_comes_close_to_the_exact_one() -> None:
    a, b = [(37 * i % 900) ** 0.98 for i in range(900)], [float(41 * i % 700) for i in range(700)]
    exact, asymptotic = kolmogorov_smirnov(a, b), kolmogorov_smirnov(a, b, exact=False)
    assert asymptotic.p == pytest.approx(exact.p, rel=0.15)
    assert (exact.p or 1.0) < 1e-4


def test_one_value_a_side_or_none_says_nothing() -> None:
    for exact in (True, False):
        assert (kolmogorov_smirnov([1.0], [2.0], exact=exact).p or 0.0) > 0.69
        assert kolmogorov_smirnov([], [2.0], exact=exact).p is None


def test_values_that_no_distance_has_are_refused() -> None:
    for method in (kolmogorov_smirnov, wasserstein):
        with pytest.raises(InvalidInput, match="finite"):
            method([math.nan], [1.0])
    with pytest.raises(InvalidInput, match="asymptotic"):
        kolmogorov_smirnov([0.0] * 5_001, [1.0])
    with pytest.raises(InvalidInput, match="each bin"):
        binned_wasserstein([1.0, 2.0], [1], current=[1, 2])
    with pytest.raises(InvalidInput, match="each bin"):
        binned_wasserstein([1.0], [-1], current=[1])
