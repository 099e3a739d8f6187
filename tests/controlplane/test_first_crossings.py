"""Laws of decisions (properties 15, 16 and 20 of the design): when one looks, replays and late rows do not change them."""

import asyncio
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from modelctl.controlplane.automation.standing import look_at
from modelctl.controlplane.judgement.judging import Judgement
from modelctl.controlplane.operations.inspecting import read_bundle
from modelctl.rollout import Verb
from modelctl.store import summing
from modelctl.store.engine import reading, writing
from tests.controlplane.program import MINUTE, Program

GATES = ("error_rate:guardrail:margin=2pt",)
ADVISE = {"mode": "advise", "min_n": 100, "max_n": 100_000}
HALF = {"percent_bp": 5000}
Minute = tuple[tuple[int, int], tuple[int, int]]
ARMS = st.tuples(st.integers(0, 3000), st.sampled_from([0.0, 0.01, 0.03, 0.2])).map(
    lambda drawn: (drawn[0], int(drawn[0] * drawn[1]))
)
STREAMS = st.lists(st.tuples(ARMS, ARMS), min_size=3, max_size=9)
LAWS = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


def record(program: Program, counted: Minute) -> None:
    """One minute of both arms: answers and failures."""
    rollout = program.rollout()
    rows = []
    for arm, (n, k) in zip(("a", "b"), counted, strict=True):
        place = {
            "route": "fraud",
            "rollout": rollout.id,
            "stage": rollout.stage,
            "minute": program.now // MINUTE,
            "arm": arm,
            "sp": 0.0,
        }
        sums = {"requests:ok": (n - k, 0), "requests:backend_error": (k, 0), "units:": (n, 0), "error:": (n, k)}
        for name, (total, failed) in sums.items():
            metric, _, key = name.partition(":")
            rows.append({**place, "metric": metric, "key": key, "n": total, "k": failed, "s1": 0.0, "s2": 0.0})
    with writing(program.engine) as connection:
        summing.add(connection, rows)


def judged(program: Program) -> Judgement:
    with reading(program.engine) as connection:
        return look_at(connection, program.rollout(), at=program.now).judgement


def replay(program: Program, stream: Sequence[Minute], *, every: int) -> tuple[list[Judgement], list[tuple[int, str]]]:
    """A rollout that is looked at `every` so many minutes of the stream: what each minute says, and what was decided when."""
    program.start(gates=GATES, conduct=ADVISE, parameters=HALF)
    said: list[Judgement] = []
    seen: list[tuple[int, str]] = []
    for number, counted in enumerate(stream, 1):
        record(program, counted)
        program.now += MINUTE
        said.append(judged(program))
        if number % every == 0:
            asyncio.run(program.turn(0))
            seen += [(number, one.kind) for one in program.decisions() if one.at == program.now]
    program.move(Verb.ROLLBACK)
    return said, seen


@LAWS
@given(stream=STREAMS, every=st.integers(2, 4))
def test_how_often_it_is_looked_at_changes_nothing_about_what_is_seen(lite: Engine, stream: list[Minute], every: int) -> None:
    program = _program(lite)
    often, first = replay(program, stream, every=1)
    seldom, later = replay(program, stream, every=every)
    assert [(one.word, one.n, one.harms, one.faults) for one in often] == [
        (one.word, one.n, one.harms, one.faults) for one in seldom
    ]
    for number, kind in later:
        assert often[number - 1].word == kind  # the same watermark says the same
        assert min(when for when, what in first if what == kind) <= number


@LAWS
@given(stream=STREAMS, more=STREAMS)
def test_a_longer_history_has_the_same_first_crossings(lite: Engine, stream: list[Minute], more: list[Minute]) -> None:
    program = _program(lite)
    _, short = replay(program, stream, every=1)
    _, long = replay(program, [*stream, *more], every=1)
    assert [(number, kind) for number, kind in long if number <= len(stream)] == short


@LAWS
@given(stream=STREAMS, late=st.tuples(ARMS, ARMS))
def test_what_comes_late_changes_no_stored_decision(lite: Engine, stream: list[Minute], late: Minute) -> None:
    program = _program(lite)
    program.start(gates=GATES, conduct=ADVISE, parameters=HALF)
    for counted in stream:
        record(program, counted)
        asyncio.run(program.turn(60))
    before = [(one, read_bundle(program.engine, one.id)) for one in program.decisions()]
    program.now -= 2 * MINUTE
    record(program, late)
    program.now += 2 * MINUTE
    asyncio.run(program.turn(60))
    after = [(one, read_bundle(program.engine, one.id)) for one in program.decisions()]
    assert after[: len(before)] == before
    program.move(Verb.ROLLBACK)


_PROGRAMS: dict[Engine, Program] = {}


def _program(engine: Engine) -> Program:
    """One for each store: the examples of a law follow each other on it."""
    if engine not in _PROGRAMS:
        _PROGRAMS[engine] = Program(engine)
    return _PROGRAMS[engine]
