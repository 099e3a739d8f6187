import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import coin, sample_size, tuning
from modelctl.statistics.designs import Limit, Means, PairedMeans, PairedOutcomes, Proportions, Rates, Unit
from modelctl.statistics.forecast import (
    AnyDesign,
    certified_without_errors,
    duration,
    faster,
    forecast,
    lever,
    single_look_without_errors,
)
from modelctl.statistics.sample_size import Target

SHARES = (0.01, 0.05, 0.1, 0.5)
HARM = Proportions(baseline=0.01, candidate=0.015, share=0.05)

# n for one look and watched, in thousands, at a share of 1, 5, 10 and 50 %: two-sided 5 %, 80 % power.
PLANNED = [
    (Proportions(baseline=0.01, candidate=0.01, share=0.01, margin=0.005), [(314, 515), (65, 107), (35, 57), (12.4, 20)]),
    (Proportions(baseline=0.01, candidate=0.01, share=0.01, margin=0.002), [(1962, 3220), (409, 671), (216, 354), (78, 127)]),
    (Proportions(baseline=0.001, candidate=0.001, share=0.01, margin=0.001), [(792, 1300), (165, 271), (87, 143), (31.3, 51)]),
    (Means(baseline_sd=120, candidate_sd=120, share=0.01, margin=5), [(457, 749), (95, 156), (50, 82), (18, 30)]),
    (Rates(ratio=1.2, share=0.01), [(23.9, 39.1), (5.0, 8.2), (2.62, 4.3), (0.944, 1.55)]),
    (Rates(ratio=1.5, share=0.01), [(4.8, 7.9), (1.0, 1.65), (0.53, 0.87), (0.19, 0.313)]),
]


@pytest.mark.parametrize(("design", "rows"), PLANNED)
def test_a_plan_has_the_figures_of_the_published_tables(design: AnyDesign, rows: list[tuple[float, float]]) -> None:
    for share, (fixed, watched) in zip(SHARES, rows, strict=True):
        found = forecast(replace(design, share=share))
        assert found.n_fixed == pytest.approx(1000 * fixed, rel=0.015)
        assert found.n80 == pytest.approx(1000 * watched, rel=0.02 if design.harm else 0.08)


@pytest.mark.parametrize(("discordance", "margin", "fixed"), [(0.02, 0.01, 1570), (0.02, 0.005, 6280), (0.1, 0.01, 7850)])
def test_pairs_need_a_small_part_of_the_requests(discordance: float, margin: float, fixed: int) -> None:
    found = forecast(PairedOutcomes(discordance=discordance, margin=margin))
    assert found.unit is Unit.PAIRS
    assert found.n_fixed == pytest.approx(fixed, rel=0.01)
    assert found.n80 == pytest.approx(2.1 * fixed, rel=0.01)
    canary = forecast(Proportions(baseline=0.9, candidate=0.9, share=0.05, margin=margin, higher_is_better=True))
    assert canary.requests > 10 * found.requests


def test_a_limit_is_certified_without_errors_after_the_published_number_of_requests() -> None:
    assert [certified_without_errors(limit) for limit in (0.01, 0.001)] == [427, 4288]
    assert [single_look_without_errors(limit) for limit in (0.01, 0.001)] == [299, 2995]
    n = certified_without_errors(0.02)
    kappa = tuning.limit_concentration(0.02)
    assert coin.interval(0, n, alpha=0.05, kappa=kappa)[1] <= 0.02 < coin.interval(0, n - 1, alpha=0.05, kappa=kappa)[1]
    found = forecast(Limit(rate=0.0, limit=0.01, share=0.05))
    assert (found.n80, found.n_fixed, found.requests) == (427, 299, 8540)
    assert forecast(Limit(rate=0.005, limit=0.01)).n_fixed == pytest.approx(7.849 * 0.0099 / 0.005**2, rel=1e-3)


def test_an_improvement_on_a_small_share_needs_the_pooled_variance() -> None:
    better = Proportions(baseline=0.01, candidate=0.006, share=0.1)
    unpooled = sample_size.two_arms(0.01 * 0.99, 0.006 * 0.994, share=0.1)
    assert forecast(better).variance > 1.3 * unpooled
    assert forecast(HARM).variance == pytest.approx(sample_size.two_arms(0.01 * 0.99, 0.015 * 0.985, share=0.05))


@given(st.floats(0.001, 0.5), st.floats(0.001, 0.5), st.floats(0.01, 0.5), st.floats(1e-3, 1))
def test_the_unit_of_a_mean_does_not_change_what_it_needs(sd: float, harm: float, share: float, unit: float) -> None:
    plain = forecast(Means(baseline_sd=sd, candidate_sd=2 * sd, share=share, harm=-harm))
    scaled = forecast(Means(baseline_sd=unit * sd, candidate_sd=2 * unit * sd, share=share, harm=-harm * unit))
    assert scaled.n_fixed == pytest.approx(plain.n_fixed, rel=1e-9)


