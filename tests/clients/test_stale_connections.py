"""Connections that servers close while requests come: the answer is the model's, at whatever moment the request was sent."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import httpx
import pytest

from modelctl.evidence import Served
from modelctl.traffic import Backend, Route, RoutingTable
from tests.clients.agents import PATIENCE
from tests.clients.model_app import UvicornServer
from tests.router.conftest import baseline
from tests.router.process import RouterProcess
from tests.router.toxic import Toxic, ToxicProxy

KEEP_ALIVE = 1
CLIENTS = 12
ROUNDS = 20  # until a request has met the end of its connection, which the first two mostly do


@pytest.fixture
def impatient() -> Iterator[UvicornServer]:
    """It closes a connection that has idled for a second."""
    server = UvicornServer(keep_alive=KEEP_ALIVE)
    yield server
    server.stop()


@pytest.fixture
def far(impatient: UvicornServer) -> Iterator[ToxicProxy]:
    """A long way to it: 50 ms in each direction."""
    proxy = ToxicProxy(int(impatient.url.rpartition(":")[2]))
    proxy.suffer(up=Toxic(latency=0.05), down=Toxic(latency=0.05))
    yield proxy
    proxy.stop()


def table(url: str, pool_idle_ms: int) -> RoutingTable:
    backends = (Backend(name="m", endpoints=(url,), pool_idle_ms=pool_idle_ms),)
    return RoutingTable(version=1, backends=backends, routes=(Route(name="m", arms=(baseline("m"),)),))


def asked(base: str, method: str, *, every: tuple[float, float], rounds: int) -> Counter[int]:
    """The statuses that clients get who all ask at once, again and again, with pauses of any length between two bounds."""
    chance = random.Random(method)
    statuses: Counter[int] = Counter()
    with ThreadPoolExecutor(CLIENTS) as pool, httpx.Client(base_url=base, timeout=PATIENCE, trust_env=False) as client:

        def one(pause: float) -> int:
            sleep(pause)
            return client.request(method, "/slow/0.02").status_code

        started = monotonic()
        for number in range(rounds):
            statuses.update(pool.map(one, [chance.uniform(0, every[1] - every[0]) for _ in range(CLIENTS)]))
            sleep(max(0.0, started + (number + 1) * every[0] - monotonic()))
    return statuses


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_server_that_closes_while_a_request_is_under_way_costs_no_idempotent_one(
    start: Callable[..., RouterProcess], impatient: UvicornServer, far: ToxicProxy, method: str
) -> None:
    """The pool keeps connections longer than the server, and the way is long: many requests meet the end of their connection."""
    router = start(table(far.url, 60_000))
    base = f"http://127.0.0.1:{router.ready().port}"
    attempts: Counter[int] = Counter()
    for _ in range(ROUNDS):
        assert asked(base, method, every=(1.0, 1.2), rounds=2) == {200: 2 * CLIENTS}
        attempts = Counter(record.attempts for record in router.records() if isinstance(record, Served))
        if attempts[2]:
            break
    print(f"{attempts[2]} of {attempts.total()} requests met the end of their connection")
    assert set(attempts) == {1, 2}


def test_no_method_meets_a_closed_connection_when_the_pool_is_shorter_than_the_servers(
    start: Callable[..., RouterProcess], uvicorn_server: UvicornServer
) -> None:
    router = start(table(uvicorn_server.url, 4_000))  # both defaults: 4 s here, 5 s there
    base = f"http://127.0.0.1:{router.ready().port}"
    assert asked(base, "POST", every=(4.9, 5.1), rounds=2) == {200: 2 * CLIENTS}
