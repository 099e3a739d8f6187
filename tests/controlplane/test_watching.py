"""After a promotion: what comes to light while the watch lasts puts the old baseline back."""

import asyncio

import pytest
from sqlalchemy import Engine

from modelctl.controlplane.asking import partial
from modelctl.controlplane.operations.backends import remove_backend
from modelctl.controlplane.operations.changing import change_backend
from modelctl.controlplane.report.status import RouteStatus, read_status
from modelctl.rollout import Phase, Verb
from modelctl.store import summing
from modelctl.store.engine import writing
from modelctl.traffic import Backend
from tests.controlplane.program import MINUTE, Program

LIMIT = "error_rate:guardrail:limit=5%"
LABELS = "accuracy:guardrail:margin=3pt"
DAY = 86_400_000
CONDUCT = {"mode": "auto", "bake_ms": 10_000, "min_n": 100, "watch_ms": DAY, "max_ms": DAY}
SOUND = {"a": 0.01, "b": 0.01, "c": 0.01}
FAILING = {"a": 0.01, "b": 0.3, "c": 0.01}
HALF = {"percent_bp": 5000}


@pytest.fixture
def program(lite: Engine) -> Program:
    return Program(lite)


def label(program: Program, right: dict[str, tuple[int, int]]) -> None:
    """Labels of requests of the newest rollout have come: so many, of which so many predictions were right."""
    rollout = program.rollout()
    place = {"route": "fraud", "rollout": rollout.id, "stage": rollout.stage, "minute": program.now // MINUTE, "key": ""}
    rows = [
        {**place, "arm": arm, "metric": "accuracy", "n": n, "k": k, "s1": 0.0, "s2": 0.0, "sp": 0.0}
        for arm, (n, k) in right.items()
    ]
    rows += [{**row, "metric": "labelled", "k": 0} for row in rows]
    with writing(program.engine) as connection:
        summing.add(connection, rows)


def promote(program: Program, *gates: str, **conduct: object) -> None:
    """A half-and-half canary whose candidate is sound until automation promotes it."""
    program.start(gates=gates, conduct=CONDUCT | conduct, parameters=HALF)

    async def course() -> None:
        for _ in range(20):
            program.serve(4000, SOUND)
            if LABELS in gates:
                label(program, {"a": (2000, 1800), "b": (2000, 1800)})
            await program.turn(10)
            if not program.rollout().open:
                break

    asyncio.run(course())
    if program.rollout().open:
        program.move(Verb.PROMOTE, force=True, reason="for the test")
    assert program.rollout().phase is Phase.PROMOTED
    assert program.answers() == {"b": 10_000}


def look(program: Program, seconds: float = 10.0) -> None:
    asyncio.run(program.turn(seconds))


def status(program: Program) -> RouteStatus:
    return read_status(program.engine, "fraud", workers=(), at=program.now).routes[0]


def test_a_winner_that_breaks_its_limit_is_taken_back(program: Program) -> None:
    promote(program, LIMIT)
    look(program)
    watch = status(program).watch
    assert watch is not None
    assert (watch.backend, watch.baseline, watch.sentence) == ("b", "a", "")
    program.serve(500, FAILING)
    look(program)
    assert program.answers() == {"a": 10_000}
    last = program.events()[-1]
    assert (last.action, last.actor, last.detail["baseline_to"]) == ("rollback", "controller", "a")
    assert "beyond the limit of 5%" in last.reason
    assert program.decisions()[-1].kind == "watch"
    look(program)
    assert program.events()[-1] == last


def test_labels_that_come_late_take_a_promotion_back(program: Program) -> None:
    promote(program, LABELS)
    label(program, {"a": (3000, 2700), "b": (3000, 300)})
    look(program)
    assert program.answers() == {"a": 10_000}
    assert program.decisions()[-1].kind == "watch"


def test_a_sound_winner_stays(program: Program) -> None:
    promote(program, LIMIT)
    program.serve(2000, SOUND)
    look(program)
    assert program.answers() == {"b": 10_000}


def test_in_mode_advise_the_history_says_what_to_do(program: Program) -> None:
    promote(program, LIMIT, mode="advise")
    program.serve(500, FAILING)
    look(program)
    assert program.answers() == {"b": 10_000}
    last = program.events()[-1]
    assert (last.action, last.detail["command"]) == ("decision", "modelctl rollback fraud")
    watch = status(program).watch
    assert watch is not None
    assert "beyond the limit" in watch.sentence
    look(program)
    assert program.events()[-1] == last


def test_the_watch_ends_with_its_time(program: Program) -> None:
    promote(program, LIMIT)
    look(program, DAY / 1000)
    program.serve(500, FAILING)
    look(program)
    assert program.answers() == {"b": 10_000}
    assert status(program).watch is None


def test_the_watch_ends_when_another_rollout_begins_or_the_old_baseline_changes_or_goes(program: Program) -> None:
    promote(program, LIMIT)
    assert status(program).watch is not None
    program.start("shadow", gates=(), conduct={}, candidates=["c"])
    look(program)
    program.move(Verb.ROLLBACK)
    assert status(program).watch is None


def test_the_watch_ends_when_the_old_baseline_is_changed(program: Program) -> None:
    promote(program, LIMIT)
    changes = partial(Backend, without=("name",))(max_inflight=7)
    change_backend(program.engine, "a", changes=changes, author=program.author())
    assert status(program).watch is None
    program.serve(500, FAILING)
    look(program)
    assert program.answers() == {"b": 10_000}


def test_the_watch_ends_when_the_old_baseline_is_removed(program: Program) -> None:
    promote(program, LIMIT)
    remove_backend(program.engine, "a", author=program.author())
    program.serve(500, FAILING)
    look(program)
    assert program.answers() == {"b": 10_000}
    assert status(program).watch is None
