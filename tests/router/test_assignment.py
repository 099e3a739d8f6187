"""Who answers whom: sticky, close to the shares, and moving only towards the arm whose share grows."""

from collections import Counter
from collections.abc import Callable
from math import sqrt

from modelctl.traffic import Backend, Route, RoutingTable, assign
from tests.router.conftest import baseline, candidate
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess
from tests.router.wire import get

SALT = "00112233445566778899aabbccddeeff"


def split(old: ModelServer, new: ModelServer, share: int, unit: str = "header:x-user") -> RoutingTable:
    """`share` basis points to the candidate."""
    backends = (Backend(name="old", endpoints=(old.url,)), Backend(name="new", endpoints=(new.url,)))
    arms = (baseline("old", 10_000 - share), candidate("new", answers=share))
    return RoutingTable(version=share + 1, backends=backends, routes=(Route(name="all", arms=arms, unit=unit, salt=SALT),))


def arms_of(router: RouterProcess, users: int) -> list[str]:
    """Which arm each user gets."""
    with router.client() as client:
        return [client.ask(get("/", f"X-User: user-{user}")).one(b"modelctl-arm").decode() for user in range(users)]


def within(count: int, total: int, share: float) -> bool:
    """Whether `count` is within five standard deviations of what chance gives: wrong once in two million runs."""
    return abs(count - total * share) <= 5 * sqrt(total * share * (1 - share))


def test_a_unit_stays_on_its_arm_across_connections_and_restarts(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    first = start(split(old, new, 5_000))
    before = arms_of(first, 200)
    assert arms_of(first, 200) == before
    assert first.stop() == 0
    assert arms_of(start(split(old, new, 5_000)), 200) == before


def test_raising_a_share_moves_units_only_into_the_candidate(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    first = start(split(old, new, 1_000))
    before = arms_of(first, 1_000)
    first.stop()
    after = arms_of(start(split(old, new, 2_500)), 1_000)
    moved = Counter(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
    assert set(moved) == {("old", "new")}
    assert within(moved["old", "new"], 1_000, 0.15)
    assert within(before.count("new"), 1_000, 0.10)
    assert within(after.count("new"), 1_000, 0.25)


def test_the_router_decides_as_the_function_does(start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer) -> None:
    table = split(old, new, 3_000)
    expected = [assign(table.routes[0], f"user-{user}".encode()).arm.backend for user in range(300)]
    assert arms_of(start(table), 300) == expected


def test_requests_without_the_units_field_are_split_by_themselves(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    router = start(split(old, new, 5_000))
    with router.client() as client:
        got = Counter(client.ask(get("/")).one(b"modelctl-arm") for _ in range(600))
    assert within(got[b"new"], 600, 0.5)


def test_a_request_split_is_decided_by_the_request_id(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    table = split(old, new, 5_000, "request")
    router = start(table)
    with router.client() as client:
        for number in range(100):
            got = client.ask(get("/", f"X-Request-Id: job-{number}")).one(b"modelctl-arm").decode()
            assert got == assign(table.routes[0], f"job-{number}".encode()).arm.backend


def test_an_arm_without_a_share_gets_nothing(start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer) -> None:
    assert set(arms_of(start(split(old, new, 0)), 300)) == {"old"}
    assert new.arrivals == []
