import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from modelctl.errors import InvalidInput
from modelctl.statistics.multiplicity import benjamini_hochberg, benjamini_yekutieli, bonferroni, e_bh, e_holm, holm, mean_log_e

P_VALUES = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.05, 1.0])), max_size=15)
LOG_E = st.lists(st.one_of(st.floats(-20, 2000), st.sampled_from([-math.inf, 0.0, math.log(20)])), max_size=15)
Adjustment = Callable[[Sequence[float]], list[float]]
ADJUSTMENTS: list[Adjustment] = [bonferroni, holm, benjamini_hochberg, benjamini_yekutieli]
REJECTIONS = [e_bh, e_holm]


@pytest.mark.parametrize("adjust", ADJUSTMENTS)
@given(p=P_VALUES)
def test_adjusted_p_values_keep_their_order_and_never_shrink(adjust: Adjustment, p: list[float]) -> None:
    adjusted = adjust(p)
    assert len(adjusted) == len(p)
    for before, after in zip(p, adjusted, strict=True):
        assert before * (1 - 1e-12) <= after <= 1
    by_size = [after for _, after in sorted(zip(p, adjusted, strict=True))]
    assert by_size == sorted(by_size)


@pytest.mark.parametrize("adjust", ADJUSTMENTS)
@given(p=P_VALUES, chance=st.randoms(use_true_random=False))
def test_the_order_of_tests_does_not_matter(adjust: Adjustment, p: list[float], chance: st.DataObject) -> None:
    places = list(range(len(p)))
    chance.shuffle(places)  # type: ignore[attr-defined]
    adjusted = adjust(p)
    assert adjust([p[place] for place in places]) == [adjusted[place] for place in places]


@given(P_VALUES.filter(bool))
def test_false_discovery_rates_are_scipys(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(list(false_discovery_control(p, method="bh")), rel=1e-12)
    assert benjamini_yekutieli(p) == pytest.approx(list(false_discovery_control(p, method="by")), rel=1e-12)


@given(P_VALUES)
def test_holm_is_never_weaker_than_bonferroni_nor_stronger_than_benjamini_hochberg(p: list[float]) -> None:
    for weak, middle, strong in zip(bonferroni(p), holm(p), benjamini_hochberg(p), strict=True):
        assert strong * (1 - 1e-12) <= middle <= weak * (1 + 1e-12)


@given(LOG_E, st.floats(0.001, 0.5))
def test_e_bh_rejects_as_its_definition_says(log_e: list[float], alpha: float) -> None:
    rejected = e_bh(log_e, alpha=alpha)
    m, ordered = len(log_e), sorted(log_e, reverse=True)
    wanted = max((k for k in range(1, m + 1) if ordered[k - 1] >= math.log(m / (alpha * k)) - 1e-9), default=0)
    assert len(rejected) == wanted
    assert rejected == sorted(rejected)
    assert min((log_e[index] for index in rejected), default=math.inf) >= max(
        (value for index, value in enumerate(log_e) if index not in rejected), default=-math.inf
    )


@given(LOG_E, st.floats(0.001, 0.5))
def test_naming_culprits_is_stricter_than_a_false_discovery_rate(log_e: list[float], alpha: float) -> None:
    assert set(e_holm(log_e, alpha=alpha)) <= set(e_bh(log_e, alpha=alpha))


@pytest.mark.parametrize("reject", REJECTIONS)
@given(log_e=LOG_E)
def test_more_evidence_for_one_never_acquits_another(reject: Callable[..., list[int]], log_e: list[float]) -> None:
    before = reject(log_e, alpha=0.1)
    for index in range(len(log_e)):
        more = [value + (5 if place == index else 0) for place, value in enumerate(log_e)]
        assert set(before) <= set(reject(more, alpha=0.1))


@pytest.mark.parametrize("e", [20.0, 0.1 + 19.9, 60 / 3])
def test_an_e_value_on_its_threshold_rejects(e: float) -> None:
    assert e_bh([math.log(e)], alpha=0.05) == e_holm([math.log(e)], alpha=0.05) == [0]


def test_ties_are_all_rejected_or_none() -> None:
    for m in range(1, 40):
        assert e_bh([math.log(1 / 0.07)] * m, alpha=0.07) == list(range(m))
        assert e_bh([math.log(0.999 / 0.07)] * m, alpha=0.07) == []


def test_evidence_beyond_what_a_float_holds_is_averaged() -> None:
    assert mean_log_e([5000.0, 1.0]) == pytest.approx(5000 - math.log(2))
    assert mean_log_e([math.log(3.0), -math.inf]) == pytest.approx(math.log(1.5))
    assert mean_log_e([math.inf, 0.0]) == math.inf
    assert mean_log_e([-math.inf, -math.inf]) == -math.inf


def test_no_tests_reject_nothing() -> None:
    assert [adjust([]) for adjust in ADJUSTMENTS] == [[], [], [], []]
    assert (e_bh([], alpha=0.05), e_holm([], alpha=0.05), mean_log_e([])) == ([], [], 0.0)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    for adjust in ADJUSTMENTS:
        with pytest.raises(InvalidInput, match="between 0 and 1"):
            adjust([0.5, p])


def test_evidence_that_is_no_number_is_refused() -> None:
    for reject in REJECTIONS:
        with pytest.raises(InvalidInput, match="NaN"):
            reject([math.nan, 1.0], alpha=0.05)
    with pytest.raises(InvalidInput, match="NaN"):
        mean_log_e([math.nan])
