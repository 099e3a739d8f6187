"""No method makes a NaN or a p outside 0 to 1, whatever the counts: nothing, everything, one alone."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.statistics import (
    agreement,
    arm_given_event,
    bayes,
    bounded,
    clusters,
    coin,
    difference,
    distance,
    dkw,
    drift,
    equal_quantiles,
    grid_betting,
    losses,
    means,
    moments,
    multiplicity,
    noise,
    paired,
    proportions,
    quantiles,
    ranks,
    rates,
    sample_ratio,
    score_interval,
)
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.clusters import Clusters, ClusterStage
from modelctl.statistics.difference import MeanStage, Proportion, ProportionStage
from modelctl.statistics.noise import FieldCounts
from modelctl.statistics.rates import Events
from modelctl.statistics.sample_ratio import ShareStage

COUNT = st.one_of(st.sampled_from([0, 1, 2, 3]), st.integers(0, 50), st.integers(0, 10**6))
ARM = COUNT.flatmap(lambda n: st.builds(Proportion, st.just(n), st.one_of(st.sampled_from([0, n]), st.integers(0, n))))
VALUES = st.lists(st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-1e9, 1e9)), max_size=12)


def numbers(found: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a result, with the name of the field it stands in."""
    if dataclasses.is_dataclass(found) and not isinstance(found, type):
        for field in dataclasses.fields(found):
            yield from numbers(getattr(found, field.name), field.name)
    elif isinstance(found, dict):
        for value in found.values():
            yield from numbers(value, name)
    elif isinstance(found, tuple | list):
        for value in found:
            yield from numbers(value, name)
    elif isinstance(found, int | float):
        yield name, float(found)


def is_probability(name: str) -> bool:
    """Whether a field of this name holds a p-value."""
    return name in ("p", "mid_p", "exact_p") or name.startswith("p_") or name.endswith("_p")


def sound(found: object) -> None:
    """No NaN; p within 0 and 1; the lower end not above the upper one."""
    for name, number in numbers(found):
        assert not math.isnan(number), (name, found)
        assert not is_probability(name) or -1e-12 <= number <= 1 + 1e-12, (name, found)
    lower, upper = getattr(found, "lower", None), getattr(found, "upper", None)
    assert lower is None or upper is None or lower <= upper, found


SHARES: Sequence[Callable[[Proportion, Proportion], object]] = (
    lambda a, b: coin.compare(a.k, a.n, null=0.01, alpha=0.05),
    lambda a, b: coin.interval(a.k, a.n, alpha=0.05),
    lambda a, b: arm_given_event.compare([EventStage(a.k, a.n, 0.05), EventStage(b.k, b.n, 0.5)], alpha=0.05),
    lambda a, b: difference.compare_proportions([ProportionStage(a, b)], tau=0.01, alpha=0.05),
    lambda a, b: difference.compare_proportions([ProportionStage(a, b), ProportionStage(b, a)], tau=0.01, alpha=0.05),
    lambda a, b: grid_betting.compare(a.k, a.n - a.k, n_neg=b.k, alpha=0.05),
    lambda a, b: sample_ratio.compare([ShareStage((a.n, b.n), (0.95, 0.05)), ShareStage((a.k, b.k), (0.5, 0.5))]),
    lambda a, b: paired.mcnemar(a.n - a.k, a.k, candidate_only=b.k, neither=b.n - b.k),
    lambda a, b: agreement.cohen_kappa([[a.k, a.n - a.k], [b.k, b.n - b.k]]),
    lambda a, b: agreement.stuart_maxwell([[a.k, a.n - a.k], [b.k, b.n - b.k]]),
    lambda a, b: agreement.bowker([[a.k, a.n - a.k], [b.k, b.n - b.k]]),
    lambda a, b: [proportions.wilson(a), proportions.clopper_pearson(b)],
    proportions.wald,
    proportions.pooled_z,
    proportions.newcombe,
    proportions.fisher,
    proportions.risk_ratio,
    score_interval.miettinen_nurminen,
    lambda a, b: rates.rate_ratio(Events(a.k, a.n), Events(b.k, b.n)),
    bayes.chance_higher,
    lambda a, b: drift.psi([a.k, a.n], [b.k, b.n]),
    lambda a, b: drift.jensen_shannon([a.k, a.n], [b.k, b.n]),
    lambda a, b: drift.total_variation([a.k, a.n], [b.k, b.n]),
    lambda a, b: drift.association([a.k, a.n, 0], [b.k, b.n, 0]),
    lambda a, b: noise.noise_floor({"field": FieldCounts(total=a.n + b.n, raw=a.k, noise=b.k, both=min(a.k, b.k))}),
    lambda a, b: quantiles.compare(
        quantiles.Histogram({3: a.k, 9: b.k}), quantiles.Histogram({4: b.n}, zero=a.n), q=0.99, alpha=0.05
    ),
    lambda a, b: [quantiles.order_statistic_ranks(a.n, 0.95), quantiles.enough(a.n, 0.95)],
    lambda a, b: dkw.compare(quantiles.Histogram({3: a.k, 9: b.k}), quantiles.Histogram({4: b.n}), alpha=0.05),
    lambda a, b: equal_quantiles.histogram_log_e(quantiles.Histogram({3: a.k, 9: b.k}), quantiles.Histogram({3: b.n}), q=0.5),
)


