"""Many rollouts through the whole program: how often automation does what the margins forbid, and what looser rules would do.

The streams, the store and the controller are those of `program`. A rollout ramps 1, 5, 20, 50 % and is looked at every 30 s.
"""

import asyncio
import math
from typing import NamedTuple

import pytest
from sqlalchemy import Engine

from modelctl.rollout import Phase, Verb
from tests.controlplane.program import Program

ROLLOUTS = 200
ALLOWED = ROLLOUTS // 20
BASE, MARGIN = 0.02, 0.02
GATES = ("error_rate:guardrail:margin=2pt",)
CONDUCT = {"mode": "auto", "bake_ms": 60_000, "min_n": 500, "max_n": 20_000}
TURNS = 16
REQUESTS = 5_000


class Course(NamedTuple):
    """How one rollout went: its end, and what a peeked z-test over all rows would have said on the way.

    `alarmed` is whether it ever called the difference significant, `waved` whether it saw none at its second look.
    """

    phase: Phase
    step: int
    alarmed: bool
    waved: bool


class Peeked:
    """The rule that is refused here: all rows pooled, a two-sided z-test at 5 %, at every look."""

    def __init__(self) -> None:
        self.n = {"a": 0, "b": 0}
        self.k = {"a": 0, "b": 0}
        self.looks: list[bool] = []

    def look(self, counted: dict[str, tuple[int, int]]) -> None:
        for backend, (n, k) in counted.items():
            self.n[backend] += n
            self.k[backend] += k
        rate = {name: self.k[name] / max(1, self.n[name]) for name in self.n}
        pooled = sum(self.k.values()) / sum(self.n.values())
        spread = math.sqrt(pooled * (1 - pooled) * (1 / max(1, self.n["a"]) + 1 / max(1, self.n["b"])))
        self.looks.append(spread > 0 and abs(rate["b"] - rate["a"]) > 1.96 * spread)


async def course(program: Program, failing: dict[str, float]) -> Course:
    """One rollout from start to end; what holds at the maximum is ended by a person."""
    program.start(gates=GATES, conduct=CONDUCT)
    peeked = Peeked()
    for _ in range(TURNS):
        peeked.look(program.serve(REQUESTS, failing))
        await program.turn(30)
        if not program.rollout().open:
            break
    done = program.rollout()
    if done.open:
        program.move(Verb.ROLLBACK)
    back_to_a(program)
    return Course(done.phase, done.step, any(peeked.looks), not peeked.looks[min(1, len(peeked.looks) - 1)])


def back_to_a(program: Program) -> None:
    """The next rollout starts from the same baseline."""
    if program.answers() != {"a": 10_000}:
        program.start("blue-green", gates=(), conduct={}, candidates=["a"])
        program.move(Verb.PROMOTE)


def courses(program: Program, failing: dict[str, float], *, rollouts: int = ROLLOUTS) -> list[Course]:
    async def all_of_them() -> list[Course]:
        return [await course(program, failing) for _ in range(rollouts)]

    return asyncio.run(all_of_them())


def count(found: list[Course], phase: Phase) -> int:
    return sum(one.phase is phase for one in found)


@pytest.mark.slow
def test_equal_candidates_are_hardly_ever_rolled_back_and_get_promoted(lite: Engine) -> None:
    found = courses(Program(lite, seed=1), {"a": BASE, "b": BASE})
    assert count(found, Phase.ROLLED_BACK) <= ALLOWED
    assert count(found, Phase.PROMOTED) >= ROLLOUTS * 8 // 10
    # The control: a harness that cannot see a broken rule proves nothing.
    assert sum(one.alarmed for one in found) >= 2 * ALLOWED


@pytest.mark.slow
def test_candidates_that_are_worse_by_the_margin_are_hardly_ever_promoted(lite: Engine) -> None:
    found = courses(Program(lite, seed=2), {"a": BASE, "b": BASE + MARGIN})
    assert count(found, Phase.PROMOTED) <= ALLOWED
    # The control: "not significantly worse after the bake" would have waved most of them through.
    assert sum(one.waved for one in found) >= ROLLOUTS // 2


def test_a_few_of_each_go_the_same_way(lite: Engine) -> None:
    program = Program(lite, seed=3)
    equal = courses(program, {"a": BASE, "b": BASE}, rollouts=3)
    assert count(equal, Phase.ROLLED_BACK) == 0
    broken = courses(program, {"a": BASE, "b": 0.5}, rollouts=2)
    assert [one.phase for one in broken] == [Phase.ROLLED_BACK] * 2
