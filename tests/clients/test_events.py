"""Streams of events through the router: each event when it is there, as it is, and none for a client that has left."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import count
from time import monotonic, sleep

import httpx
import pytest

from modelctl.evidence import CLIENT_GONE
from modelctl.traffic import Backend, Route, RoutingTable
from tests.clients.agents import PATIENCE
from tests.clients.model_app import event, streams
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, Step, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import get

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ids = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """A model server that does as it is told."""
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def told(server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router before it."""
    backends = (Backend(name="told", endpoints=(server.url,)),)
    table = RoutingTable(version=1, backends=backends, routes=(Route(name="told", arms=(baseline("told"),)),))
    router = RouterProcess(tmp_path_factory.mktemp("told"), table).ready()
    yield router
    assert router.stop() == 0


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def client_of(router: RouterProcess) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{router.port}", timeout=PATIENCE, trust_env=False)


def check_delays(delays: list[float]) -> None:
    """They are to be below 100 ms; a test leaves room for a loaded machine."""
    print(f"the server knew {max(delays) * 1e3:.1f} ms after the client had left, at the most of {len(delays)}")
    assert max(delays) < 1.0


WINDOWS: dict[str, tuple[Step, ...]] = {
    "before the head": (until_left,),
    "before the first event": (_HEAD, until_left),
    "between two events": (_HEAD, chunk(event(0)), until_left),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_client_that_leaves_stops_the_server_at_once(told: RouterProcess, server: ModelServer, window: str) -> None:
    server.on("/leave", *WINDOWS[window])
    delays = []
    for _ in range(10 if window != "before the head" else 2):
        path, name = f"/leave/{next(_ids)}", f"leaver-{next(_ids)}"
        with told.client() as client:
            client.send(get(path, f"X-Request-Id: {name}"))
            server.got(path)
            if window != "before the head":
                client.socket.recv(1_000)
            left = monotonic()
        assert eventually(lambda path=path: server.last(path).left_at > 0)  # type: ignore[misc]
        delays.append(server.last(path).left_at - left)
        assert told.served(name).answer.failure == CLIENT_GONE
    if window != "before the head":  # there a client that only sends no more is given a while
        check_delays(delays)


def test_a_client_that_leaves_ends_the_generator_of_an_application(base: str) -> None:
    delays = []
    for _ in range(10):
        before = len(streams.left_at)
        with httpx.Client(base_url=base, trust_env=False) as client, client.stream("GET", "/events?gap=0.002") as answer:
            assert next(answer.iter_raw()).startswith(b"id: 0\n")
            left = monotonic()
        assert eventually(lambda before=before: len(streams.left_at) > before)  # type: ignore[misc]
        delays.append(streams.left_at[-1] - left)
    check_delays(delays)


def lockstep(events: int) -> tuple[list[Step], list[threading.Event]]:
    """Steps that send one event each and wait until it was read."""
    turns = [threading.Event() for _ in range(events)]
    steps: list[Step] = [_HEAD]
    for number, turn in enumerate(turns):
        steps += [chunk(event(number)), wait(turn)]
    return [*steps, b"0\r\n\r\n"], turns


def test_an_event_is_there_before_the_next_is_sent(told: RouterProcess, server: ModelServer) -> None:
    steps, turns = lockstep(50)
    server.on("/lockstep", *steps)
    with client_of(told) as client, client.stream("GET", "/lockstep") as answer:
        pieces = answer.iter_raw()
        for number, turn in enumerate(turns):
            assert next(pieces) == event(number)
            turn.set()
        assert list(pieces) == []


def in_slices(data: bytes) -> Callable[[object], None]:
    def step(connection: object) -> None:
        for start in range(0, len(data), 3):
            connection.sendall(data[start : start + 3])  # type: ignore[attr-defined]
            sleep(0.0005)

    return step


def test_events_in_small_slices_and_many_at_once_are_the_same_bytes(told: RouterProcess, server: ModelServer) -> None:
    together = [event(number) for number in range(300)]
    server.on("/bytes", _HEAD, in_slices(chunk(event(1))), b"".join(map(chunk, together)), in_slices(chunk(event(2))), b"0\r\n\r\n")
    with client_of(told) as client, client.stream("GET", "/bytes") as answer:
        assert b"".join(answer.iter_raw()) == event(1) + b"".join(together) + event(2)


def test_a_hundred_streams_at_once_have_each_their_own_events(base: str) -> None:
    path = f"/events?count=40&gap=0.005&together={streams.begun + 100}"

    async def read(client: httpx.AsyncClient, number: int) -> bytes:
        async with client.stream("GET", path, headers={"x-number": str(number)}) as answer:
            return b"".join([piece async for piece in answer.aiter_raw()])

    async def read_all() -> list[bytes]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=base, limits=limits, timeout=PATIENCE, trust_env=False) as client:
            return await asyncio.gather(*(read(client, number) for number in range(100)))

    assert set(asyncio.run(read_all())) == {b"".join(map(event, range(40)))}
