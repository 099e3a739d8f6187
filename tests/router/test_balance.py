"""Which endpoint gets a request: the choice between two, what an endpoint is taken to need, and how one that is new warms up."""

import threading
from collections import Counter
from collections.abc import Callable
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.router.balance import FLOOR, LONGEST_PENALTY, PENALTY, UNKNOWN, Candidate, Load, pick
from modelctl.router.watch import retry_after
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, pause
from tests.router.process import RouterProcess
from tests.router.wire import get, ok

Start = Callable[..., RouterProcess]
TIMES = st.floats(0.0, 1_000.0)
LATENCIES = st.floats(0.0, 100.0)
SAMPLES = st.lists(st.tuples(TIMES, LATENCIES), min_size=1, max_size=30).map(sorted)


# -- what an endpoint is taken to need


@given(SAMPLES, TIMES)
def test_the_estimate_lies_between_the_floor_and_the_slowest_answer(samples: list[tuple[float, float]], later: float) -> None:
    load = Load(0.0)
    for at, seconds in samples:
        load.answered(seconds, at)
    slowest = max([UNKNOWN, *(seconds for _, seconds in samples)])
    assert FLOOR <= load.seconds(samples[-1][0] + later) <= slowest * (1 + 1e-9)


@given(SAMPLES, LATENCIES)
def test_a_rise_is_followed_at_once(samples: list[tuple[float, float]], extra: float) -> None:
    load = Load(0.0)
    for at, seconds in samples:
        load.answered(seconds, at)
    now = samples[-1][0]
    slower = load.seconds(now) + extra + 0.001
    load.answered(slower, now)
    assert load.seconds(now) == pytest.approx(slower)


def test_a_fall_is_followed_within_half_a_minute() -> None:
    load = Load(0.0)
    load.answered(1.0, 0.0)
    estimates = []
    for tenth in range(1, 401):
        load.answered(0.01, tenth / 10)
        estimates.append(load.seconds(tenth / 10))
    assert estimates == sorted(estimates, reverse=True)
    assert 0.6 < estimates[49] < 0.65  # 5 s: half of the decay
    assert estimates[-1] < 0.03


def test_an_endpoint_that_nobody_asks_is_taken_to_get_faster_until_all_are_equal() -> None:
    slow, fast = Load(0.0), Load(0.0)
    slow.answered(2.0, 0.0)
    fast.answered(0.002, 0.0)
    assert slow.seconds(5.0) > slow.seconds(20.0) > fast.seconds(0.0)
    assert slow.seconds(200.0) == fast.seconds(200.0) == FLOOR


@given(st.floats(0.0, 1e6), st.floats(0.0, 600.0))
def test_a_failure_weighs_as_much_as_it_may_and_for_as_long(asked: float, later: float) -> None:
    load = Load(0.0)
    load.failed(0.0, asked)
    penalty = min(max(asked, PENALTY), LONGEST_PENALTY)
    expected = penalty if later < penalty else Load(0.0).seconds(later)
    assert load.seconds(later) == expected


def test_a_short_penalty_does_not_end_a_long_one() -> None:
    load = Load(0.0)
    load.failed(0.0, 60.0)
    load.failed(1.0)
    assert load.seconds(30.0) == 60.0


def test_a_request_that_was_given_up_says_how_slow_the_endpoint_is_at_least() -> None:
    load = Load(0.0)
    load.at_least(0.001, 0.0)
    assert load.seconds(0.0) == UNKNOWN
    load.at_least(3.0, 0.0)
    assert load.seconds(0.0) == 3.0


RETRY_AFTER = {
    b"Retry-After: 120": 120.0,
    b"retry-after:7 ": 7.0,
    b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT": 0.0,
    b"Retry-After: -1": 0.0,
    b"Retry-After: 12345678901": 0.0,
    b"Retry-After-Not: 5": 0.0,
}


@pytest.mark.parametrize("line", RETRY_AFTER)
def test_retry_after_is_read_in_seconds(line: bytes) -> None:
    assert retry_after([b"Content-Type: text/plain", line]) == RETRY_AFTER[line]


# -- the choice


def endpoints(*seconds: float, now: float = 0.0) -> list[Candidate]:
    """One for each estimate."""
    made = [Candidate(number, now) for number in range(len(seconds))]
    for candidate, estimate in zip(made, seconds, strict=True):
        candidate.load = Load(now, estimate)
    return made


def chances(*values: float) -> Callable[[], float]:
    """Chance that falls so."""
    left = list(values)
    return lambda: left.pop(0)


@given(st.lists(st.tuples(st.floats(0.001, 10.0), st.integers(0, 50)), min_size=2, max_size=8), st.data())
def test_of_two_that_differ_the_one_with_less_to_do_is_picked(loads: list[tuple[float, int]], data: st.DataObject) -> None:
    candidates = endpoints(*(seconds for seconds, _ in loads))
    for candidate, (_, busy) in zip(candidates, loads, strict=True):
        candidate.busy = busy
    drawn = data.draw(st.lists(st.integers(0, len(loads) - 1), min_size=2, max_size=2, unique=True))
    first, second = drawn
    rank = second - (second > first)
    picked = pick(candidates, 0.0, chance=chances((first + 0.5) / len(loads), (rank + 0.5) / (len(loads) - 1)))
    assert picked.number in drawn
    assert picked.score(0.0) == min(candidates[number].score(0.0) for number in drawn)


