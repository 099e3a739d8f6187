"""Connections that servers close while requests come: the answer is the model's, at whatever moment the request was sent."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import httpx
import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.clients.agents import PATIENCE
from tests.clients.model_app import UvicornServer
from tests.router.conftest import baseline
from tests.router.process import RouterProcess

KEEP_ALIVE = 1
CLIENTS = 12


@pytest.fixture
def impatient() -> Iterator[UvicornServer]:
    """It closes a connection that has idled for a second."""
    server = UvicornServer(keep_alive=KEEP_ALIVE)
    yield server
    server.stop()


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


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_server_that_closes_as_a_request_comes_costs_no_idempotent_one(
    start: Callable[..., RouterProcess], impatient: UvicornServer, method: str
) -> None:
    router = start(table(impatient.url, 60_000))  # longer than the server keeps a connection: every round may meet its end
    base = f"http://127.0.0.1:{router.ready().port}"
    assert asked(base, method, every=(0.95, 1.05), rounds=6) == {200: 6 * CLIENTS}


def test_no_method_meets_a_closed_connection_when_the_pool_is_shorter_than_the_servers(
    start: Callable[..., RouterProcess], uvicorn_server: UvicornServer
) -> None:
    router = start(table(uvicorn_server.url, 4_000))  # both defaults: 4 s here, 5 s there
    base = f"http://127.0.0.1:{router.ready().port}"
    assert asked(base, "POST", every=(4.9, 5.1), rounds=3) == {200: 3 * CLIENTS}
