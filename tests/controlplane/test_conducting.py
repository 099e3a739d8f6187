"""What automation does next: tables of standings, and laws over all of them."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.conduct import Approval, AtEnd, Conduct, Mode
from modelctl.controlplane.automation.conducting import (
    BINDING,
    Barrier,
    Intent,
    Standing,
    binding,
    contradicted,
    findings,
    next_move,
    share_of,
)
from modelctl.gate import parse_gate
from modelctl.rollout import Phase, Rollout, Step, Verb, legal_verbs
from modelctl.traffic import ALL, Arm, Role

OPENED = 1_700_000_000_000
HOUR = 3_600_000
GATE = parse_gate("error_rate:guardrail:margin=0.5pt")
WORDS = ("promote", "rollback", "continue", "inconclusive", "invalid", "no-data")


def step(answers: int, *, shown: int = 0, bake: int = 0, hold: bool = False) -> Step:
    baseline = Arm(backend="a", role=Role.BASELINE, answers=ALL - answers)
    candidate = Arm(backend="b", role=Role.CANDIDATE, answers=answers, shown=shown)
    return Step(title=f"{answers / 100:g}%", arms=(baseline, candidate), bake_ms=bake, hold=hold)


LADDER = (step(100), step(500), step(2000), step(5000))
SHADOW = (step(0, shown=ALL),)
BLUE_GREEN = (step(0, shown=ALL), step(ALL))


def rollout(steps: tuple[Step, ...] = LADDER, *, at_step: int = 0, conduct: Conduct | None = None, **changes: object) -> Rollout:
    made = Rollout(
        id=7,
        route="fraud",
        strategy="canary",
        baseline="a",
        candidates=("b",),
        steps=steps,
        step=at_step,
        salt="0" * 32,
        opened_at=OPENED,
        step_at=OPENED,
        actor="ann",
        gates=(GATE,),
        conduct=conduct or Conduct(mode=Mode.AUTO),
    )
    return msgspec.structs.replace(made, **changes)


def standing(of: Rollout, word: str = "continue", *, at: int = OPENED + HOUR, **known: object) -> Standing:
    return Standing(rollout=of, word=word, sentence=f"The word is {word}.", at=at, **known)  # type: ignore[arg-type]


def auto(**conduct: object) -> Conduct:
    return Conduct(mode=Mode.AUTO, **conduct)  # type: ignore[arg-type]


def barriers_of(intent: Intent) -> list[Barrier]:
    return [block.barrier for block in intent.blocked_by]


LAST = rollout(at_step=3)
NOT_YET = ("b, failed answers: harm above 3% excluded",)


@pytest.mark.parametrize(
    ("seen", "verb", "kind"),
    [
        (standing(rollout(), "rollback"), Verb.ROLLBACK, "rollback"),
        (standing(rollout(phase=Phase.PAUSED), "rollback"), Verb.ROLLBACK, "rollback"),
        (standing(rollout(holds="Stopped."), "rollback"), Verb.ROLLBACK, "rollback"),
        (standing(rollout(), "rollback", frozen="A freeze holds."), Verb.ROLLBACK, "rollback"),
        (standing(rollout(), "continue", latched={"rollback": OPENED}), Verb.ROLLBACK, "rollback"),
        (standing(rollout()), Verb.ADVANCE, "advance:1"),
        (standing(rollout(at_step=2)), Verb.ADVANCE, "advance:3"),
        (standing(LAST, "promote"), Verb.PROMOTE, "promote"),
        (standing(rollout(SHADOW), "promote"), Verb.PROMOTE, "promote"),
        (standing(rollout(SHADOW, conduct=auto(for_ms=HOUR)), "promote"), Verb.PROMOTE, "promote"),
        (standing(rollout(BLUE_GREEN)), Verb.ADVANCE, "advance:1"),
        (standing(rollout(BLUE_GREEN, at_step=1), "promote", latched={"advance:1": OPENED}), Verb.PROMOTE, "promote"),
        (standing(rollout(conduct=auto(for_ms=HOUR)), missing=NOT_YET), Verb.COMPLETE, "complete"),
        (standing(rollout(conduct=Conduct(for_ms=HOUR)), "promote"), Verb.COMPLETE, "complete"),
        (standing(rollout(phase=Phase.PAUSED, conduct=auto(for_ms=HOUR))), Verb.COMPLETE, "complete"),
        (standing(rollout(SHADOW, conduct=auto(max_shown=500)), shown=500, missing=NOT_YET), Verb.COMPLETE, "complete"),
        (standing(rollout(conduct=auto(at_end=AtEnd.ROLLBACK)), "inconclusive"), Verb.ROLLBACK, "rollback"),
    ],
)
def test_automation_moves_by_itself(seen: Standing, verb: Verb, kind: str) -> None:
    intent = next_move(seen)
    assert (intent.verb, intent.kind, intent.blocked_by) == (verb, kind, ())


@pytest.mark.parametrize(
    ("seen", "barriers"),
    [
        (standing(rollout(), missing=NOT_YET), [Barrier.GATE]),
        (standing(rollout(), "no-data"), [Barrier.GATE]),
        (standing(rollout(), "invalid"), [Barrier.GATE]),
        (standing(rollout(gates=())), [Barrier.GATE]),
        (standing(rollout(gates=(parse_gate("accuracy:success"),))), [Barrier.GATE]),
        (standing(LAST, "continue"), [Barrier.GATE]),
        (standing(LAST, "promote", frozen="A freeze holds."), [Barrier.FREEZE]),
        (standing(rollout(phase=Phase.PAUSED)), [Barrier.PAUSE]),
        (standing(rollout(holds="The maximum was reached.")), [Barrier.HOLD]),
        (standing(rollout(conduct=auto(bake_ms=2 * HOUR))), [Barrier.BAKE]),
        (standing(rollout((step(100, bake=2 * HOUR), step(500)), conduct=auto(bake_ms=1))), [Barrier.BAKE]),
        (standing(rollout((step(100, hold=True), step(500)))), [Barrier.STEP]),
        (standing(rollout(at_step=1, conduct=auto(ceiling_bp=1999))), [Barrier.CEILING]),
        (standing(rollout(at_step=3, conduct=auto(ceiling_bp=5000)), "promote"), [Barrier.CEILING]),
        (standing(rollout(at_step=3, conduct=auto(approvals=1)), "promote"), [Barrier.APPROVAL]),
        (standing(rollout(BLUE_GREEN, conduct=auto(approvals=1))), [Barrier.APPROVAL]),
        (standing(rollout(at_step=3, candidates=("b", "c")), "promote"), [Barrier.WINNER]),
        (standing(rollout(conduct=Conduct())), [Barrier.MODE]),
        (standing(rollout(BLUE_GREEN, at_step=1), "promote"), [Barrier.GATE]),
        (standing(rollout(conduct=Conduct()), "rollback"), [Barrier.MODE]),
    ],
)
def test_automation_says_what_it_waits_for_and_what_clears_it(seen: Standing, barriers: list[Barrier]) -> None:
    intent = next_move(seen)
    assert intent.verb is None
    assert barriers_of(intent) == barriers
    assert all(block.sentence.endswith((".", "excluded")) for block in intent.blocked_by)
    assert all(block.command.startswith("modelctl ") for block in intent.blocked_by)


def test_a_bake_that_is_all_that_is_waited_for_says_when_it_is_over() -> None:
    intent = next_move(standing(rollout(conduct=auto(bake_ms=2 * HOUR))))
    assert intent.due_at == OPENED + 2 * HOUR
    assert "bakes for another 1h 00m" in intent.sentence
    assert next_move(standing(rollout(conduct=auto(bake_ms=2 * HOUR)), at=OPENED + 2 * HOUR)).verb is Verb.ADVANCE


def test_the_maximum_without_proof_is_written_down_once_and_then_holds() -> None:
    first = next_move(standing(rollout(), "inconclusive"))
    assert (first.verb, first.kind, first.holds) == (None, "hold", "The word is inconclusive.")
    held = next_move(standing(rollout(holds=first.holds), "inconclusive"))
    assert (held.verb, held.holds, held.blocked_by[0].barrier) == (None, "", Barrier.HOLD)
    assert "modelctl advance fraud --force --reason WHY" in held.blocked_by[0].command


def test_approvals_are_of_other_people_than_the_one_who_started_it() -> None:
    own = (Approval(actor="ann", at=OPENED),)
    needed = rollout(at_step=3, conduct=auto(approvals=1), approvals=own)
    assert barriers_of(next_move(standing(needed, "promote"))) == [Barrier.APPROVAL]
    enough = msgspec.structs.replace(needed, approvals=(*own, Approval(actor="bob", at=OPENED)))
    assert next_move(standing(enough, "promote")).verb is Verb.PROMOTE


def test_a_verdict_that_names_the_winner_of_several_is_followed() -> None:
    intent = next_move(standing(rollout(at_step=3, candidates=("b", "c")), "promote", winner="c"))
    assert (intent.verb, intent.winner) == (Verb.PROMOTE, "c")


def test_a_rollout_that_has_ended_is_left_alone() -> None:
    ended = rollout(phase=Phase.COMPLETED, closed_at=OPENED + 1)
    assert next_move(standing(ended, "rollback", latched={"rollback": OPENED})).verb is None


def test_a_person_who_skips_the_rest_of_the_ladder_needs_what_promotion_needs() -> None:
    climbing = standing(rollout(conduct=auto(approvals=1)), missing=(), needs=NOT_YET)
    assert binding(climbing) == ()
    leaping = binding(msgspec.structs.replace(climbing, leap=True))
    assert [block.barrier for block in leaping] == [Barrier.GATE, Barrier.APPROVAL]
    assert leaping[0].sentence == NOT_YET[0]


def test_decisions_are_the_word_and_the_passed_gate() -> None:
    assert findings(standing(rollout())) == ("advance:1",)
    assert findings(standing(rollout(), "promote")) == ("promote", "advance:1")
    assert findings(standing(rollout(), "inconclusive")) == ("inconclusive",)
    assert findings(standing(rollout(), missing=NOT_YET)) == ()
    assert findings(standing(LAST, "promote")) == ("promote",)
    assert findings(standing(rollout(gates=()), "rollback")) == ("rollback",)


def test_a_proof_that_the_evidence_takes_back_is_told_and_stands() -> None:
    seen = standing(LAST, "continue", latched={"promote": OPENED, "advance:1": OPENED})
    assert contradicted(seen) == ("promote",)
    assert next_move(seen).verb is None
    assert contradicted(standing(LAST, "continue", latched={"rollback": OPENED})) == ("rollback",)


CONDUCTS = st.builds(
    Conduct,
    mode=st.sampled_from(Mode),
    bake_ms=st.sampled_from([0, HOUR, 3 * HOUR]),
    for_ms=st.sampled_from([0, HOUR, 3 * HOUR]),
    max_shown=st.sampled_from([0, 10]),
    approvals=st.integers(0, 1),
    ceiling_bp=st.sampled_from([600, 5000, ALL]),
    at_end=st.sampled_from(AtEnd),
)
ROLLOUTS = st.builds(
    lambda steps, conduct, **rest: rollout(steps, conduct=conduct, **rest),
    st.sampled_from([LADDER, SHADOW, BLUE_GREEN, (step(100, hold=True), step(500, bake=HOUR))]),
    CONDUCTS,
    phase=st.sampled_from(Phase),
    holds=st.sampled_from(["", "Stopped."]),
    gates=st.sampled_from([(), (GATE,)]),
    approvals=st.sampled_from([(), (Approval(actor="ann", at=OPENED),), (Approval(actor="bob", at=OPENED),)]),
).flatmap(lambda made: st.integers(0, len(made.steps) - 1).map(lambda at: msgspec.structs.replace(made, step=at)))
STANDINGS = st.builds(
    Standing,
    rollout=ROLLOUTS,
    word=st.sampled_from(WORDS),
    sentence=st.just("So it is."),
    at=st.sampled_from([OPENED, OPENED + HOUR, OPENED + 4 * HOUR]),
    missing=st.sampled_from([(), NOT_YET]),
    frozen=st.sampled_from(["", "A freeze holds."]),
    latched=st.dictionaries(st.sampled_from(["rollback", "promote", "advance:1"]), st.just(OPENED)),
    shown=st.sampled_from([0, 10]),
)


@given(STANDINGS)
def test_exposure_rises_only_through_an_open_gate(seen: Standing) -> None:
    intent = next_move(seen)
    if intent.verb not in (Verb.ADVANCE, Verb.PROMOTE):
        return
    now, conduct = seen.rollout, seen.rollout.conduct
    assert conduct.mode is Mode.AUTO
    assert now.phase is Phase.PROGRESSING
    assert now.gates
    assert not any((now.holds, seen.frozen, now.current.hold, seen.proven))
    assert seen.word in ("promote", "continue")
    assert seen.at >= OPENED + max(now.current.bake_ms, conduct.bake_ms)
    if intent.verb is Verb.PROMOTE:
        assert seen.word == "promote"
        assert now.step == len(now.steps) - 1
        assert conduct.ceiling_bp == ALL
        assert {one.actor for one in now.approvals} - {"ann"} or not conduct.approvals
    else:
        assert not seen.missing
        assert share_of(now.steps[now.step + 1]) <= conduct.ceiling_bp


@given(STANDINGS)
def test_what_automation_does_is_a_legal_move(seen: Standing) -> None:
    intent = next_move(seen)
    assert intent.verb is None or intent.verb in legal_verbs(seen.rollout)
    assert intent.sentence


@given(STANDINGS)
def test_proven_harm_is_rolled_back_from_wherever_the_rollout_is(seen: Standing) -> None:
    harmful = msgspec.structs.replace(seen, word="rollback")
    if seen.rollout.open and seen.rollout.conduct.mode is Mode.AUTO:
        assert next_move(harmful).verb is Verb.ROLLBACK
    assert not seen.rollout.open or Verb.ROLLBACK in legal_verbs(seen.rollout)


@given(STANDINGS)
def test_without_a_move_something_is_named_that_it_waits_for(seen: Standing) -> None:
    intent = next_move(seen)
    assert intent.verb or intent.blocked_by or intent.kind == "ended"


LOOSENED: tuple[Callable[[Standing], Standing], ...] = (
    lambda seen: msgspec.structs.replace(seen, frozen=""),
    lambda seen: msgspec.structs.replace(seen, missing=()),
    lambda seen: msgspec.structs.replace(seen, at=seen.at + 10 * HOUR),
)


@given(STANDINGS, st.sampled_from(LOOSENED))
def test_taking_a_barrier_away_never_adds_another(seen: Standing, loosen: Callable[[Standing], Standing]) -> None:
    before = {block.barrier for block in binding(seen)}
    assert {block.barrier for block in binding(loosen(seen))} <= before <= BINDING


def test_without_margins_a_person_decides_and_needs_no_force() -> None:
    gate = next_move(standing(rollout(gates=(), conduct=auto()))).blocked_by[0]
    assert (gate.barrier, gate.command) == (Barrier.GATE, "modelctl advance fraud")


def test_the_command_that_promotes_one_of_several_candidates_has_a_place_for_the_winner() -> None:
    several = standing(msgspec.structs.replace(LAST, candidates=("b", "c")), "continue")
    assert {block.command for block in next_move(several).blocked_by} == {
        "modelctl promote fraud --winner NAME --force --reason WHY",
        "modelctl promote fraud --winner NAME",
    }
