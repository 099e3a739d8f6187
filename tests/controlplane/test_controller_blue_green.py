"""Blue-green under automation: judged at the same time before the switch, and by fixed limits alone behind it."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from modelctl.errors import GateNotPassed
from modelctl.rollout import Phase, Rollout, Verb
from tests.controlplane.program import Program

LIMIT = "error_rate:guardrail:limit=4%"
GATES = ("error_rate:guardrail:margin=2pt,design=split", LIMIT)
AUTO = {"mode": "auto", "bake_ms": 60_000, "min_n": 100, "max_n": 100_000}
SPLIT = {"percent_bp": 2000}
SOUND = {"a": 0.01, "b": 0.01}


@pytest.fixture
def program(lite: Engine) -> Program:
    return Program(lite)


def run(program: Program, *, failing: dict[str, float], until: Callable[[Rollout], bool], turns: int = 40) -> Rollout:
    async def course() -> Rollout:
        for _ in range(turns):
            if until(program.rollout()):
                break
            program.serve(3000, failing)
            await program.turn(20)
        return program.rollout()

    return asyncio.run(course())


def switched(rollout: Rollout) -> bool:
    return rollout.step == 1 or not rollout.open


def ended(rollout: Rollout) -> bool:
    return not rollout.open


def test_green_is_switched_to_and_promoted_when_it_was_proven_before_and_keeps_its_limits_behind(program: Program) -> None:
    program.start("blue-green", gates=GATES, conduct=AUTO, parameters=SPLIT)
    assert run(program, failing=SOUND, until=switched).step == 1
    assert program.answers() == {"b": 10_000}
    at = program.rollout().step_at
    done = run(program, failing=SOUND, until=ended)
    assert done.phase is Phase.PROMOTED
    assert done.closed_at >= at + AUTO["bake_ms"]  # type: ignore[operator]


def test_green_that_breaks_its_limit_behind_the_switch_is_taken_back(program: Program) -> None:
    program.start("blue-green", gates=GATES, conduct=AUTO, parameters=SPLIT)
    run(program, failing=SOUND, until=switched)
    done = run(program, failing={"a": 0.01, "b": 0.5}, until=ended)
    assert done.phase is Phase.ROLLED_BACK
    assert program.answers() == {"a": 10_000}


def test_what_was_switched_by_force_is_never_promoted_on_before_and_after(program: Program) -> None:
    program.start("blue-green", gates=(LIMIT,), conduct=AUTO)
    assert run(program, failing=SOUND, until=switched, turns=10).step == 0  # nobody compared anything
    program.move(Verb.ADVANCE, force=True, reason="the old machine is on fire")
    still = run(program, failing=SOUND, until=ended, turns=15)
    assert (still.phase, still.step) == (Phase.PROGRESSING, 1)
    assert "promote" in [one.kind for one in program.decisions()]
    with pytest.raises(GateNotPassed, match="before and after cannot be compared"):
        program.move(Verb.PROMOTE)