def test_every_pair_is_drawn_equally_often() -> None:
    candidates = endpoints(*[0.01] * 4)
    evenly = [(step + 0.5) / 12 for step in range(12)]
    drawn = Counter(pick(candidates, 0.0, chance=chances(*pair)).number for pair in product(evenly, evenly))
    assert set(drawn.values()) == {36}


def test_the_only_endpoint_needs_no_chance() -> None:
    assert pick(endpoints(1.0), 0.0, chance=chances()).number == 0


def simulate(
    candidates: list[Candidate], service: Callable[[int], float], *, clients: int, until: float
) -> list[tuple[float, int]]:
    """When each endpoint was asked by clients that ask again as soon as they have an answer."""
    random = Random(7)
    asked: list[tuple[float, int]] = []
    running: list[tuple[float, float, int]] = [(0.0, 0.0, -1)] * clients
    now = 0.0
    while now < until:
        running.sort()
        now, began, number = running.pop(0)
        if number >= 0:
            candidates[number].busy -= 1
            candidates[number].load.answered(now - began, now)
        picked = pick(candidates, now, chance=random.random)
        picked.busy += 1
        asked.append((now, picked.number))
        running.append((now + service(picked.number) * random.uniform(0.8, 1.2), now, picked.number))
    return asked


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("clients", [1, 4, 32])
def test_an_endpoint_that_is_ten_times_slower_gets_less_than_a_third_of_its_share(count: int, clients: int) -> None:
    candidates = endpoints(*[UNKNOWN] * count)
    asked = simulate(candidates, lambda number: 0.2 if number == 0 else 0.02, clients=clients, until=60.0)
    share = Counter(number for _, number in asked)[0] / len(asked)
    assert 0 < share < 0.3 / count


@pytest.mark.parametrize("clients", [1, 4, 32])
def test_equal_endpoints_get_equal_shares(clients: int) -> None:
    asked = simulate(endpoints(*[UNKNOWN] * 4), lambda number: 0.01, clients=clients, until=40.0)
    for count in Counter(number for _, number in asked).values():
        assert 0.15 < count / len(asked) < 0.35


# -- slow start


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("clients", [1, 4, 32])
def test_the_share_of_an_endpoint_that_joins_grows_in_a_straight_line(count: int, clients: int) -> None:
    candidates = endpoints(*[0.01] * count)
    candidates[0].join(0.0, 0.01, warm_up=10.0)
    asked = simulate(candidates, lambda number: clients / 2_000, clients=clients, until=10.0)
    fair = 1 / count
    for second in range(10):
        now = [number for at, number in asked if second <= at < second + 1]
        share = now.count(0) / len(now)
        assert abs(share / fair - (second + 0.5) / 10) < 0.35, f"{share / fair:.0%} of its share in second {second}"
    early = [number for at, number in asked if at < 2.5]
    late = [number for at, number in asked if at >= 7.5]
    assert early.count(0) / len(early) < 0.4 * late.count(0) / len(late)


def test_an_endpoint_that_joins_and_is_far_slower_does_not_get_its_share_by_force() -> None:
    candidates = endpoints(0.01, 0.01)
    candidates[0].join(0.0, 0.01, warm_up=10.0)
    asked = simulate(candidates, lambda number: 1.0 if number == 0 else 0.01, clients=8, until=10.0)
    assert [number for _, number in asked].count(0) < 0.02 * len(asked)


@given(st.integers(1, 6), st.floats(0.0, 1.0, exclude_max=True))
def test_when_all_have_just_joined_one_is_picked_all_the_same(count: int, chance: float) -> None:
    candidates = endpoints(*[0.01] * count)
    for candidate in candidates:
        candidate.join(0.0, 0.01, warm_up=10.0)
    assert pick(candidates, 0.0, chance=lambda: chance) in candidates


@given(st.floats(0.0, 20.0), st.floats(0.0, 10.0))
def test_the_share_never_shrinks_with_time(at: float, later: float) -> None:
    (candidate,) = endpoints(0.01)
    candidate.join(5.0, 0.01, warm_up=10.0)
    assert 0.0 <= candidate.share(at) <= candidate.share(at + later) <= 1.0
    assert candidate.share(15.0) == 1.0


# -- over real sockets


def test_a_slow_server_gets_few_of_many_requests(start: Start) -> None:
    servers = [ModelServer() for _ in range(3)]
    for server in servers:
        server.on("/", pause(0.02), ok())
    servers[0].on("/", pause(0.2), ok())
    backend = Backend(name="m", endpoints=tuple(server.url for server in servers))
    router = start(RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("m"),)),)))
    statuses: list[int] = []

    def ask() -> None:
        with router.client() as client:
            statuses.extend(client.ask(get("/x")).status for _ in range(50))

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert statuses == [200] * 300
    assert len(servers[0].arrivals) < 0.3 * 100
    assert min(len(server.arrivals) for server in servers[1:]) > 60
    assert router.stop() == 0
    for server in servers:
        server.stop()
