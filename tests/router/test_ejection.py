"""Endpoints that answer badly are left out for a while: which, how many at a time, for how long, and never all of them."""

import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.policy import Ejection
from modelctl.router.clock import Clock
from modelctl.router.ejection import Outcomes, most_out, outliers
from modelctl.router.target import Target
from modelctl.router.watch import Watch
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Reply, get, ok

Start = Callable[..., RouterProcess]
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class Observed:
    """A backend of `count` endpoints that nobody connects to: a test says what their answers were, and what time it is."""

    def __init__(self, count: int, rule: Ejection | None, *, slow_start_ms: int = 0) -> None:
        urls = tuple(f"http://127.0.0.1:{port}" for port in range(1, count + 1))
        self.clock = Clock(0.0)
        self.events: list[tuple[str, str]] = []
        backend = Backend(name="m", endpoints=urls, ejection=rule, slow_start_ms=slow_start_ms)
        self.target = Target(backend, self.clock, report=lambda event, text: self.events.append((event, text)))
        self.pass_time(0.0)

    def watch(self, number: int) -> Watch:
        watch = self.target.pools[number].watch
        assert watch is not None
        return watch

    def answer(self, number: int, status: int, times: int = 1) -> None:
        """The endpoint answers so."""
        for _ in range(times):
            self.watch(number).on_head(0.0, status, lines=[])
            self.watch(number).on_end(status)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.target.sweep(self.clock.now)

    @property
    def out(self) -> list[int]:
        """The endpoints that are left out."""
        return [number for number, state in enumerate(self.target.endpoints_state()) if not state.available]


RULE = Ejection(consecutive=5, interval_ms=10_000, base_ms=30_000, longest_ms=90_000)


def test_failures_in_a_row_eject_at_once_and_fewer_do_not() -> None:
    seen = Observed(3, RULE)
    seen.answer(1, 500, 4)
    assert seen.out == []
    seen.answer(1, 503)
    assert seen.out == [1]
    assert seen.events == [("endpoint-ejected", "http://127.0.0.1:2 of backend 'm': 5 failures in a row; out for 30 s")]
    state = seen.target.endpoints_state()[1]
    assert (state.url, state.available, state.why, state.ejections) == (
        "http://127.0.0.1:2",
        False,
        "ejected for another 30.0 s",
        1,
    )


@pytest.mark.parametrize("status", [200, 301, 404, 429])
def test_any_other_answer_ends_the_row(status: int) -> None:
    seen = Observed(3, RULE)
    for _ in range(10):
        seen.answer(1, 500, 4)
        seen.answer(1, status)
    assert seen.out == []


def test_a_request_without_an_answer_and_a_connection_that_fails_are_failures() -> None:
    seen = Observed(3, RULE)
    for _ in range(3):
        seen.watch(0).on_broken(0.0)
    for _ in range(2):
        seen.watch(0).on_unreachable()
    assert seen.out == [0]


def test_a_client_that_leaves_says_nothing() -> None:
    seen = Observed(3, RULE)
    seen.answer(1, 500, 4)
    seen.watch(1).on_left(0.0)
    assert seen.out == []
    seen.answer(1, 500)
    assert seen.out == [1]


def test_the_nth_ejection_is_n_times_as_long_up_to_the_limit_and_good_intervals_count_back() -> None:
    seen = Observed(2, RULE)
    for seconds in (30.0, 60.0, 90.0, 90.0):
        seen.answer(0, 500, 5)
        assert seen.out == [0]
        seen.pass_time(seconds - 0.5)
        assert seen.out == [0]
        seen.pass_time(0.5)
        assert seen.out == []
    assert [event for event, _ in seen.events] == ["endpoint-ejected", "endpoint-returned"] * 4
    for _ in range(5):
        seen.pass_time(10.0)
    seen.answer(0, 500, 5)
    seen.pass_time(30.0)
    assert seen.out == []


def test_an_endpoint_that_comes_back_has_a_clean_slate() -> None:
    seen = Observed(2, RULE)
    seen.answer(0, 500, 5)
    seen.pass_time(30.0)
    seen.answer(0, 500, 4)
    assert seen.out == []
    seen.answer(0, 500)
    assert seen.out == [0]


