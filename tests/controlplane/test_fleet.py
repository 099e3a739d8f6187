"""Which worker serves from which table, and how long a command waits for them."""

import asyncio
from collections.abc import Awaitable, Callable

from modelctl.controlplane.fleet import GONE_AFTER, Command, Convergence, Fleet, Poll
from modelctl.store.catalog import StoredTable
from tests.controlplane.scene import AT


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> int:
        return self.now


def table(version: int) -> StoredTable:
    return StoredTable(version, b"table %d" % version)


def poll(worker: str = "w0", applied: int = 0, **said: object) -> Poll:
    return Poll(worker=worker, after=applied, applied=applied, **said)  # type: ignore[arg-type]


def in_fleet(story: Callable[[Fleet, Watch], Awaitable[None]]) -> None:
    watch = Watch()

    async def run() -> None:
        async with asyncio.timeout(10):
            await story(Fleet(watch), watch)

    asyncio.run(run())


async def asked(fleet: Fleet, version: int, *, bereft: tuple[str, ...] = (), within: float = 0.05) -> Convergence:
    return await fleet.converged(Command(version=version, since=AT, bereft=bereft), timeout=within)


def test_a_poll_waits_for_a_newer_table_and_gets_it_at_once() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        waiting = asyncio.create_task(fleet.newer(poll(applied=1)))
        fleet.publish(table(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        fleet.publish(table(2))
        assert await waiting == table(2)

    in_fleet(story)


def test_an_older_table_does_not_replace_a_newer_one() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        fleet.publish(table(2))
        fleet.publish(table(1))
        assert fleet.table == table(2)

    in_fleet(story)


def test_a_worker_that_refused_a_table_is_not_sent_it_again() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        fleet.publish(table(2))
        waiting = asyncio.create_task(fleet.newer(poll(applied=1, refused=2, why="no")))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        fleet.publish(table(3))
        assert await waiting == table(3)

    in_fleet(story)


def test_stopping_ends_the_polls() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        waiting = asyncio.create_task(fleet.newer(poll()))
        await asyncio.sleep(0)
        fleet.stop()
        assert await waiting is None

    in_fleet(story)


def test_a_command_has_converged_when_every_worker_serves_from_its_table() -> None:
    async def story(fleet: Fleet, watch: Watch) -> None:
        fleet.publish(table(2))
        fleet.opened(poll("w0", 2, applied_us=AT + 1_500))
        fleet.opened(poll("w1", 1))
        waiting = asyncio.create_task(asked(fleet, 2, within=5))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        fleet.closed(poll("w1", 1))
        fleet.opened(poll("w1", 2, applied_us=AT + 4_000))
        watch.now = AT + 5_000
        found = await waiting
        assert (found.converged, found.version, found.elapsed_ms, found.laggards) == (True, 2, 5.0, ())
        assert [(one.worker, one.applied_ms) for one in found.workers] == [("w0", 1.5), ("w1", 4.0)]

    in_fleet(story)


def test_it_says_how_long_a_backend_that_lost_its_traffic_was_still_sent_requests() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        fleet.publish(table(2))
        fleet.opened(poll("w0", 2, applied_us=AT + 3_000, last={"b": AT + 2_250, "a": AT + 9}))
        fleet.opened(poll("w1", 2, applied_us=AT + 3_000, last={"b": AT - 5}))
        found = await asked(fleet, 2, bereft=("b",))
        assert [one.last_request_ms for one in found.workers] == [{"b": 2.25}, {"b": None}]

    in_fleet(story)


def test_a_worker_that_does_not_take_the_table_in_time_is_a_laggard() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        fleet.publish(table(2))
        fleet.opened(poll("w0", 2))
        fleet.opened(poll("w1", 1))
        found = await asked(fleet, 2)
        assert (found.converged, [one.worker for one in found.laggards]) == (False, ["w1"])
        assert found.laggards[0].reason == "has not taken the table yet"

    in_fleet(story)


def test_a_refusal_is_reported_at_once_with_the_workers_reason() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        fleet.publish(table(2))
        fleet.opened(poll("w0", 1, refused=2, why="no backend 'b'"))
        found = await asked(fleet, 2, within=60)
        assert not found.converged
        assert found.laggards[0].reason == "refused table 2: no backend 'b'"

    in_fleet(story)


def test_a_worker_that_hung_up_for_more_than_two_seconds_is_not_waited_for() -> None:
    async def story(fleet: Fleet, watch: Watch) -> None:
        fleet.publish(table(2))
        fleet.opened(poll("w0", 2))
        fleet.opened(poll("w1", 1))
        fleet.closed(poll("w1", 1))
        assert not (await asked(fleet, 2)).converged
        watch.now += GONE_AFTER + 1
        assert (await asked(fleet, 2)).converged
        assert [(one.worker, one.alive) for one in fleet.workers()] == [("w0", True), ("w1", False)]

    in_fleet(story)


def test_without_a_worker_nothing_has_converged_and_an_old_fleet_does_not_wait() -> None:
    async def story(fleet: Fleet, watch: Watch) -> None:
        fleet.publish(table(1))
        watch.now += GONE_AFTER + 1
        assert not (await asked(fleet, 1, within=60)).converged

    in_fleet(story)


def test_a_young_fleet_waits_for_its_first_worker() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        fleet.publish(table(1))
        waiting = asyncio.create_task(asked(fleet, 1, within=5))
        await asyncio.sleep(0.01)
        fleet.opened(poll("w0", 1))
        assert (await waiting).converged

    in_fleet(story)


def test_a_fleet_that_resumes_waits_for_workers_that_are_not_back_yet() -> None:
    async def story(fleet: Fleet, watch: Watch) -> None:
        fleet.resume(table(1))
        fleet.opened(poll("w0", 1))
        waiting = asyncio.create_task(asked(fleet, 1, within=5))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        watch.now += GONE_AFTER + 1
        fleet.opened(poll("w1", 1))
        assert [worker.worker for worker in (await waiting).workers] == ["w0", "w1"]

    in_fleet(story)


def test_a_worker_that_is_ahead_serves_from_a_table_of_another_history() -> None:
    async def story(fleet: Fleet, _: Watch) -> None:
        fleet.publish(table(2))
        fleet.opened(poll("w0", 57))
        found = await asked(fleet, 2)
        assert not found.converged
        assert "never published" in found.laggards[0].reason

    in_fleet(story)


def test_a_poll_that_replaces_another_keeps_its_worker_alive() -> None:
    async def story(fleet: Fleet, watch: Watch) -> None:
        fleet.opened(poll("w0", 1))
        fleet.opened(poll("w0", 2))
        fleet.closed(poll("w0", 1))
        watch.now += 10 * GONE_AFTER
        (worker,) = fleet.workers()
        assert (worker.alive, worker.version) == (True, 2)

    in_fleet(story)


def test_workers_that_are_gone_for_long_are_forgotten() -> None:
    async def story(fleet: Fleet, watch: Watch) -> None:
        fleet.opened(poll("old", 1))
        fleet.closed(poll("old", 1))
        watch.now += 1_000 * GONE_AFTER
        fleet.opened(poll("new", 1))
        fleet.closed(poll("new", 1))
        assert [one.worker for one in fleet.workers()] == ["new"]

    in_fleet(story)


def test_a_worker_that_says_that_it_leaves_is_not_waited_for() -> None:
    async def story(fleet: Fleet, watch: Watch) -> None:
        watch.now += GONE_AFTER + 1
        fleet.publish(table(1))
        fleet.opened(poll("old", applied=0))
        fleet.opened(poll("new", applied=1))
        assert not (await asked(fleet, 1)).converged
        fleet.left("old")
        assert (await asked(fleet, 1)).converged
        fleet.closed(poll("old", applied=0))  # its last poll may end after it said so
        assert [status.worker for status in fleet.workers()] == ["new"]

    in_fleet(story)
