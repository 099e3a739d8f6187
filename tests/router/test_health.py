"""Health checks of endpoints: what takes one out and back, what is asked, and that a backend is never given up."""

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.policy import Health
from modelctl.router.clock import Clock
from modelctl.router.health import Pulse
from modelctl.router.table import CompiledTable, Targets
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.asking import Bench, Names, run
from tests.router.asking import eventually as comes_true
from tests.router.conftest import baseline, candidate
from tests.router.model_server import ModelServer, Step, close, pause, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import get, ok

Start = Callable[..., RouterProcess]
UNWELL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
QUICK = Health(path="/health", interval_ms=100, timeout_ms=500, fall=2, rise=2)


# -- what the checks of one endpoint amount to


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_so_many_checks_in_a_row_change_what_is_believed(checks: list[bool], fall: int, rise: int) -> None:
    pulse = Pulse(Health(path="/", fall=fall, rise=rise), 0.0)
    for number, passed in enumerate(checks):
        before = pulse.well
        changed = pulse.end("" if passed else "down")
        assert changed == (pulse.well != before)
        needed = fall if before else rise
        row = checks[max(0, number + 1 - needed) : number + 1]
        if changed:
            assert row == [not before] * needed
        assert pulse.why == ("" if pulse.well else "down")


def test_an_endpoint_is_well_until_the_first_checks_fail() -> None:
    pulse = Pulse(Health(path="/", fall=3), 0.0)
    assert [pulse.end("down"), pulse.end("down"), pulse.well] == [False, False, True]
    assert pulse.end("down")
    assert not pulse.well


@given(st.floats(0.0, 1e6), st.floats(0.0, 1.0))
def test_the_pause_between_checks_varies_by_a_tenth(now: float, chance: float) -> None:
    pulse = Pulse(Health(path="/", interval_ms=2_000), now)
    pulse.begin(now, chance)
    assert 1.79 < pulse.due - now < 2.21


# -- one check


@pytest.fixture
def server() -> Iterator[ModelServer]:
    made = ModelServer()
    yield made
    made.stop()
    assert made.faults == []


def bench(server: ModelServer, rule: Health, path: str = "") -> Bench:
    return Bench(Backend(name="m", endpoints=(f"{server.url}{path}",), health=rule))


def test_a_check_asks_for_its_path_at_the_servers_root_on_a_connection_of_its_own(server: ModelServer) -> None:
    async def work() -> None:
        one = bench(server, Health(path="/health?full=1"), "/models/m")
        await one.pass_time(0.0)
        arrival = server.last("/health")
        assert arrival.line == b"GET /health?full=1 HTTP/1.1"
        assert arrival.one(b"host") == f"127.0.0.1:{server.port}".encode()
        assert (await one.ask()).answer.result() == 200
        assert server.last("/x").connection != arrival.connection
        one.target.retire()

    run(work)