def test_an_endpoint_is_not_ejected_twice_for_the_same_failures() -> None:
    rule = Ejection(consecutive=5, interval_ms=60_000, base_ms=1_000, minimum_endpoints=2, minimum_requests=5, deviations=5)
    seen = Observed(3, rule)
    seen.answer(0, 500, 5)
    seen.answer(1, 200, 50)
    seen.answer(2, 200, 50)
    seen.pass_time(1.0)
    seen.pass_time(59.0)
    assert seen.out == []


def test_an_endpoint_that_comes_back_warms_up_and_has_the_speed_of_the_others() -> None:
    seen = Observed(3, RULE, slow_start_ms=10_000)
    seen.answer(0, 500, 5)
    seen.pass_time(30.0)
    candidate = seen.target.pools[0].candidate
    assert [candidate.share(30.0), candidate.share(35.0), candidate.share(40.0)] == [0.0, 0.5, 1.0]
    assert candidate.load.seconds(30.0) == seen.target.pools[1].candidate.load.seconds(30.0)


def test_without_a_rule_nobody_is_ejected() -> None:
    seen = Observed(3, None)
    seen.answer(0, 500, 100)
    seen.pass_time(100.0)
    assert seen.out == []


@given(st.integers(2, 200), st.integers(0, 100))
def test_how_many_may_be_out(count: int, percent: int) -> None:
    most = most_out(count, Ejection(most_percent=percent))
    assert most < count
    assert most <= max(1, count * percent / 100)
    assert (most == 0) == (percent == 0)


def test_nine_bad_endpoints_of_ten_are_not_ejected_beyond_the_limit() -> None:
    seen = Observed(10, RULE)
    for _ in range(20):
        for number in range(1, 10):
            seen.answer(number, 500)
        seen.answer(0, 200)
        assert len(seen.out) <= 5
    assert len(seen.out) == 5
    assert 0 not in seen.out


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.integers(0, 9), st.integers(1, 8)),
        st.tuples(st.just("succeed"), st.integers(0, 9), st.integers(1, 8)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 60)),
    ),
    max_size=60,
)


@given(st.integers(2, 10), st.integers(0, 100), ACTIONS)
def test_whatever_happens_the_limit_holds_and_somebody_is_left(
    count: int, percent: int, actions: list[tuple[str, int, int]]
) -> None:
    rule = Ejection(consecutive=3, most_percent=percent, minimum_endpoints=2, minimum_requests=4, deviations=10)
    seen = Observed(count, rule)
    for action, number, amount in actions:
        if action == "wait":
            seen.pass_time(float(amount))
        else:
            seen.answer(number % count, 500 if action == "fail" else 200, amount)
        assert len(seen.out) <= most_out(count, rule)
        picked = seen.target.other_than(())
        assert picked is not None
        if len(seen.out) * 2 <= count:
            assert picked.candidate.number not in seen.out
    # However bad it was: everybody comes back when the failures end.
    seen.pass_time(301.0)
    seen.pass_time(301.0)
    assert seen.out == []


# -- success rates


def outcome(succeeded: int, failed: int) -> Outcomes:
    made = Outcomes()
    made.succeeded, made.failed = succeeded, failed
    return made


def test_an_endpoint_far_below_the_mean_is_an_outlier() -> None:
    crowd = [outcome(990, 10) for _ in range(9)]
    assert outliers([*crowd, outcome(600, 400)], Ejection()) == [9]
    assert outliers([*crowd, outcome(600, 400), outcome(100, 900)], Ejection(deviations=10)) == [10, 9]


def test_too_few_endpoints_or_requests_have_no_outliers() -> None:
    assert outliers([outcome(990, 10)] * 3 + [outcome(0, 1_000)], Ejection()) == []
    assert outliers([outcome(990, 10)] * 9 + [outcome(0, 99)], Ejection()) == []


