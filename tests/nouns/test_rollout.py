"""What may happen to a rollout: every phase and every verb."""

from itertools import product
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import IllegalMove, InvalidInput
from modelctl.rollout import OPEN, TRANSITIONS, Phase, Rollout, Step, Verb, apply, legal_verbs, settled
from modelctl.traffic import ALL, Arm, Role, Route

AT = 1_700_000_000_000


def step(title: str, *, answers: int, shown: int = 0) -> Step:
    return Step(
        title=title,
        arms=(
            Arm(backend="a", role=Role.BASELINE, answers=ALL - answers),
            Arm(backend="b", role=Role.CANDIDATE, answers=answers, shown=shown),
        ),
    )


STEPS = (step("shadow", answers=0, shown=ALL), step("5%", answers=500), step("50%", answers=5_000))


def rollout(*, phase: Phase = Phase.PROGRESSING, at_step: int = 0, candidates: tuple[str, ...] = ("b",)) -> Rollout:
    return Rollout(
        id=7,
        route="fraud",
        strategy="canary",
        baseline="a",
        candidates=candidates,
        steps=STEPS,
        step=at_step,
        phase=phase,
        winner="b" if phase is Phase.PROMOTED else "",
        salt="0" * 32,
        opened_at=AT - 1_000,
        closed_at=0 if phase in OPEN else AT - 1,
        revision=3,
    )


def moved(before: Rollout, verb: Verb, *, at: int = AT) -> Rollout:
    """After the verb, with the only candidate as the winner where there has to be one."""
    return apply(before, verb, at=at, winner="b" if verb is Verb.PROMOTE else "")


class Expected(NamedTuple):
    phase: Phase
    step: int


def expected(phase: Phase, verb: Verb, *, at_step: int) -> Expected | None:
    """The law in words: what an open rollout does, and None where the verb is refused."""
    if phase not in OPEN:
        return None
    if verb is Verb.PROMOTE:
        return Expected(Phase.PROMOTED, at_step)
    if verb is Verb.ROLLBACK:
        return Expected(Phase.ROLLED_BACK, at_step)
    if verb is Verb.COMPLETE:
        return Expected(Phase.COMPLETED, at_step)
    if verb is Verb.RESUME:
        return Expected(Phase.PROGRESSING, at_step) if phase is Phase.PAUSED else None
    if phase is Phase.PAUSED:
        return None
    if verb is Verb.PAUSE:
        return Expected(Phase.PAUSED, at_step)
    return Expected(Phase.PROGRESSING, at_step + 1) if at_step + 1 < len(STEPS) else None


@pytest.mark.parametrize(("phase", "verb", "at_step"), list(product(Phase, Verb, range(len(STEPS)))))
def test_every_verb_in_every_phase_and_step_does_what_the_law_says(phase: Phase, verb: Verb, *, at_step: int) -> None:
    before = rollout(phase=phase, at_step=at_step)
    wanted = expected(phase, verb, at_step=at_step)
    assert (verb in legal_verbs(before)) == (wanted is not None)
    if wanted is None:
        with pytest.raises(IllegalMove, match=f"cannot {verb}: rollout 7 of route 'fraud'"):
            moved(before, verb)
        return
    after = moved(before, verb)
    assert (after.phase, after.step) == wanted
    assert after.revision == before.revision + 1
    assert after.closed_at == (0 if after.open else AT)
    assert after.winner == ("b" if after.phase is Phase.PROMOTED else "")
    assert after.current == STEPS[wanted.step]


def test_the_table_holds_no_move_out_of_an_end() -> None:
    assert {phase for phase, _ in TRANSITIONS} == OPEN
    assert set(TRANSITIONS.values()) == set(Phase)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[Phase.PROMOTED, Verb.ROLLBACK] = Phase.ROLLED_BACK  # type: ignore[index]


@pytest.mark.parametrize("phase", sorted(OPEN))
@pytest.mark.parametrize("at_step", range(len(STEPS)))
def test_an_open_rollout_can_always_be_promoted_and_rolled_back(phase: Phase, at_step: int) -> None:
    assert {Verb.PROMOTE, Verb.ROLLBACK} <= set(legal_verbs(rollout(phase=phase, at_step=at_step)))


