"""The compared rules are what they are called: ours is the product's, the others those of their sources."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import mannwhitneyu, rankdata, ttest_ind_from_stats

from modelctl.statistics import arm_given_event, difference
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.arrays import Floats
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import Proportion, ProportionStage
from tests.benchmarks.verdicts import kayenta, rules
from tests.benchmarks.verdicts.outcomes import Found, delays, false_alarms, outcomes
from tests.benchmarks.verdicts.rules import OURS, PEEKED, Rule
from tests.benchmarks.verdicts.streams import EQUAL, WORSE, Scenario, Streams


def drawn(scenario: Scenario, runs: int = 20) -> Streams:
    return scenario.draw(np.random.default_rng(1), runs)


def proven(found: Comparison) -> int:
    """+1 worse, -1 better, 0 neither, as a guardrail without a margin has it."""
    if not found.usable:
        return 0
    lower, upper = found.harm(higher_is_better=False)
    return (lower > 0) - (upper < 0)


@pytest.mark.parametrize("scenario", [EQUAL[1], WORSE[3], WORSE[4]], ids=lambda scenario: scenario.title)
def test_our_rule_claims_what_the_products_comparisons_prove(scenario: Scenario) -> None:
    streams = drawn(scenario)
    claims = rules.modelctl(streams)
    for run, look in np.random.default_rng(2).integers((20, streams.looks), size=(60, 2)):
        n_a, n_b, k_a, k_b = (
            part[run, look].astype(int).tolist()
            for part in (streams.counts.n_a, streams.counts.n_b, streams.counts.k_a, streams.counts.k_b)
        )
        counts = list(zip(n_a, n_b, k_a, k_b, strict=True))
        events = [EventStage(b, a + b, float(share)) for (_, _, a, b), share in zip(counts, streams.shares, strict=True)]
        stages = [ProportionStage(Proportion(a, e), Proportion(b, f)) for a, b, e, f in counts]
        ratio = proven(arm_given_event.compare(events, alpha=0.025))
        gap = proven(difference.compare_proportions(stages, tau=rules.TAU, alpha=0.025))
        assert claims[run, look] == np.clip(ratio + gap, -1, 1)


def test_the_t_test_is_welchs() -> None:
    streams = drawn(WORSE[1])
    heap, claims = streams.counts.over_stages(), rules.t_test(streams)
    for run, look in np.random.default_rng(3).integers((20, streams.looks), size=(60, 2)):
        n_a, n_b, k_a, k_b = (float(part[run, look]) for part in (heap.n_a, heap.n_b, heap.k_a, heap.k_b))
        p_a, p_b = k_a / n_a, k_b / n_b
        sd_a, sd_b = (np.sqrt(p * (1 - p) * n / (n - 1)) for p, n in ((p_a, n_a), (p_b, n_b)))
        found = ttest_ind_from_stats(p_b, sd_b, int(n_b), p_a, sd_a, int(n_a), equal_var=False)
        assert claims[run, look] == (np.sign(found.statistic) if found.pvalue < 0.05 else 0)


@pytest.mark.parametrize("levels", [4, 10_000])
def test_the_interval_for_a_shift_ends_where_the_mann_whitney_test_stops_rejecting(levels: int) -> None:
    """The z of ranks, corrected for ties and continuity, crosses its quantile at the ends, as in R's wilcox.test."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        control, experiment = (np.floor(rng.random(50) * levels) + more for more in (0.0, rng.integers(0, 3)))
        lower, estimate, upper = (float(end) for end in kayenta.shift(control, experiment))
        assert lower <= estimate <= upper
        for end, quantile in ((lower, 2.3263479), (upper, -2.3263479)):
            assert z_of_ranks(control, experiment - end + 1e-6) >= quantile - 1e-9
            assert z_of_ranks(control, experiment - end - 1e-6) <= quantile + 1e-9


def z_of_ranks(control: Floats, experiment: Floats) -> float:
    """The statistic behind scipy's p, with its sign."""
    size = len(experiment)
    ranks = rankdata(np.concatenate([experiment, control]))
    gap = ranks[:size].sum() - size * (size + 1) / 2 - size * len(control) / 2
    _, ties = np.unique(ranks, return_counts=True)
    n = len(ranks)
    sigma = np.sqrt(size * len(control) / 12 * (n + 1 - (ties**3 - ties).sum() / (n * (n - 1))))
    z = float((gap - np.sign(gap) * 0.5) / sigma)
    assert mannwhitneyu(experiment, control, method="asymptotic").pvalue == pytest.approx(2 * ndtr(-abs(z)), abs=1e-9)
    return z


def test_intervals_without_any_variation_pass() -> None:
    assert kayenta.judge(np.zeros(50), np.zeros(50)) == 0
    assert kayenta.judge(np.ones(50), np.ones(50)) == 0


def test_ten_times_the_errors_are_high_and_none_are_low() -> None:
    rng = np.random.default_rng(5)
    few, many = rng.binomial(50, 0.01, 50) / 50, rng.binomial(50, 0.1, 50) / 50
    assert [float(kayenta.judge(few, many)), float(kayenta.judge(many, few))] == [1, -1]
    assert kayenta.judge(many, rng.permutation(many)) == 0


def test_a_run_after_every_fifty_intervals_is_one_of_those_at_every_interval() -> None:
    streams = drawn(WORSE[2], runs=5)
    seldom, often = kayenta.every_fifty(streams), kayenta.sliding(streams)
    assert (seldom[:, 49::50] == often[:, 49::50]).all()
    assert not np.delete(seldom, np.s_[49::50], axis=1).any()


def test_a_run_ends_at_its_first_claim_and_the_tables_say_where() -> None:
    claims = np.zeros((4, 100))
    claims[0, 2:], claims[1, 4:7], claims[1, 7:], claims[2, 8] = 1.0, 1.0, -1.0, -1.0
    rule = Rule("rule", lambda streams: claims)
    seen = outcomes(rule, drawn(EQUAL[1], runs=4))
    assert seen.requests.tolist() == [3000.0, 5000.0, 9000.0, np.inf]
    assert seen.side.tolist() == [1.0, 1.0, -1.0, 0.0]
    tables: Found = {("rule", one.title): seen for one in (*EQUAL, *WORSE)}
    assert false_alarms(tables, [rule], scenarios=EQUAL[:1])[2] == "| rule | 75.0% ± 21.7% | 50.0% |"
    assert delays(tables, [rule], scenarios=WORSE[:1])[2] == "| rule | > 400,000 (> 400,000) | 25.0% |"


def test_peeking_is_seen_and_our_rule_keeps_its_level() -> None:
    streams = drawn(EQUAL[0], runs=100)
    alarms = [float((outcomes(rule, streams).side != 0).mean()) for rule in (OURS, *PEEKED)]
    assert alarms[0] <= 0.15
    assert min(alarms[1:]) >= 0.3
