"""What a verdict costs does not grow with the time a rollout lasts: counted in the steps that SQLite's machine takes. What the
report, the status and the controller ask either database is taken from the driver: sums, and of the rows the worst pairs alone."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select

from modelctl.controlplane.judgement.inquiry import judgement_of
from modelctl.controlplane.planning.past import recall
from modelctl.controlplane.report.content import write_report
from modelctl.controlplane.report.gathering import findings
from modelctl.controlplane.report.status import read_status
from modelctl.rollout import Rollout
from modelctl.store import summing
from modelctl.store.engine import reading, writing
from modelctl.store.first_failure import first_failure
from modelctl.store.summing import newest_minute, sums
from modelctl.store.tables import rollup, rollup_total
from tests.controlplane.program import MINUTE, Program

GATES = ("error_rate:guardrail:margin=2pt", "slow_rate:guardrail:margin=5pt,slower=250ms")
BUCKETS = 40


@pytest.fixture
def program(lite: Engine) -> Program:
    return Program(lite)


@pytest.fixture
def rollout(program: Program) -> Rollout:
    return program.start(gates=GATES, conduct={"mode": "auto", "max_ms": 86_400_000}, parameters={"percent_bp": 5000})


def minutes(rollout: Rollout, first: int, count: int) -> Iterator[dict[str, Any]]:
    """Rollups as a recorder writes them, with and without the rollout."""
    for minute in range(first, first + count):
        for number, stage in ((rollout.id, rollout.stage), (0, 0)):
            for arm in ("a", "b"):
                place = {"route": "fraud", "rollout": number, "stage": stage, "arm": arm, "minute": minute}
                place |= {"s1": 0.0, "s2": 0.0, "sp": 0.0, "k": 1}
                yield {**place, "metric": "requests", "key": "ok", "n": 100}
                yield {**place, "metric": "units", "key": "", "n": 100}
                yield {**place, "metric": "error", "key": "", "n": 100}
                yield from ({**place, "metric": "latency", "key": str(key), "n": 2} for key in range(BUCKETS))


def steps_of(engine: Engine, question: Callable[[Connection], object]) -> int:
    """How many times a hundred steps SQLite takes for the question."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with reading(engine) as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(step, 100)
        question(connection)
        driver.set_progress_handler(None, 0)
    return taken


