"""From rollups and gates to a word: the order of the table, what each word needs, and the gate of a step."""

import msgspec
import pytest

from modelctl.controlplane.judgement.judging import Judgement, missing_for
from modelctl.controlplane.judgement.trust import notes
from modelctl.store.summing import Sum
from tests.controlplane.judged import FIVE_PERCENT, GATE, NOW, SHADOW, START, evidence, gated, judged, pairs, rows_of
from tests.controlplane.scene import counts, rollout, served

CANARY = gated(FIVE_PERCENT, GATE)
EQUAL = [*served("a", 380_000, 3800), *served("b", 20_000, 200)]


def test_a_canary_that_is_as_good_is_promoted_and_says_what_was_excluded() -> None:
    found = judged(CANARY, EQUAL)
    assert (found.word, found.winner) == ("promote", "b")
    assert found.commands[0] == "modelctl promote fraud"
    assert found.sentence.startswith("b is not worse than a on its guardrail (largest excluded harm: failed answers +0.2")
    assert "margin 0.5 points" in found.sentence
    assert missing_for(found, 10_000) == ()


def test_two_guardrails_are_both_of_them() -> None:
    found = judged(gated(FIVE_PERCENT, GATE, "timeout_rate:guardrail:margin=0.5pt"), EQUAL)
    assert found.sentence.startswith("b is not worse than a on both guardrails (largest excluded harm: ")


def test_a_candidate_without_any_errors_is_promoted_by_the_exact_box() -> None:
    found = judged(CANARY, [*served("a", 95_000, 0), *served("b", 5_000, 0)])
    assert found.word == "promote"
    (row, _) = rows_of(CANARY, [*served("a", 95_000, 0), *served("b", 5_000, 0)])
    assert (row.method, row.estimate, row.state) == ("coin-box", 0.0, "ok")


def test_a_candidate_beyond_its_margin_is_rolled_back_and_the_sentence_has_the_arithmetic() -> None:
    found = judged(CANARY, [*served("a", 95_000, 950), *served("b", 5_000, 150)])
    assert (found.word, found.commands) == ("rollback", ("modelctl rollback fraud",))
    assert found.sentence.startswith("b is worse: failed answers, 3% against 1%, a difference of ")
    assert "margin 0.5 points" in found.sentence
    assert found.sentence.endswith("Decided after 100,000 requests, 1h 00m.")
    assert missing_for(found, 100)


def test_a_fire_is_rolled_back_after_a_few_failures() -> None:
    found = judged(CANARY, [*served("a", 190, 0), *served("b", 10, 8)])
    assert found.word == "rollback"


def test_a_shadow_is_promoted_and_rolled_back_on_pairs() -> None:
    of = gated(SHADOW, "error_rate:guardrail:margin=1pt")
    assert judged(of, pairs(10, 10, 9_980)).word == "promote"
    assert judged(of, pairs(300, 10, 9_690)).word == "rollback"
    assert judged(of, pairs(1, 1, 198)).word == "continue"


def test_both_designs_are_judged_where_the_ladder_has_both_and_share_the_error_level() -> None:
    of = gated(rollout("canary", {"percent_bp": 500, "shadow_bp": 10_000}), GATE)
    found = rows_of(of, [*EQUAL, *pairs(10, 10, 9_980)])[:3]
    assert [(row.metric, row.design) for row in found] == [
        ("error_rate", "paired"),
        ("error_rate", "split"),
        ("failure_ratio", "split"),
    ]
    assert [row.alpha for row in found] == pytest.approx([0.05 / 3] * 3)
    assert [row.alpha_promote for row in found[:2]] == [0.05, 0.05]


def test_no_data_is_never_a_pass() -> None:
    of = gated(FIVE_PERCENT, GATE, "accuracy:guardrail:margin=1pt")
    found = judged(of, EQUAL)
    assert found.word == "continue"
    assert "an arm has no units yet" in found.sentence
    assert [text for text in missing_for(found, 1) if "no data never passes" in text]


def test_a_limit_on_answers_to_clients_waits_for_the_switch_and_is_asked_there() -> None:
    limit, agreement = "error_rate:guardrail:limit=5%", "agreement:guardrail:limit=90%"
    green = rollout("blue-green", {"shadow_bp": 10_000})
    same = [*counts("b", "agreement", {"equal": 2_000}), *pairs(0, 0, 2_000)]
    assert missing_for(judged(gated(green, limit, agreement), same), 10_000) == ()
    assert missing_for(judged(gated(green, limit), same), 10_000)  # nothing else is known of it
    assert judged(gated(green, limit, agreement), same).word != "promote"
    switched = msgspec.structs.replace(green, step=1, stage=2)
    assert missing_for(judged(gated(switched, limit, agreement), same), 10_000)


def test_nothing_is_promoted_before_the_minimum_of_time_and_of_requests() -> None:
    hasty = gated(FIVE_PERCENT, GATE, min_ms=7_200_000)
    assert judged(hasty, EQUAL).word == "continue"
    assert judged(hasty, EQUAL).needs == ("The minimum duration of 2h 00m is over in 1h 00m.",)
    assert judged(hasty, EQUAL, at=START + 7_200_000).word == "promote"
    small = gated(FIVE_PERCENT, GATE, min_n=20_001)
    assert judged(small, EQUAL).word == "continue"
    assert missing_for(judged(small, EQUAL), 10_000) == ()


