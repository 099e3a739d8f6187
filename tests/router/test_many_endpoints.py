"""Endpoints that fail in every way at once, and clients that leave: every request has one end, and nothing stays counted."""

import asyncio
from collections.abc import Iterator
from random import Random

import pytest

from modelctl import evidence
from modelctl.policy import Ejection, Health
from modelctl.traffic import Backend
from tests.router.asking import Asking, Bench, Names, run
from tests.router.model_server import ModelServer, Step, close, pause, reset, until_left
from tests.router.wire import ok

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
FAILED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
ENDS: tuple[tuple[Step, ...], ...] = (
    (ok(),),
    (pause(0.02), ok()),
    (FAILED,),
    (close,),
    (reset,),
    (HALF, close),
    (b"no HTTP\r\n", close),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil closed", close),
    (until_left,),
)

FAILURES = {
    evidence.CONNECT,
    evidence.TIMEOUT,
    evidence.RESET,
    evidence.TRUNCATED,
    evidence.INVALID,
    evidence.OVERLOAD,
}


@pytest.fixture
def crowd() -> Iterator[list[ModelServer]]:
    made = [ModelServer() for _ in range(4)]
    yield made
    for server in made:
        server.stop()
        assert server.faults == []


@pytest.mark.parametrize("seed", range(3))
def test_every_request_has_one_end_and_nothing_stays_in_flight(crowd: list[ModelServer], closed_port: int, seed: int) -> None:
    random = Random(seed)

    async def client(bench: Bench, answers: list[int | str]) -> None:
        for _ in range(15):
            leg = Asking(b"GET /%d HTTP/1.1\r\nhost: m\r\n\r\n" % random.randrange(len(ENDS)))
            if not bench.target.again(leg, random.choice([None, *bench.target.pools])):
                answers.append(evidence.OVERLOAD)
                continue
            patience = random.choice([0.0, 0.01, 0.05, 10.0])
            await asyncio.wait([leg.answer], timeout=patience)
            leg.leave(bench.target)
            answers.append(leg.answer.result())

    async def pass_time(bench: Bench) -> None:
        while True:
            bench.clock.now += 0.05
            bench.target.sweep(bench.clock.now)
            await asyncio.sleep(0.01)

    async def work() -> None:
        urls = (*(server.url for server in crowd), f"http://127.0.0.1:{closed_port}", f"http://model.test:{crowd[0].port}")
        backend = Backend(
            name="m",
            endpoints=urls,
            max_inflight=24,
            max_pending=20,
            response_timeout_ms=1_000,
            connect_timeout_ms=500,
            health=Health(path="/health", interval_ms=100, fall=1, rise=1),
            ejection=Ejection(consecutive=3, base_ms=200, interval_ms=200, minimum_endpoints=2, minimum_requests=5),
            slow_start_ms=500,
        )
        bench = Bench(backend, Names("127.0.0.1", "127.0.0.3"))
        ticking = asyncio.get_running_loop().create_task(pass_time(bench))
        answers: list[int | str] = []
        async with asyncio.timeout(30.0):
            await asyncio.gather(*(client(bench, answers) for _ in range(40)))
        assert len(answers) == 40 * 15
        assert set(answers) <= {200, 503, "left", *FAILURES}
        assert len(set(answers)) > 5
        assert not bench.target.busy
        assert [state.inflight for state in bench.target.endpoints_state()] == [0] * 6
        assert {event for event, _ in bench.events} >= {"endpoint-ejected", "endpoint-returned", "endpoint-unhealthy"}
        ticking.cancel()
        bench.target.retire()

    for server in crowd:
        for number, steps in enumerate(ENDS):
            server.on(f"/{number}", *steps)
    run(work)