@given(st.lists(st.sampled_from(Verb)))
def test_whatever_is_tried_a_rollout_stays_lawful(verbs: list[Verb]) -> None:
    now = rollout()
    for number, verb in enumerate(verbs):
        before = now
        if verb in legal_verbs(before):
            now = moved(before, verb, at=AT + number)
            assert before.open
            assert now.revision == before.revision + 1
            assert now.step - before.step == (verb is Verb.ADVANCE)
        else:
            with pytest.raises(IllegalMove):
                moved(before, verb, at=AT + number)
        assert 0 <= now.step < len(STEPS)
        assert now.open == (now.closed_at == 0) == (now.phase in OPEN)
        assert (now.winner == "b") == (now.phase is Phase.PROMOTED)


@given(st.lists(st.sampled_from(Verb)))
def test_from_wherever_it_stands_a_rollback_ends_an_open_rollout(verbs: list[Verb]) -> None:
    now = rollout()
    for verb in verbs:
        now = moved(now, verb) if verb in legal_verbs(now) else now
    assert not now.open or moved(now, Verb.ROLLBACK).phase is Phase.ROLLED_BACK


def test_a_move_leaves_the_old_value_alone() -> None:
    before = rollout()
    moved(before, Verb.ADVANCE)
    assert before == rollout()
    with pytest.raises(AttributeError):
        before.step = 1  # type: ignore[misc]


def test_pausing_and_resuming_keeps_the_split() -> None:
    paused = moved(rollout(at_step=1), Verb.PAUSE)
    assert paused.current == STEPS[1]
    assert moved(paused, Verb.RESUME).current == STEPS[1]


@pytest.mark.parametrize(
    ("before", "verb", "words"),
    [
        (rollout(phase=Phase.PROMOTED), Verb.ROLLBACK, "has ended (promoted); start a new one"),
        (rollout(phase=Phase.ROLLED_BACK), Verb.RESUME, "has ended (rolled-back); start a new one"),
        (rollout(at_step=2), Verb.ADVANCE, "is at its last step, '50%'; possible now: pause, promote, rollback"),
        (rollout(phase=Phase.PAUSED), Verb.ADVANCE, "is paused; possible now: resume, promote, rollback"),
        (rollout(), Verb.RESUME, "is progressing; possible now: advance, pause, promote, rollback"),
    ],
)
def test_a_refusal_names_what_is_possible_instead(before: Rollout, verb: Verb, *, words: str) -> None:
    with pytest.raises(IllegalMove) as refused:
        moved(before, verb)
    assert words in str(refused.value)


def test_the_winner_of_several_candidates_is_the_named_one() -> None:
    assert apply(rollout(candidates=("b", "c")), Verb.PROMOTE, at=AT, winner="c").winner == "c"


@pytest.mark.parametrize("winner", ["", "a", "d"])
def test_only_a_candidate_can_be_promoted(winner: str) -> None:
    with pytest.raises(InvalidInput, match=f"'{winner}' is no candidate of rollout 7 of route 'fraud'; name one of: b, c"):
        apply(rollout(candidates=("b", "c")), Verb.PROMOTE, at=AT, winner=winner)


def test_a_winner_goes_with_promote_alone() -> None:
    with pytest.raises(InvalidInput, match="a winner goes with promote, not with rollback"):
        apply(rollout(), Verb.ROLLBACK, at=AT, winner="b")


def test_an_ended_rollout_is_refused_as_such_whatever_the_winner() -> None:
    with pytest.raises(IllegalMove):
        apply(rollout(phase=Phase.ROLLED_BACK), Verb.PROMOTE, at=AT, winner="nobody")


def test_a_settled_route_is_answered_by_its_baseline_alone() -> None:
    route = Route(name="fraud", arms=settled("a"))
    assert route.arms == (Arm(backend="a", role=Role.BASELINE, answers=ALL),)


@pytest.mark.parametrize("phase", Phase)
def test_a_rollout_survives_being_written_down(phase: Phase) -> None:
    before = rollout(phase=phase, at_step=1)
    assert msgspec.json.decode(msgspec.json.encode(before), type=Rollout) == before