def test_equal_rates_have_no_outlier_however_their_mean_is_rounded() -> None:
    assert outliers([outcome(414, 189)] * 3, Ejection(minimum_endpoints=2, deviations=1)) == []


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12))
def test_an_outlier_is_below_the_mean_and_never_all_are(pairs: list[tuple[int, int]]) -> None:
    rule = Ejection(minimum_endpoints=2, minimum_requests=1, deviations=1)
    found = outliers([outcome(*pair) for pair in pairs], rule)
    rates = {number: good / (good + bad) for number, (good, bad) in enumerate(pairs) if good + bad}
    assert len(found) < max(1, len(rates))
    if rates:
        mean = sum(rates.values()) / len(rates)
        assert all(rates[number] < mean for number in found)
        assert [rates[number] for number in found] == sorted(rates[number] for number in found)


def test_an_endpoint_that_fails_now_and_then_is_ejected_at_the_end_of_the_interval() -> None:
    seen = Observed(10, RULE)
    for number in range(10):
        for _ in range(50):
            seen.answer(number, 200, 3)
            seen.answer(number, 500 if number == 4 else 200)
    assert seen.out == []
    seen.pass_time(10.0)
    assert seen.out == [4]
    assert seen.events[0][1].endswith("50 of 200 requests failed, far more than elsewhere; out for 30 s")
    seen.pass_time(30.0)
    assert seen.out == []


# -- over real sockets


@pytest.fixture
def servers() -> Iterator[list[ModelServer]]:
    made = [ModelServer() for _ in range(3)]
    yield made
    for server in made:
        server.stop()
        assert server.faults == []


def table(servers: list[ModelServer], rule: Ejection, *more: str) -> RoutingTable:
    urls = (*(server.url for server in servers), *more)
    backend = Backend(name="m", endpoints=urls, ejection=rule, slow_start_ms=0)
    return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("m"),)),))


def burst(router: RouterProcess, servers: list[ModelServer], go: threading.Event) -> list[Reply]:
    """Thirty requests at the same time; `go` is set when all have arrived."""
    clients = [router.client() for _ in range(30)]
    for client in clients:
        client.send(get("/x"))
    assert eventually(lambda: sum(len(server.arrivals) for server in servers) == 30)
    go.set()
    replies = [client.read() for client in clients]
    for client in clients:
        client.socket.close()
    return replies


def test_a_server_that_always_fails_is_left_out_and_asked_again_after_the_base_time(
    servers: list[ModelServer], start: Start
) -> None:
    go = threading.Event()
    good, also_good, bad = servers
    for server in (good, also_good):
        server.on("/", wait(go), ok())
    bad.on("/", wait(go), FAILED)
    router = start(table(servers, Ejection(consecutive=5, base_ms=1_500)))
    replies = burst(router, servers, go)
    assert {reply.status for reply in replies} == {200, 500}
    assert eventually(lambda: '"endpoint-ejected"' in router.events())
    ejected = monotonic()
    asked = len(bad.arrivals)
    assert {router.ask(get("/y")).status for _ in range(100)} == {200}
    assert len(bad.arrivals) == asked
    bad.forget()
    assert eventually(lambda: router.ask(get("/z")).status == 200 and bool(bad.arrivals))
    assert monotonic() - ejected > 1.2
    assert '"endpoint-returned"' in router.events()
    assert {router.ask(get("/z")).status for _ in range(50)} == {200}
    assert router.stop() == 0


def test_a_server_that_is_too_busy_is_spared_but_not_ejected(servers: list[ModelServer], start: Start) -> None:
    go = threading.Event()
    for server in servers[:2]:
        server.on("/", wait(go), ok())
    servers[2].on("/", wait(go), BUSY)
    router = start(table(servers, Ejection(consecutive=2)))
    assert {reply.status for reply in burst(router, servers, go)} == {200, 429}
    asked = len(servers[2].arrivals)
    assert {router.ask(get("/y")).status for _ in range(50)} == {200}
    assert len(servers[2].arrivals) == asked
    assert "ejected" not in router.events()
    assert router.stop() == 0


def test_a_closed_port_beside_open_ones_costs_no_client_an_error(
    servers: list[ModelServer], start: Start, closed_port: int
) -> None:
    rule = Ejection(consecutive=3, base_ms=300)
    router = start(table(servers, rule, f"http://127.0.0.1:{closed_port}"))
    statuses: list[int] = []

    def ask() -> None:
        for _ in range(60):
            statuses.append(router.ask(get("/x")).status)

    clients = [threading.Thread(target=ask) for _ in range(5)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert statuses == [200] * 300
    assert router.stop() == 0
