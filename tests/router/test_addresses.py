"""Endpoints named by host name: looked up again, tried in turn, followed when they move, kept when nobody answers."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from modelctl.endpoint import parse_endpoint
from modelctl.router.addresses import REFRESH, Addresses, addresses, system_resolve
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.asking import Asking, Bench, Names, eventually, run
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, wait
from tests.router.process import RouterProcess
from tests.router.wire import get, ok

Start = Callable[..., RouterProcess]


@pytest.fixture
def homes() -> Iterator[tuple[ModelServer, ModelServer]]:
    """Two servers that differ in the address only: 127.0.0.1 and 127.0.0.2."""
    first = ModelServer()
    second = ModelServer("127.0.0.2", first.port)
    yield first, second
    for server in (first, second):
        server.stop()
        assert server.faults == []


def named(port: int, **more: int) -> Backend:
    return Backend(name="m", endpoints=(f"http://model.test:{port}",), **more)  # type: ignore[arg-type]


Homes = tuple[ModelServer, ModelServer]


def test_a_name_that_moves_is_followed_within_the_refresh_interval_and_old_connections_are_closed(homes: Homes) -> None:
    async def work() -> None:
        first, second = homes
        names = Names("127.0.0.1")
        one = Bench(named(first.port), names)
        await one.pass_time(0.0)
        assert (await one.ask()).address == "127.0.0.1"
        assert first.open == 1
        names.addresses = ["127.0.0.2"]
        await one.pass_time(REFRESH)
        assert await eventually(lambda: first.open == 0)
        assert (await one.ask()).address == "127.0.0.2"
        assert len(second.arrivals) == 1
        assert one.events == [("addresses-changed", "model.test of backend 'm': now 127.0.0.2")]
        one.target.retire()

    run(work)


def test_a_request_in_flight_on_an_address_that_is_gone_finishes_there(homes: Homes) -> None:
    async def work() -> None:
        first, _ = homes
        go = threading.Event()
        first.on("/", wait(go), ok())
        names = Names("127.0.0.1")
        one = Bench(named(first.port), names)
        await one.pass_time(0.0)
        asking = asyncio.ensure_future(one.ask())
        assert await eventually(lambda: len(first.arrivals) == 1)
        names.addresses = ["127.0.0.2"]
        await one.pass_time(REFRESH)
        assert (await one.ask()).address == "127.0.0.2"
        go.set()
        old = await asking
        assert (old.answer.result(), old.address) == (200, "127.0.0.1")
        assert await eventually(lambda: first.open == 0)
        assert {leg.address for leg in [await one.ask() for _ in range(5)]} == {"127.0.0.2"}
        one.target.retire()

    run(work)


def test_when_nobody_answers_the_last_good_addresses_stay(homes: Homes) -> None:
    async def work() -> None:
        first, _ = homes
        names = Names("127.0.0.1")
        one = Bench(named(first.port), names)
        await one.pass_time(0.0)
        names.addresses = []
        await one.pass_time(REFRESH)
        await one.pass_time(REFRESH)
        first.close_connections()
        assert await eventually(lambda: first.open == 0)
        assert (await one.ask()).answer.result() == 200
        names.addresses = ["127.0.0.1"]
        await one.pass_time(REFRESH)
        assert [event for event, _ in one.events] == ["name-unresolved", "name-resolved"]
        assert "no resolver answers" in one.events[0][1]
        one.target.retire()

    run(work)


def test_a_name_that_never_had_an_address_is_a_failed_connection_until_it_has_one(homes: Homes) -> None:
    async def work() -> None:
        first, _ = homes
        names = Names()
        one = Bench(named(first.port), names)
        assert (await one.ask()).answer.result() == "connect"
        names.addresses = ["127.0.0.1"]
        assert (await one.ask()).answer.result() == 200
        one.target.retire()

    run(work)


def test_connections_are_opened_to_each_address_in_turn(homes: Homes) -> None:
    async def work() -> None:
        first, second = homes
        go = threading.Event()
        for server in homes:
            server.on("/", wait(go), ok())
        one = Bench(named(first.port), Names("127.0.0.1", "127.0.0.2"))
        asking = asyncio.gather(*(one.ask() for _ in range(8)))
        assert await eventually(lambda: len(first.arrivals) + len(second.arrivals) == 8)
        assert len(first.arrivals) == len(second.arrivals) == 4
        go.set()
        assert [leg.answer.result() for leg in await asking] == [200] * 8
        one.target.retire()

    run(work)


def test_an_address_where_nobody_listens_is_passed_over_and_tried_last_until_the_next_look_up(homes: Homes) -> None:
    async def work() -> None:
        first, _ = homes
        one = Bench(named(first.port), Names("127.0.0.3", "127.0.0.1"))
        for _ in range(4):
            assert (await one.ask()).address == "127.0.0.1"
            first.close_connections()
            assert await eventually(lambda: first.open == 0)
        assert await one.target.addresses[0].in_turn() == ["127.0.0.1", "127.0.0.3"]
        assert await one.target.addresses[0].in_turn() == ["127.0.0.1", "127.0.0.3"]
        await one.pass_time(REFRESH)
        turns = [(await one.target.addresses[0].in_turn())[0] for _ in range(2)]
        assert set(turns) == {"127.0.0.1", "127.0.0.3"}
        one.target.retire()

    run(work)


def test_an_address_that_swallows_connections_leaves_time_for_the_next(homes: Homes) -> None:
    async def work() -> None:
        first, _ = homes
        with socket.create_server(("127.0.0.3", first.port), backlog=0) as full, socket.socket() as taken:
            taken.connect(full.getsockname())
            with socket.socket() as also_taken:
                also_taken.setblocking(False)
                also_taken.connect_ex(full.getsockname())
                one = Bench(named(first.port, connect_timeout_ms=600), Names("127.0.0.3", "127.0.0.1"))
                assert (await one.ask()).answer.result() == 200
                one.target.retire()

    run(work)


def test_a_resolver_that_hangs_holds_no_request_longer_than_the_connect_timeout() -> None:
    class Hanging(Names):
        async def __call__(self, host: str, port: int) -> list[str]:
            self.asked += 1
            await asyncio.sleep(3_600)
            return []

    async def work() -> None:
        names = Hanging()
        one = Bench(named(9, connect_timeout_ms=100), names)
        for _ in range(5):
            await one.pass_time(REFRESH)
        assert names.asked == 1
        assert (await one.ask()).answer.result() == "connect"
        assert names.asked == 1
        one.target.retire()

    run(work)


def test_an_address_needs_no_resolver_and_a_name_is_asked_once_for_each_address() -> None:
    async def work() -> None:
        names = Names("127.0.0.1", "127.0.0.2", "127.0.0.1")
        assert await addresses(parse_endpoint("http://[::1]:80"), names) == ("::1",)
        assert names.asked == 0
        assert await addresses(parse_endpoint("http://a.test"), names) == ("127.0.0.1", "127.0.0.2")
        with pytest.raises(OSError, match="no address"):
            await addresses(parse_endpoint("http://a.test"), empty)

    async def empty(host: str, port: int) -> list[str]:
        return []

    run(work)


def test_another_order_is_no_change() -> None:
    async def work() -> None:
        names = Names("127.0.0.1", "127.0.0.2")
        known = Addresses(parse_endpoint("http://a.test"), names, now=0.0)
        await known.refresh()
        before = known.known
        names.addresses = ["127.0.0.2", "127.0.0.1"]
        await known.refresh()
        assert known.known is before

    run(work)


def test_the_systems_resolver_knows_localhost() -> None:
    async def work() -> None:
        assert set(await system_resolve("localhost", 80)) <= {"127.0.0.1", "::1"}

    run(work)


def test_a_router_reaches_a_server_by_its_name(start: Start, old: ModelServer) -> None:
    backend = Backend(name="m", endpoints=(f"http://localhost:{old.port}",))
    router = start(RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("m"),)),)))
    assert {router.ask(get("/x")).status for _ in range(10)} == {200}
    assert router.stop() == 0


# -- asking again


def test_a_leg_that_is_sent_again_goes_to_another_endpoint(homes: Homes) -> None:
    async def work() -> None:
        first, second = homes
        one = Bench(Backend(name="m", endpoints=(first.url, second.url)))
        for pool in one.target.pools * 5:
            leg = await one.ask_again(pool)
            assert leg.address != pool.endpoint.host
        assert (await one.ask_again(None)).answer.result() == 200
        one.target.retire()

    run(work)


def test_a_leg_that_is_sent_again_to_the_only_endpoint_goes_there(homes: Homes) -> None:
    async def work() -> None:
        one = Bench(Backend(name="m", endpoints=(homes[0].url,)))
        assert (await one.ask_again(one.target.pools[0])).answer.result() == 200
        one.target.retire()

    run(work)


def test_a_leg_that_is_sent_again_waits_for_room_as_any_other_and_still_avoids(homes: Homes) -> None:
    async def work() -> None:
        go = threading.Event()
        for server in homes:
            server.on("/", wait(go), ok())
        first, second = homes
        one = Bench(Backend(name="m", endpoints=(first.url, second.url), max_inflight=1, max_pending=1))
        carried, waiting, turned_away = Asking(), Asking(), Asking()
        assert one.target.again(carried, one.target.pools[0])
        assert one.target.again(waiting, one.target.pools[0])
        assert not one.target.again(turned_away, one.target.pools[0])
        go.set()
        assert await together_answered(carried, waiting) == [200, 200]
        assert [carried.address, waiting.address] == ["127.0.0.2", "127.0.0.2"]
        assert not one.target.busy
        one.target.retire()

    run(work)


async def together_answered(*legs: Asking) -> list[int | str]:
    async with asyncio.timeout(10.0):
        return [await leg.answer for leg in legs]
