"""Evidence that was dropped keeps gates closed: when it is much, or one arm's more than the other's. More evidence opens them."""

import pytest

from modelctl.controlplane.judgement.dropped import MOST, MOST_UNEQUAL, gaps_of
from modelctl.controlplane.judgement.judging import missing_for
from modelctl.controlplane.judgement.trust import notes
from modelctl.rollout import Rollout
from modelctl.store.summing import Sum
from tests.controlplane.judged import SHADOW, evidence, gated, judged, pairs
from tests.controlplane.scene import counts, rollout, served

GATE = "error_rate:guardrail:margin=1pt"
HALF = gated(rollout("canary", {"percent_bp": 5_000}), GATE)


def arms(n: int) -> list[Sum]:
    return [*served("a", n, n // 100), *served("b", n, n // 100)]


def dropped(a: int, b: int) -> list[Sum]:
    return [*counts("a", "dropped", {"disk-full": a}), *counts("b", "dropped", {"disk-full": b})]


def test_what_was_dropped_withholds_the_verdict_and_says_why_and_what_mends_it() -> None:
    assert judged(HALF, arms(50_000)).word == "promote"
    found = judged(HALF, [*arms(50_000), *dropped(1_500, 1_500)])
    assert found.word == "invalid"
    wanted = (
        "1,500 of 51,500 answers of b were dropped before they were recorded (2.9%; disk-full 1,500); at most 2% may be. "
        "23,500 more that are recorded, or a new rollout, mend it."
    )
    assert wanted in found.faults
    assert wanted in found.sentence
    assert wanted in missing_for(found, 10_000)
    assert "modelctl rollback fraud" in found.commands


@pytest.mark.parametrize("lost", [1, 49, 50, 1_500, 99_999])
def test_as_much_more_evidence_as_the_sentence_asks_for_opens_the_gate(lost: int) -> None:
    (gap, _) = gaps_of(evidence(HALF, [*arms(40_000), *dropped(lost, lost)]))
    enough = 40_000 + gap.needed
    assert judged(HALF, [*arms(enough), *dropped(lost, lost)]).word == "promote"
    if gap.needed:
        assert judged(HALF, [*arms(enough - 1), *dropped(lost, lost)]).word == "invalid"
    assert lost / (lost + enough) <= MOST


def test_a_little_that_was_dropped_is_told_and_bars_nothing() -> None:
    sums = [*arms(50_000), *dropped(100, 90)]
    assert judged(HALF, sums).word == "promote"
    assert notes(evidence(HALF, sums)) == (
        "100 of 50,100 answers of a were dropped before they were recorded (0.2%; disk-full 100).",
        "90 of 50,090 answers of b were dropped before they were recorded (0.18%; disk-full 90).",
    )


def test_drops_that_are_one_arms_more_than_its_share_explains_bar_promotion() -> None:
    found = judged(HALF, [*arms(50_000), *dropped(30, 400)])
    assert found.word == "invalid"
    assert found.faults[-1].endswith("That is more of one arm than its share explains.")
    few = [*arms(500_000), *dropped(30, 400)]
    assert MOST_UNEQUAL * 1_000_430 > 430
    assert judged(HALF, few).word == "promote"


def test_units_that_are_kept_on_their_arm_may_be_dropped_together() -> None:
    sticky = gated(rollout("canary", {"percent_bp": 5_000}), GATE, unit="header:x-user")
    assert judged(sticky, [*arms(50_000), *dropped(30, 400)]).faults == ()


def test_pairs_that_asked_again_are_counted_once_among_the_recorded_ones() -> None:
    of: Rollout = gated(SHADOW, GATE)
    seen = [*counts("b", "funnel", {"paired": 9_000, "duplicate": 4_000}), *counts("b", "pair_dropped", {"disk-full": 200})]
    (gap,) = gaps_of(evidence(of, seen))
    assert (gap.pairs, gap.recorded, gap.needed) == (True, 9_000, 800)


def test_dropped_pairs_withhold_the_verdict_of_a_shadow() -> None:
    of: Rollout = gated(SHADOW, GATE)
    assert judged(of, pairs(0, 0, 9_000)).word == "promote"
    found = judged(of, [*pairs(0, 0, 9_000), *counts("b", "pair_dropped", {"disk-full": 150, "buffer-full": 50})])
    assert found.word == "invalid"
    (fault,) = found.faults
    assert fault == (
        "200 of 9,200 pairs with b were dropped before they were recorded (2.2%; buffer-full 50, disk-full 150); "
        "at most 2% may be. 800 more that are recorded, or a new rollout, mend it."
    )


def test_harm_is_rolled_back_however_much_was_dropped() -> None:
    bad = [*served("a", 20_000, 200), *served("b", 20_000, 4_000), *dropped(9_000, 9_000)]
    assert judged(HALF, bad).word == "rollback"
