"""The controller's course through trouble: outages, faults of one rollout, another holder; and how long a rollback takes."""

import asyncio
import logging
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from modelctl.controlplane.acting.controller import Controller
from modelctl.controlplane.automation.zero import zero_traffic
from modelctl.controlplane.fleet import Acknowledged, Convergence, Fleet, Laggard, Poll
from modelctl.controlplane.operations.routes import NewRoute, add_route
from modelctl.controlplane.report.status import read_status
from modelctl.rollout import Phase
from modelctl.store import schema, tables
from modelctl.store.engine import connect, reading, writing
from modelctl.store.first_failure import first_failure
from tests.controlplane.program import MINUTE, SECOND, Program
from tests.controlplane.scene import AT, store_pair, store_prediction

GATES = ("error_rate:guardrail:margin=2pt",)
AUTO = {"mode": "auto", "max_n": 100_000}
BROKEN = {"a": 0.01, "b": 1.0}


@pytest.fixture
def program(lite: Engine) -> Program:
    return Program(lite)


def test_without_a_database_it_waits_says_so_once_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path / 'later.db'}"
    engine = connect(url)
    controller = Controller(engine, Fleet(lambda: AT), clock=lambda: AT, holder="one")

    async def course() -> None:
        for _ in range(3):
            await controller.turn()
        schema.upgrade(url)
        for _ in range(3):
            await controller.turn()
        await controller.leave()

    with caplog.at_level(logging.INFO, logger="modelctl.controlplane"):
        asyncio.run(course())
    engine.dispose()
    mine = [record.getMessage() for record in caplog.records if record.name == "modelctl.controlplane"]
    assert [line.partition(":")[0] for line in mine] == [
        "the controller waits for the database",
        "this process conducts rollouts",
        "the controller goes on",
    ]


def test_a_fault_that_nobody_foresaw_does_not_end_it(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    program.start(gates=GATES, conduct=AUTO)
    with writing(program.engine) as connection:
        kept = connection.execute(select(tables.rollout.c.spec)).scalar_one()
        connection.execute(update(tables.rollout).values(spec="{"))
    with caplog.at_level(logging.WARNING, logger="modelctl.controlplane"):
        for _ in range(3):
            asyncio.run(program.turn())
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["the controller cannot go on"]
    with writing(program.engine) as connection:
        connection.execute(update(tables.rollout).values(spec=kept))
    program.serve(3000, BROKEN)
    asyncio.run(program.turn())
    assert program.rollout().phase is Phase.ROLLED_BACK


def test_a_rollout_that_cannot_be_looked_at_does_not_keep_the_others_from_it(
    program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    program.start(gates=GATES, conduct=AUTO)
    add_route(program.engine, NewRoute(name="other", path="/other", baseline="a"), author=program.author())
    program.start("shadow", gates=(), conduct={"for_ms": 1000}, route="other", candidates=["c"])
    with writing(program.engine) as connection:
        connection.execute(update(tables.stage).where(tables.stage.c.rollout == 1).values(arms='[{"backend": "a"}]'))
    with caplog.at_level(logging.ERROR, logger="modelctl.controlplane"):
        asyncio.run(program.turn())
        asyncio.run(program.turn())
    assert program.rollout().phase is Phase.PROGRESSING  # the broken one, which is open still
    assert [event.action for event in program.events() if event.route == "other"][-1] == "complete"
    assert len([record for record in caplog.records if "cannot look at rollout 1" in record.getMessage()]) == 1


def test_a_holder_whose_lease_was_taken_writes_nothing(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    asyncio.run(program.turn())
    with writing(program.engine) as connection:
        connection.execute(update(tables.lease).values(holder="two", term=2, expires_at=program.now + MINUTE))
    program.serve(3000, BROKEN)
    asyncio.run(program.turn())
    assert program.rollout().open
    assert program.decisions() == ()
    asyncio.run(program.turn(120))
    assert program.rollout().phase is Phase.ROLLED_BACK


def test_one_that_leaves_is_followed_at_once(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    program.serve(3000, BROKEN)

    async def course() -> None:
        second = program.another("two")
        await program.another("zero").leave()  # it never held anything
        first = program.another("first")
        await second.turn()
        await second.leave()
        await first.turn()

    asyncio.run(course())
    assert program.rollout().phase is Phase.ROLLED_BACK


def test_the_first_failure_is_found_among_answers_and_shadows(program: Program) -> None:
    rollout = program.start(gates=GATES, conduct=AUTO)
    program.now = AT + 3 * MINUTE
    program.serve(2000, BROKEN)
    at = program.now // MINUTE * MINUTE
    for number, (arm, outcome) in enumerate([("a", "backend_error"), ("b", "ok"), ("b", "timeout"), ("b", "backend_error")]):
        store_prediction(program.engine, f"{number:032x}", arm=arm, outcome=outcome, at=at + number * SECOND)
    with reading(program.engine) as connection:
        assert first_failure(connection, rollout) == at + 2 * SECOND
    store_pair(program.engine, "f" * 32, at=at + SECOND, agree=None, candidate_outcome="timeout")
    with reading(program.engine) as connection:
        assert first_failure(connection, rollout) == at + SECOND


def test_a_candidate_that_never_failed_has_no_first_failure(program: Program) -> None:
    rollout = program.start(gates=GATES, conduct=AUTO)
    program.serve(500, {"a": 0.0, "b": 0.0})
    with reading(program.engine) as connection:
        assert first_failure(connection, rollout) is None


def test_the_time_from_the_first_failure_to_zero_traffic_is_in_the_history_and_the_status(program: Program) -> None:
    program.start(gates=GATES, conduct=AUTO)
    counted = program.serve(5000, BROKEN)
    assert counted["b"][1] > 20
    store_prediction(program.engine, "1" * 32, arm="b", outcome="backend_error", at=program.now)
    fleet = program.fleet

    async def worker() -> None:
        """Polls as a router's worker does, and takes what it gets after 40 ms."""
        poll = Poll(worker="w-1")
        fleet.opened(poll)
        while True:
            table = await fleet.newer(poll)
            assert table is not None
            fleet.closed(poll)
            poll = Poll(worker="w-1", after=table.version, applied=table.version, applied_us=program.now + 40_000)
            fleet.opened(poll)

    async def course() -> None:
        polling = asyncio.create_task(worker())
        await program.turn(0.5)
        polling.cancel()

    asyncio.run(course())
    assert program.rollout().phase is Phase.ROLLED_BACK
    shown = read_status(program.engine, "fraud", workers=(), at=program.now).routes[0].last_rollback
    assert shown is not None
    assert (shown.first_failure_at, shown.decided_at, shown.routers, shown.laggards) == (AT, AT + 500_000, 1, ())
    assert (shown.zero_at, shown.ms_to_zero) == (AT + 540_000, 540.0)


def test_while_a_router_has_not_acknowledged_there_is_no_zero() -> None:
    slow = Convergence(
        version=2,
        converged=False,
        elapsed_ms=2000,
        workers=(Acknowledged(worker="w-1", version=2, applied_at=AT + 9, applied_ms=1, last_request_ms={}),),
        laggards=(Laggard(worker="w-2", version=1, reason="has not taken the table yet"),),
    )
    found = zero_traffic(slow, first=AT, decided=AT + 1)
    assert (found.zero_at, found.ms_to_zero, found.laggards) == (None, None, ("w-2",))