@pytest.mark.parametrize("method", SHARES, ids=range(len(SHARES)))
@given(ARM, ARM)
def test_counts_of_any_size_give_numbers(method: Callable[[Proportion, Proportion], object], a: Proportion, b: Proportion) -> None:
    sound(method(a, b))


NUMBERS: Sequence[Callable[[list[float], list[float]], object]] = (
    lambda a, b: difference.compare_means([MeanStage(moments.summary(a * 20), moments.summary(b * 20))], tau=1.0, alpha=0.05),
    lambda a, b: difference.compare_paired(moments.summary(a * 5), tau=1.0, alpha=0.05),
    lambda a, b: paired.bland_altman(moments.summary(a)),
    lambda a, b: means.welch(moments.summary(a), moments.summary(b)),
    lambda a, b: means.paired_t(moments.summary(a)),
    lambda a, b: means.contrast(moments.summary(a), moments.summary(b), delta=0.1),
    ranks.mann_whitney,
    lambda a, b: ranks.signed_ranks(a),
    lambda a, b: ranks.signed_ranks(a, zeros=ranks.ZeroRule.WILCOX),
    lambda a, b: ranks.sign_test(a),
    distance.wasserstein,
    lambda a, b: losses.compare(a[: len(b)], b[: len(a)]),
    lambda a, b: [multiplicity.e_bh(a, alpha=0.1), multiplicity.e_holm(b, alpha=0.1), multiplicity.mean_log_e(a)],
    lambda a, b: concordance_of(a[: len(b)], b[: len(a)]),
    lambda a, b: bounded.compare([abs(x) % 1 for x in a], null=0.5, alpha=0.05),
    lambda a, b: clusters.compare([ClusterStage(*(of_users(side * 20) for side in (a, b)))], tau=1.0, alpha=0.05),
)


def of_users(values: list[float]) -> Clusters:
    return clusters.summarise([(value, 1 + number % 3) for number, value in enumerate(values)])


def concordance_of(a: list[float], b: list[float]) -> paired.Concordance:
    gaps = [y - x for x, y in zip(a, b, strict=True)]
    return paired.concordance(moments.summary(a), moments.summary(b), differences=moments.summary(gaps))


@pytest.mark.parametrize("method", NUMBERS, ids=range(len(NUMBERS)))
@given(VALUES, VALUES)
def test_values_of_any_kind_give_numbers(
    method: Callable[[list[float], list[float]], object], a: list[float], b: list[float]
) -> None:
    sound(method(a, b))