@given(st.floats(0.01, 0.99), st.floats(0.02, 0.98))
def test_the_arms_of_a_mean_may_be_swapped(share: float, spread: float) -> None:
    there = forecast(Means(baseline_sd=1, candidate_sd=spread, share=share, harm=-0.1))
    back = forecast(Means(baseline_sd=spread, candidate_sd=1, share=1 - share, harm=-0.1))
    assert there.n_fixed == pytest.approx(back.n_fixed, rel=1e-9)


def test_the_chance_of_a_decision_grows_to_80_percent_at_n80() -> None:
    found = forecast(HARM)
    chances = [found.probability(part * found.n80) for part in (0.0, 0.1, 0.3, 0.6, 1.0, 2.0)]
    assert chances == sorted(chances)
    assert chances[0] == 0
    assert found.probability(found.n_fixed) == pytest.approx(0.54, abs=0.03)
    assert chances[4] == pytest.approx(0.8, abs=0.03)
    assert chances[5] > 0.97
    certain = forecast(Limit(rate=0.0, limit=0.01))
    assert (certain.probability(426), certain.probability(427)) == (0, 1)


def test_time_follows_the_traffic_that_gives_the_units() -> None:
    found = forecast(HARM)
    assert found.seconds(100.0) == pytest.approx(found.n80 / 100)
    assert found.seconds(100.0, seen=found.n80 / 2) == pytest.approx(found.n80 / 200)
    assert found.seconds(100.0, seen=2 * found.n80) == 0
    assert found.seconds(0.0) == math.inf
    events = forecast(Rates(ratio=1.5, share=0.05, baseline_rate=0.01))
    assert events.requests == pytest.approx(events.n80 / (0.01 * (0.95 + 0.05 * 1.5)))
    shadow = forecast(PairedMeans(sd=1.0, margin=0.1, share=0.2))
    assert shadow.requests == pytest.approx(5 * shadow.n80)
    assert forecast(Rates(ratio=1.5, share=0.05, baseline_rate=0.0)).requests == math.inf


def test_twice_the_share_is_the_lever_until_the_arms_are_equal() -> None:
    sooner = faster(HARM)
    assert sooner is not None
    assert sooner.share == 0.1
    assert sooner.n80 == pytest.approx(forecast(HARM).n80 / 2, rel=0.1)
    assert lever(HARM, 10.0) == "raise share 5 % to 10 %: 4.4 h becomes 2.3 h"
    half = faster(replace(HARM, share=0.3))
    assert half is not None
    assert half.share == 0.5
    assert faster(replace(HARM, share=0.5)) is None
    assert lever(PairedOutcomes(discordance=0.02, margin=0.01), 10.0) == ""
    assert faster(PairedOutcomes(discordance=0.02, margin=0.01, share=0.3)) is not None


def test_a_gate_that_cannot_decide_in_time_is_refused_with_the_number_it_needs() -> None:
    found = forecast(HARM)
    assert found.refusal(10_000) == (
        f"unreachable before max_n = 10,000 requests: about {found.n80:,.0f} are needed at a share of 5 %"
    )
    assert found.refusal(10**6) == ""
    assert "no number" in forecast(Rates(ratio=2.0, share=0.05, baseline_rate=0.0)).refusal(10**9)


def test_a_group_sequential_plan_needs_less_than_watching() -> None:
    found = forecast(HARM)
    assert found.n_fixed < found.max_n_group_sequential < found.n80


def test_several_guardrails_are_planned_with_more_power_each() -> None:
    metric, alone = PairedMeans(sd=1, margin=0.08), Target(sides=1)
    assert forecast(metric, alone).n_fixed == pytest.approx(966, rel=1e-3)
    assert forecast(metric, sample_size.each_of(3, alone)).n_fixed == pytest.approx(1547, rel=1e-3)


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.4, "12 s"), (95, "1.6 min"), (22_000, "6.1 h"), (300_000, "3.5 d"), (math.inf, "never")]
)
def test_durations_are_said_in_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_plans_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing to show"):
        forecast(replace(HARM, candidate=0.01))
    with pytest.raises(InvalidInput, match="share"):
        forecast(replace(HARM, share=0.0))
    with pytest.raises(InvalidInput, match="rate"):
        forecast(replace(HARM, candidate=1.5))
    with pytest.raises(InvalidInput, match="ratios"):
        Rates(ratio=0.0, share=0.05)
    with pytest.raises(InvalidInput, match="pairs that differ"):
        PairedOutcomes(discordance=0.01, harm=0.02)
    with pytest.raises(InvalidInput, match="limit"):
        Limit(rate=0.0, limit=0.0)
    for wrong in ({"power": 1.0}, {"sides": 3}, {"alpha": 0.9, "power": 0.2}):
        with pytest.raises(InvalidInput, match="cannot be planned"):
            Target(**wrong)