def test_ten_times_the_minutes_cost_a_verdict_nothing(program: Program, rollout: Rollout) -> None:
    now = program.now // MINUTE
    questions: dict[str, Callable[[Connection], object]] = {
        "verdict": lambda connection: judgement_of(connection, rollout, at=program.now // 1000),
        "report": lambda connection: sums(connection, "fraud", rollout=rollout.id),
        "newest": lambda connection: newest_minute(connection, "fraud", rollout=rollout.id),
        "status": lambda connection: sums(connection, "fraud", rollout=0, since=now - 5, metrics=("requests", "error")),
        "plan": lambda connection: recall(connection, "fraud", baseline="a", fields=(), at=program.now),
        "first failure": lambda connection: first_failure(connection, rollout),
    }
    with writing(program.engine) as connection:
        summing.add(connection, list(minutes(rollout, now - 30, 30)))
    before = {name: steps_of(program.engine, question) for name, question in questions.items()}
    with writing(program.engine) as connection:
        summing.add(connection, list(minutes(rollout, now - 8 * 1440 - 300, 300)))
    after = {name: steps_of(program.engine, question) for name, question in questions.items()}
    assert after == {name: pytest.approx(steps, rel=0.1, abs=5) for name, steps in before.items()}
    # The control: whoever added the minutes up would need ten times the steps.
    scan = select(func.sum(rollup.c.n)).where(rollup.c.route == "fraud", rollup.c.rollout == rollout.id)
    assert steps_of(program.engine, lambda connection: connection.execute(scan).scalar()) > 10 * before["newest"]


def test_totals_are_the_sums_over_all_minutes(program: Program, rollout: Rollout) -> None:
    rows = list(minutes(rollout, program.now // MINUTE, 3))
    for part in (rows[:100], rows[100:101], [], rows[101:]):
        with writing(program.engine) as connection:
            summing.add(connection, part)
    with reading(program.engine) as connection:
        keys = [rollup.c[column.name] for column in rollup_total.primary_key]
        added = [func.sum(rollup.c[name]) for name in ("n", "k", "s1", "s2", "sp")]
        expected = {tuple(row) for row in connection.execute(select(*keys, *added).group_by(*keys))}
        assert {tuple(row) for row in connection.execute(select(rollup_total))} == expected


Statement = tuple[str, Any]
EVIDENCE = ("prediction", "pair", "pair_seen", "feedback", "first_event", "unit_total")
"""The tables that grow with every request."""


@contextmanager
def executed(engine: Engine) -> Iterator[list[Statement]]:
    """What the driver is given while the block runs: statements with their parameters."""
    found: list[Statement] = []

    def heard(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", heard)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", heard)


def reads_of(statements: list[Statement], *names: str) -> list[Statement]:
    """Those that name one of the tables."""
    named = re.compile(rf"\b({'|'.join(names)})\b")
    return [(statement, parameters) for statement, parameters in statements if named.search(statement)]


def served_and_shown(engine: Engine) -> tuple[Program, Rollout]:
    """A canary with gates in its second minute, with sums of ten minutes before."""
    program = Program(engine)
    rollout = program.start(gates=GATES, conduct={"mode": "auto", "max_ms": 86_400_000}, parameters={"percent_bp": 5000})
    with writing(engine) as connection:
        summing.add(connection, list(minutes(rollout, program.now // MINUTE - 10, 10)))
    program.now += MINUTE
    return program, rollout


def test_status_verdict_and_a_turn_of_the_controller_read_sums_and_no_rows(engine: Engine) -> None:
    program, rollout = served_and_shown(engine)
    with executed(engine) as statements, reading(engine) as connection:
        judgement_of(connection, rollout, at=program.now // 1000)
    assert reads_of(statements, "rollup_total")
    assert reads_of(statements, *EVIDENCE) == []
    with executed(engine) as statements:
        read_status(engine, None, workers=(), at=program.now)
    assert reads_of(statements, "rollup", "rollup_total")
    assert reads_of(statements, *EVIDENCE) == []
    with executed(engine) as statements:
        asyncio.run(program.turn())
    assert reads_of(statements, "rollup_total")
    assert reads_of(statements, *EVIDENCE) == []


def test_a_report_reads_sums_and_the_worst_pairs_by_their_indexes(engine: Engine) -> None:
    program, _ = served_and_shown(engine)
    with executed(engine) as statements:
        write_report(findings(engine, "fraud"), at=program.now)
    assert reads_of(statements, "rollup_total")
    rows = reads_of(statements, *EVIDENCE)
    # Numbers that rose most, that fell most, and labels that differ: among the newest pairs, and where these are few, of all.
    assert len(rows) == 4
    assert reads_of(rows, "pair") == rows
    for statement, parameters in rows:
        assert "LIMIT" in statement
        plan = plan_of(engine, statement, parameters=parameters)
        newest = "AS newest" in statement
        assert re.search(r"autoindex_pair_1|pair\w*_pkey" if newest else r"rollout_(agree|difference)(_idx)?", plan), plan
        # The newest are a bounded number of keys, read off the end of the primary key.
        assert not re.search(r"Seq Scan|SCAN pair(?! USING COVERING INDEX)", plan), plan
        assert newest or "SCAN pair" not in plan, plan


def plan_of(engine: Engine, statement: str, *, parameters: Any) -> str:  # noqa: ANN401
    """How the database goes about it. PostgreSQL reads a table as small as this one through whatever the statement."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            explained = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        else:
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return "\n".join(" ".join(map(str, row)) for row in explained)
