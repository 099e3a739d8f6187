"""The controller on a simulated clock: the ladder is climbed through passed gates, and left at proven harm."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from modelctl.controlplane.operations.approving import approve_rollout
from modelctl.controlplane.operations.freezing import NewFreeze, add_freeze, remove_freeze
from modelctl.controlplane.operations.inspecting import read_bundle, read_catalog
from modelctl.controlplane.report.status import RouteStatus, read_status
from modelctl.errors import GateNotPassed, InvalidInput
from modelctl.freeze import Freeze, Weekly
from modelctl.rollout import Phase, Rollout, Verb
from modelctl.store import freezes
from modelctl.store.engine import writing
from tests.controlplane.program import Program

GATES = ("error_rate:guardrail:margin=2pt",)
AUTO = {"mode": "auto", "bake_ms": 60_000, "min_n": 100, "max_n": 100_000}
SOUND = {"a": 0.01, "b": 0.01}
BROKEN = {"a": 0.01, "b": 1.0}


@pytest.fixture
def program(lite: Engine) -> Program:
    return Program(lite)


def run(program: Program, *, failing: dict[str, float], until: Callable[[Rollout], bool], turns: int = 60) -> Rollout:
    """Serves 2,000 requests and lets the controller look every ten seconds, until the rollout is where it should be."""

    async def course() -> Rollout:
        for _ in range(turns):
            if until(program.rollout()):
                break
            program.serve(2000, failing)
            await program.turn(10)
        return program.rollout()

    return asyncio.run(course())


def look(program: Program, seconds: float = 1.0) -> None:
    asyncio.run(program.turn(seconds))


def status(program: Program) -> RouteStatus:
    return read_status(program.engine, "fraud", workers=(), at=program.now).routes[0]


def actions(program: Program, actor: str = "controller") -> list[str]:
    return [event.action for event in program.events() if event.actor == actor]


def ended(rollout: Rollout) -> bool:
    return not rollout.open


def test_an_equal_candidate_climbs_the_ladder_and_is_promoted_unattended(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    done = run(program, failing=SOUND, until=ended)
    assert (done.phase, done.winner) == (Phase.PROMOTED, "b")
    assert program.answers() == {"b": 10_000}
    verbs = [action for action in actions(program) if action in ("advance", "promote")]
    assert verbs == ["advance", "advance", "advance", "promote"]
    acted = {one.kind: one.acted for one in program.decisions()}
    assert acted == {"advance:1": "advance", "advance:2": "advance", "advance:3": "advance", "promote": "promote"}
    assert all(event.reason for event in program.events() if event.actor == "controller")


def test_a_candidate_that_fails_is_rolled_back_at_once_and_the_course_is_in_the_history(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    done = run(program, failing=BROKEN, until=ended, turns=10)
    assert done.phase is Phase.ROLLED_BACK
    assert program.answers() == {"a": 10_000}
    assert actions(program) == ["decision", "rollback", "zero-traffic"]
    (decision,) = program.decisions()
    assert (decision.kind, decision.acted) == ("rollback", "rollback")
    shown = status(program).last_rollback
    assert shown is not None
    assert shown.decided_at == done.closed_at * 1000


def test_a_decision_can_be_recomputed_from_its_bundle(program: Program) -> None:
    from_start = program.start(gates=GATES, conduct=AUTO)
    run(program, failing=BROKEN, until=ended, turns=10)
    (decision,) = program.decisions()
    bundle = read_bundle(program.engine, decision.id)
    assert f'"id":{from_start.id}'.encode() in bundle
    assert b'"bundle_version":1' in bundle


def test_in_mode_advise_it_says_and_does_nothing(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO | {"mode": "advise"})
    still = run(program, failing=BROKEN, until=ended, turns=3)
    assert (still.phase, still.step) == (Phase.PROGRESSING, 0)
    opened = status(program).rollout
    assert opened is not None
    assert opened.next is not None
    assert (opened.next.kind, opened.next.verb, opened.next.command) == ("rollback", "", "modelctl rollback fraud")
    assert [one.kind for one in opened.decisions] == ["rollback"]
    assert actions(program) == ["decision"]


def test_proven_harm_stands_although_the_evidence_takes_it_back_and_the_history_says_so_once(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO | {"mode": "advise"})
    run(program, failing=BROKEN, until=ended, turns=1)
    (first,) = program.decisions()
    run(program, failing={"a": 0.9, "b": 0.0}, until=ended, turns=25)
    changed = [event for event in program.events() if event.action == "effect-changed"]
    assert [event.detail for event in changed] == [{"kind": "rollback"}]
    assert program.decisions()[0] == first
    opened = status(program).rollout
    assert opened is not None
    assert opened.next is not None
    assert opened.next.kind == "rollback"


def test_a_person_may_not_pass_a_closed_gate_without_saying_why(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO | {"mode": "advise"})
    for verb in (Verb.ADVANCE, Verb.PROMOTE):
        with pytest.raises(GateNotPassed, match=f"modelctl {verb} fraud --force --reason WHY"):
            program.move(verb)
        with pytest.raises(InvalidInput, match="say why"):
            program.move(verb, force=True)
    assert program.rollout().step == 0
    assert program.move(Verb.ADVANCE, force=True, reason="the model is tested elsewhere").step == 1
    last = program.events()[-1]
    assert (last.action, last.reason) == ("advance", "the model is tested elsewhere")
    assert last.detail["forced"]


def test_a_person_may_not_promote_with_what_is_enough_for_the_next_step_alone(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO | {"mode": "advise", "bake_ms": 0})
    run(program, failing=SOUND, until=lambda _: bool(program.decisions()), turns=20)
    assert [one.kind for one in program.decisions()] == ["advance:1"]
    with pytest.raises(GateNotPassed, match="cannot promote"):
        program.move(Verb.PROMOTE)
    assert program.move(Verb.ADVANCE).step == 1


def test_lowering_exposure_and_pausing_are_never_refused(program: Program) -> None:
    for verb in (Verb.ROLLBACK, Verb.COMPLETE):
        program.start(gates=GATES, conduct=AUTO)
        freeze = add_freeze(program.engine, NewFreeze(), author=program.author())
        program.move(Verb.PAUSE)
        assert not program.move(verb).open
        remove_freeze(program.engine, freeze.id, author=program.author())


def test_a_freeze_stops_raises_and_not_rollbacks(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    freeze = add_freeze(program.engine, NewFreeze(), author=program.author(reason="Black Friday"))
    still = run(program, failing=SOUND, until=lambda one: one.step > 0, turns=15)
    assert still.step == 0
    opened = status(program).rollout
    assert opened is not None
    assert opened.next is not None
    assert "Black Friday" in opened.next.sentence
    with pytest.raises(GateNotPassed, match="Black Friday"):
        program.move(Verb.ADVANCE)
    remove_freeze(program.engine, freeze.id, author=program.author())
    assert run(program, failing=SOUND, until=lambda one: one.step > 0, turns=5).step == 1
    add_freeze(program.engine, NewFreeze(route="fraud"), author=program.author())
    assert run(program, failing=BROKEN, until=ended, turns=30).phase is Phase.ROLLED_BACK


def test_a_freeze_that_cannot_be_told_here_bars_raises_and_not_rollbacks(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    with writing(program.engine) as connection:
        freezes.add(connection, Freeze(weekly=Weekly(days=("fri",), start="16:00", minutes=5, zone="Mars/Olympus")), at=program.now)
    assert run(program, failing=SOUND, until=lambda one: one.step > 0, turns=10).step == 0
    with pytest.raises(GateNotPassed, match="no time zone 'Mars/Olympus'"):
        program.move(Verb.ADVANCE)
    assert run(program, failing=BROKEN, until=ended, turns=30).phase is Phase.ROLLED_BACK


def test_promotion_waits_for_a_second_person(program: Program) -> None:
    started = program.start(gates=GATES, conduct=AUTO | {"approvals": 1})
    still = run(program, failing=SOUND, until=lambda _: False, turns=40)
    assert (still.step, still.phase) == (3, Phase.PROGRESSING)
    opened = status(program).rollout
    assert opened is not None
    assert opened.next is not None
    assert opened.next.command == "modelctl approve fraud"
    with pytest.raises(GateNotPassed, match="must approve"):
        program.move(Verb.PROMOTE)
    with pytest.raises(InvalidInput, match="another person runs `modelctl approve fraud`"):
        approve_rollout(program.engine, started.id, author=program.author("ann"))
    with pytest.raises(InvalidInput, match="say who you are"):
        approve_rollout(program.engine, started.id, author=program.author("anonymous"))
    approved = approve_rollout(program.engine, started.id, author=program.author("bob"))
    assert approve_rollout(program.engine, started.id, author=program.author("bob")) == approved
    look(program)
    assert program.rollout().phase is Phase.PROMOTED


def test_what_reaches_its_maximum_without_proof_holds_until_a_person_moves_it(program: Program) -> None:
    program.start(gates=("error_rate:guardrail:margin=0.05pt",), conduct=AUTO | {"max_n": 0, "max_ms": 60_000})
    held = run(program, failing=SOUND, until=lambda one: bool(one.holds), turns=30)
    assert (held.phase, held.step) == (Phase.PROGRESSING, 0)
    assert actions(program) == ["decision", "hold"]
    look(program, 3600)
    assert program.rollout() == held
    moved = program.move(Verb.ADVANCE, force=True, reason="more traffic")
    assert (moved.step, moved.holds) == (1, "")


def test_what_reaches_its_maximum_is_rolled_back_where_that_was_declared(program: Program) -> None:
    conduct = AUTO | {"max_n": 0, "max_ms": 60_000, "at_end": "rollback"}
    program.start(gates=("error_rate:guardrail:margin=0.05pt",), conduct=conduct)
    done = run(program, failing=SOUND, until=ended, turns=30)
    assert done.phase is Phase.ROLLED_BACK
    assert [(one.kind, one.acted) for one in program.decisions()] == [("inconclusive", "rollback")]


def test_a_schedule_ends_in_either_mode(program: Program) -> None:
    program.start("shadow", gates=(), conduct={"mode": "advise", "for_ms": 3_600_000})
    look(program, 3599)
    assert program.rollout().open
    look(program, 1)
    assert program.rollout().phase is Phase.COMPLETED
    assert "schedule of 1h 00m is over" in program.events()[-1].reason


def test_a_paused_rollout_is_not_raised_and_goes_on_when_it_is_resumed(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    program.move(Verb.PAUSE)
    assert run(program, failing=SOUND, until=lambda one: one.step > 0, turns=15).step == 0
    program.move(Verb.RESUME)
    assert run(program, failing=SOUND, until=lambda one: one.step > 0, turns=5).step == 1


def test_without_gates_traffic_is_moved_by_people_alone(program: Program) -> None:
    program.start(gates=(), conduct={"mode": "advise"})
    assert run(program, failing=SOUND, until=lambda one: one.step > 0, turns=10).step == 0
    assert program.move(Verb.ADVANCE).step == 1
    assert program.move(Verb.PROMOTE).phase is Phase.PROMOTED


def test_of_two_controllers_one_acts(engine: Engine) -> None:
    program = Program(engine)
    program.start(gates=GATES, conduct=AUTO)
    second = program.another("two")

    async def course() -> list[int]:
        steps = []
        for _ in range(40):
            program.serve(2000, SOUND)
            program.now += 10_000_000
            await asyncio.gather(program.controller.turn(), second.turn())
            steps.append(program.rollout().step)
        return steps

    steps = asyncio.run(course())
    assert steps == sorted(steps)
    acted = [event.action for event in program.events() if event.action in ("advance", "promote")]
    assert acted == ["advance", "advance", "advance", "promote"]
    versions = read_catalog(program.engine).version
    assert program.fleet.table.version == versions


def test_a_controller_takes_over_tables_that_another_process_published(program: Program) -> None:
    look(program)
    program.start(gates=GATES, conduct=AUTO)
    assert program.fleet.table.version < read_catalog(program.engine).version
    look(program)
    assert program.fleet.table.version == read_catalog(program.engine).version
