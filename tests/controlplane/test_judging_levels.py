"""Error levels of the whole judgement on a 5 % canary that is watched from its first requests, with rare and no errors.

The exact box, the mixture behind its gate and the alarm for fires decide together here, at levels that are shared out. A bound is
the 1e-4 upper tail of the binomial at the nominal level; a control shows that the harness sees a rule that does not keep it.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import binom

from modelctl.statistics import arm_given_event
from modelctl.statistics.arm_given_event import EventStage
from tests.controlplane.judged import FIVE_PERCENT, GATE, gated, judged
from tests.controlplane.scene import served

CANARY = gated(FIVE_PERCENT, GATE)
MARGIN = 0.005
LOOKS = np.unique(np.geomspace(60, 250_000, 40).astype(int))
Seen = tuple[int, int, int, int]
Rule = Callable[[Seen], str]


def most(runs: int) -> int:
    return int(binom.isf(1e-4, runs, 0.05))


def streams(rates: tuple[float, float], runs: int, *, looks: int) -> Iterator[list[Seen]]:
    """Units and failures of both arms at every look."""
    chance = np.random.default_rng(1)
    for _ in range(runs):
        steps = np.diff(LOOKS[:looks], prepend=0)
        n_b = chance.binomial(steps, 0.05)
        n_a = steps - n_b
        parts = (n_a, chance.binomial(n_a, rates[0]), n_b, chance.binomial(n_b, rates[1]))
        yield [(int(a), int(b), int(c), int(d)) for a, b, c, d in zip(*(part.cumsum() for part in parts), strict=True)]


def ends(rates: tuple[float, float], *, runs: int, rule: Rule, looks: int = len(LOOKS)) -> Counter[str]:
    """How many runs end in each word; a rollback or a promotion ends a run."""
    return Counter(
        next((word for seen in stream if (word := rule(seen)) in ("rollback", "promote")), "open")
        for stream in streams(rates, runs, looks=looks)
    )


def judging(seen: Seen) -> str:
    n_a, k_a, n_b, k_b = seen
    return judged(CANARY, [*served("a", n_a, k_a), *served("b", n_b, k_b)]).word


def peeking(seen: Seen) -> str:
    """The ordinary 95 % interval of the difference, looked at all the time."""
    n_a, k_a, n_b, k_b = seen
    if not n_a or not n_b:
        return "open"
    gap, spread = k_b / n_b - k_a / n_a, (k_a / n_a * (1 - k_a / n_a) / n_a + k_b / n_b * (1 - k_b / n_b) / n_b) ** 0.5
    return "rollback" if gap - 1.96 * spread > MARGIN else "open" if gap + 1.96 * spread >= MARGIN else "promote"


def twice_and_observed(seen: Seen) -> str:
    """A fire as twice as many failures, for sure, and an observed difference above the margin."""
    n_a, k_a, n_b, k_b = seen
    ratio = arm_given_event.compare([EventStage(k_b, k_a + k_b, 0.05)], alpha=0.025)
    return "rollback" if ratio.lower > 2 and n_a and n_b and k_b / n_b - k_a / n_a > MARGIN else "open"


def test_equal_arms_without_any_failure_are_promoted_and_not_rolled_back() -> None:
    found = ends((0.0, 0.0), runs=20, rule=judging, looks=32)
    assert found["rollback"] == 0
    assert found["promote"] == 20


def test_a_candidate_that_fails_always_is_rolled_back_within_two_hundred_requests() -> None:
    assert ends((0.001, 1.0), runs=20, rule=judging, looks=6)["rollback"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.01, 0.001, 0.0])
def test_equal_arms_are_hardly_ever_rolled_back(rate: float) -> None:
    found = ends((rate, rate), runs=150, rule=judging)
    assert found["rollback"] <= most(150)
    assert found["promote"] >= 140


@pytest.mark.slow
@pytest.mark.parametrize("rates", [(0.01, 0.015), (0.001, 0.006), (0.0, 0.005)])
def test_a_candidate_right_at_its_margin_is_hardly_ever_promoted_or_rolled_back(rates: tuple[float, float]) -> None:
    found = ends(rates, runs=150, rule=judging)
    assert found["promote"] <= most(150)
    assert found["rollback"] <= most(150)


@pytest.mark.slow
def test_ten_times_the_failures_are_rolled_back_after_a_few_thousand_requests() -> None:
    found = ends((0.01, 0.1), runs=100, rule=judging, looks=24)
    assert found["rollback"] >= 95


@pytest.mark.slow
def test_the_harness_sees_rules_that_do_not_keep_their_level() -> None:
    assert ends((0.01, 0.015), runs=150, rule=peeking)["promote"] >= 60
    assert ends((0.001, 0.006), runs=150, rule=twice_and_observed)["rollback"] >= 90