FAILURES: dict[str, tuple[Step, str]] = {
    "another status": (UNWELL, "it answered 503, not 200"),
    "no HTTP": (b"SSH-2.0\r\n", "no answer: invalid"),
    "an end without an answer": (close, "no answer: reset"),
    "half an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "no answer: truncated"),
    "silence": (until_left, "no answer within 100 ms"),
    "an answer without end": (b"HTTP/1.1 200 OK\r\n\r\nand on", "no answer within 100 ms"),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", "it answered 302, not 200"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_anything_but_the_whole_answer_wanted_is_a_failure(server: ModelServer, name: str) -> None:
    step, why = FAILURES[name]

    async def work() -> None:
        server.on("/health", step, *([until_left] if name == "an answer without end" else [close]))
        one = bench(server, Health(path="/health", timeout_ms=100, interval_ms=100, fall=1))
        await one.pass_time(0.0)
        assert await comes_true(lambda: bool(one.events))
        assert one.events == [("endpoint-unhealthy", f"{server.url} of backend 'm': {why}")]
        state = one.target.endpoints_state()[0]
        assert (state.available, state.why) == (False, f"unhealthy: {why}")
        one.target.retire()

    run(work)


def test_a_closed_port_is_unhealthy_and_a_status_of_choice_is_well(server: ModelServer, closed_port: int) -> None:
    async def work() -> None:
        server.on("/health", b"HTTP/1.1 204 No Content\r\n\r\n")
        urls = (server.url, f"http://127.0.0.1:{closed_port}")
        one = Bench(Backend(name="m", endpoints=urls, health=Health(path="/health", status=204, fall=1)))
        await one.pass_time(0.0)
        assert await comes_true(lambda: bool(one.events))
        assert [(state.available, state.why[:24]) for state in one.target.endpoints_state()] == [
            (True, "well"),
            (False, "unhealthy: no connection"),
        ]
        one.target.retire()

    run(work)


def test_checks_come_with_the_interval_and_never_two_at_a_time(server: ModelServer) -> None:
    async def work() -> None:
        go = threading.Event()
        server.on("/health", wait(go), ok())
        one = bench(server, Health(path="/health", interval_ms=1_000, timeout_ms=10_000))
        for _ in range(10):
            await one.pass_time(1.2)
        assert len(server.arrivals) == 1
        go.set()
        assert await comes_true(lambda: not one.target.pulses[0].checking)
        await one.pass_time(0.0)
        assert len(server.arrivals) == 2
        await one.pass_time(0.8)
        assert len(server.arrivals) == 2
        await one.pass_time(0.4)
        assert len(server.arrivals) == 3
        one.target.retire()

    run(work)


def test_a_backend_that_is_retired_checks_no_more_and_leaves_nothing_behind(server: ModelServer) -> None:
    async def work() -> None:
        server.on("/health", until_left)
        names = Names("127.0.0.1")
        one = Bench(Backend(name="m", endpoints=(f"http://model.test:{server.port}",), health=QUICK), names)
        await one.pass_time(0.0)
        assert await comes_true(lambda: server.open == 1)
        one.target.retire()
        assert await comes_true(lambda: server.open == 0)
        await one.pass_time(60.0)
        assert names.asked <= 2
        assert len(server.arrivals) == 1

    run(work)


# -- across tables


def test_copies_go_by_the_health_that_is_known_and_do_not_check_themselves() -> None:
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    backends = tuple(Backend(name=name, endpoints=urls, health=QUICK) for name in ("old", "new"))
    route = Route(name="all", arms=(baseline("old"), candidate("new", shown=10_000)))
    targets = Targets(Clock(0.0))
    table = CompiledTable(RoutingTable(version=1, backends=backends, routes=(route,)), targets)
    answering = targets.answering(backends[1])
    shown = targets.shown("all", backends[1], arm=route.arms[1])
    assert shown is not answering
    assert len(table.legs) == 2
    answering.pulses[0].end("down")
    answering.pulses[0].end("down")
    shown.sweep(0.0)
    assert [state.available for state in shown.endpoints_state()] == [False, True]


def test_what_is_known_of_an_endpoint_outlives_a_change_of_the_backend_and_a_new_endpoint_warms_up() -> None:
    urls = tuple(f"http://127.0.0.1:{port}" for port in (1, 2, 3))
    clock = Clock(100.0)
    targets = Targets(clock)
    before = targets.answering(Backend(name="m", endpoints=urls, health=QUICK))
    assert [pool.candidate.share(100.0) for pool in before.pools] == [1.0, 1.0, 1.0]
    for _ in range(2):
        before.pulses[2].end("down")
    watch = before.pools[1].watch
    assert watch is not None
    for _ in range(5):
        watch.on_broken(0.0)
    clock.now = 105.0
    fresh = "http://127.0.0.1:4"
    after = targets.answering(Backend(name="m", endpoints=(urls[2], fresh, urls[1], urls[0]), health=QUICK, max_inflight=9))
    assert after is not before
    assert [state.why for state in after.endpoints_state()] == ["unhealthy: down", "well", "ejected for another 25.0 s", "well"]
    assert [pool.candidate.share(110.0) for pool in after.pools] == [1.0, 0.5, 1.0, 1.0]


# -- over real sockets


@pytest.fixture
def pair() -> Iterator[list[ModelServer]]:
    made = [ModelServer(), ModelServer()]
    yield made
    for server in made:
        server.stop()
        assert server.faults == []


def table(pair: list[ModelServer]) -> RoutingTable:
    backend = Backend(name="m", endpoints=tuple(server.url for server in pair), health=QUICK, slow_start_ms=0)
    return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("m"),)),))


def test_an_unhealthy_server_is_spared_without_losing_a_request_and_comes_back(pair: list[ModelServer], start: Start) -> None:
    ill = pair[1]
    ill.on("/health", UNWELL)
    router = start(table(pair))
    assert eventually(lambda: '"endpoint-unhealthy"' in router.events())
    asked = len(ill.got("/x", 0))
    assert {router.ask(get("/x")).status for _ in range(50)} == {200}
    assert len(ill.got("/x", 0)) == asked
    ill.on("/health", ok())
    assert eventually(lambda: '"endpoint-well"' in router.events())
    assert eventually(lambda: router.ask(get("/x")).status == 200 and len(ill.got("/x", 0)) > asked)
    assert router.stop() == 0


def test_when_all_servers_are_unhealthy_all_are_asked_and_a_recovery_is_noticed(pair: list[ModelServer], start: Start) -> None:
    for server in pair:
        server.on("/health", UNWELL)
    router = start(table(pair))
    assert eventually(lambda: router.events().count('"endpoint-unhealthy"') == 2)
    assert eventually(lambda: '"endpoints-panic"' in router.events())
    assert {router.ask(get("/x")).status for _ in range(50)} == {200}
    assert all(server.got("/x") for server in pair)
    for server in pair:
        server.on("/health", pause(0.001), ok())
    assert eventually(lambda: router.events().count('"endpoint-well"') == 2)
    assert eventually(lambda: '"endpoints-panic-over"' in router.events())
    assert {router.ask(get("/x")).status for _ in range(50)} == {200}
    assert router.stop() == 0