def test_the_maximum_ends_a_rollout_without_proof_and_never_promotes() -> None:
    sums = [*served("a", 19_000, 190), *served("b", 1_000, 10)]
    found = judged(gated(FIVE_PERCENT, GATE, max_n=1_000), sums)
    assert found.word == "inconclusive"
    assert found.sentence.startswith("Reached 1,000 requests. b, failed answers: harm above ")
    assert found.sentence.endswith("excluded; margin 0.5 points not reached. Not promoted.")
    assert judged(gated(FIVE_PERCENT, GATE, max_ms=3_600_000), sums).word == "inconclusive"
    assert judged(gated(FIVE_PERCENT, GATE, max_ms=3_600_000), sums, at=NOW - 1).word == "continue"
    assert judged(gated(FIVE_PERCENT, GATE, max_ms=3_600_000), []).word == "inconclusive"


def test_a_crooked_split_blocks_promotion_and_every_raise() -> None:
    found = judged(CANARY, [*served("a", 190_000, 1900), *served("b", 20_000, 200)])
    assert (found.word, found.commands) == ("invalid", ("modelctl rollback fraud",))
    assert found.sentence.startswith("Traffic split 9.5% against 5% wanted for b (20,000 instead of 10,500; E = ")
    assert missing_for(found, 501)


def test_a_step_may_be_taken_when_the_harm_to_all_users_stays_below_the_margin() -> None:
    found = judged(gated(FIVE_PERCENT, GATE), [*served("a", 19_000, 19), *served("b", 1_000, 1)])
    (harm,) = found.harms
    assert harm.upper is not None
    most = int(harm.margin / harm.upper * 10_000)
    assert 500 < most < 10_000
    assert missing_for(found, most) == ()
    assert len(missing_for(found, most + 1)) == 1


def test_without_a_margin_nothing_is_promoted() -> None:
    of = gated(FIVE_PERCENT, "error_rate:success")
    found = judged(of, [*served("a", 380_000, 38_000), *served("b", 20_000, 200)])
    assert found.word == "continue"
    assert "No margins are declared" in found.margins
    assert missing_for(found, 501)


def test_a_fire_alarm_stands_in_no_ones_way() -> None:
    better = judged(CANARY, [*served("a", 380_000, 38_000), *served("b", 20_000, 200)])
    assert better.word == "promote"


def test_the_candidate_that_has_proven_it_wins_unless_another_does_harm() -> None:
    three = gated(rollout("ab", {"shares_bp": {"a": 4000, "b": 3000, "c": 3000}}, candidates=("b", "c")), GATE)
    arms = [*served("a", 40_000, 400), *served("b", 30_000, 300)]
    found = judged(three, [*arms, *served("c", 30_000, 400)])
    assert (found.word, found.winner) == ("promote", "b")
    assert found.commands[0] == "modelctl promote fraud --winner b"
    assert judged(three, [*arms, *served("c", 30_000, 900)]).word == "rollback"


def test_pairs_that_went_missing_make_the_evidence_unusable() -> None:
    of = gated(SHADOW, "error_rate:guardrail:margin=1pt")
    lost = [*pairs(0, 0, 9_000), *counts("b", "funnel", {"sent": 2_000})]
    found = judged(of, lost)
    assert found.word == "invalid"
    assert "Only 9,000 of 11,000 requests sent to b became pairs" in found.sentence


def test_a_judgement_survives_the_way_through_json() -> None:
    found = judged(gated(FIVE_PERCENT, GATE, "accuracy:guardrail:margin=1pt"), EQUAL)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Judgement) == found


def test_labels_that_come_more_often_for_one_arm_make_the_evidence_unusable_where_a_gate_is_about_labels() -> None:
    half = rollout("canary", {"percent_bp": 5000})
    arms = [*served("a", 50_000, 500), *served("b", 50_000, 500)]
    labels = [Sum(1, "a", "labelled", "", 45_000), Sum(1, "b", "labelled", "", 42_500)]
    right = [Sum(1, "a", "accuracy", "", 45_000, 40_500), Sum(1, "b", "accuracy", "", 42_500, 38_250)]
    of = gated(half, GATE, "accuracy:guardrail:margin=2pt")
    found = judged(of, [*arms, *labels, *right])
    assert found.word == "invalid"
    assert found.sentence.startswith("Labels arrived split 48.6% against 50% wanted for b (42,500 instead of 43,750; E = ")
    assert judged(gated(half, "error_rate:guardrail:margin=1pt"), [*arms, *labels]).word == "promote"
    even = [Sum(1, "a", "labelled", "", 45_000), Sum(1, "b", "labelled", "", 45_000)]
    assert judged(of, [*arms, *even, *right]).word == "promote"
    (said,) = notes(evidence(of, [*arms, *even, *right]))
    assert said.startswith(
        "The truth is known for 45,000 of 50,000 answers of a (90%), 45,000 of 50,000 answers of b (90%); labels come"
    )
