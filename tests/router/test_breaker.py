"""A candidate that keeps failing: the baseline answers its requests, marked `fallback`, until it is well again."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl import evidence
from modelctl.policy import Breaker
from modelctl.router.breaker import CLOSED, FAILURE, HALF_OPEN, NEITHER, OPEN, SUCCESS, Circuit, judge
from modelctl.traffic import Arm, Backend, Route, RoutingTable, encode_table
from tests.router.conftest import baseline, candidate
from tests.router.control_plane import ControlPlane
from tests.router.model_server import ModelServer, Step, close, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import get, ok, post

POLICY = Breaker(consecutive=3, open_ms=1_000, probes=2)
OPEN_FOR = 1.3  # seconds: the clock of a worker ticks ten times a second
STAYS_OPEN = Breaker(consecutive=3, open_ms=600_000)
FAILS = ok(b"broken").replace(b"200 OK", b"500 No", 1)


def table(
    old: ModelServer,
    new: ModelServer,
    *,
    breaker: Breaker | None = POLICY,
    arms: Sequence[Arm] = (),
    version: int = 1,
    timeout_ms: int = 300,
) -> RoutingTable:
    """A candidate that answers everything, shown to nobody, with a preview address; the baseline has no share."""
    given_arms = tuple(arms) or (baseline("old", 0), candidate("new", answers=10_000))
    backends = (
        Backend(name="old", endpoints=(old.url,)),
        Backend(name="new", endpoints=(new.url,), response_timeout_ms=timeout_ms, connect_timeout_ms=300),
    )
    route = Route(name="all", arms=given_arms, rollout=3, stage=4, preview="new", breaker=breaker, salt="ab" * 16)
    return RoutingTable(version=version, backends=backends, routes=(route,))


def arm(router: RouterProcess, target: str = "/x", *fields: str) -> str:
    """Who answered."""
    return router.ask(get(target, *fields)).one(b"modelctl-arm").decode()


def trip(router: RouterProcess, new: ModelServer, step: Step = FAILS) -> None:
    """Lets the candidate fail until its breaker opens."""
    new.on("/", step)
    for _ in range(POLICY.consecutive):
        assert arm_of_failure(router) == "new"


def arm_of_failure(router: RouterProcess) -> str:
    """Who was to answer a request that fails; the router's own answers carry no arm."""
    reply = router.ask(get("/fails"))
    assert reply.status >= 500
    return "".join(value.decode() for value in reply.all(b"modelctl-arm")) or "new"


@pytest.mark.parametrize("step", [FAILS, close, until_left, b"SSH-2.0\r\n"], ids=["500", "reset", "timeout", "no HTTP"])
def test_a_candidate_that_keeps_failing_is_not_asked(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer, step: Step, request_id: str
) -> None:
    router = start(table(old, new, breaker=STAYS_OPEN))
    trip(router, new, step)
    before = len(new.arrivals)
    replies = [router.ask(post("/x", b"{}", f"X-Request-Id: {request_id}-{number}")) for number in range(5)]
    assert {(reply.status, reply.one(b"modelctl-arm")) for reply in replies} == {(200, b"old")}
    assert len(new.arrivals) == before
    context = router.served(f"{request_id}-0").context
    assert (context.reason, context.role, context.probability, context.instead_of) == ("fallback", "baseline", 10_000, "new")
    assert (context.route, context.rollout, context.stage, context.table) == ("all", 3, 4, 1)
    opened = [line for line in map(json.loads, router.events().splitlines()) if line["event.action"] == "breaker-open"]
    assert opened[0]["message"].startswith("new on route all keeps failing")


def test_a_failure_that_the_candidate_did_answer_stays_its_own(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer, request_id: str
) -> None:
    router = start(table(old, new))
    new.on("/", FAILS)
    router.ask(get("/x", f"X-Request-Id: {request_id}"))
    served = router.served(request_id)
    assert (served.context.role, served.context.reason, served.context.instead_of) == ("candidate", "only", "")
    assert (served.answer.backend, served.answer.status) == ("new", 500)


def test_a_candidate_that_is_away_trips_its_breaker_too(
    start: Callable[..., RouterProcess], old: ModelServer, closed_port: int
) -> None:
    backends = (
        Backend(name="old", endpoints=(old.url,)),
        Backend(name="new", endpoints=(f"http://127.0.0.1:{closed_port}",)),
    )
    arms = (baseline("old", 0), candidate("new", answers=10_000))
    router = start(RoutingTable(version=1, backends=backends, routes=(Route(name="all", arms=arms, breaker=STAYS_OPEN),)))
    assert [router.ask(get("/x")).status for _ in range(5)] == [502, 502, 502, 200, 200]


def test_a_recovered_candidate_is_asked_by_a_few_and_then_by_all(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    router = start(table(old, new))
    trip(router, new)
    go = threading.Event()
    new.forget()
    new.on("/", wait(go), ok(b"well"))
    sleep(OPEN_FOR)
    clients = [router.client() for _ in range(12)]
    for client in clients:
        client.send(get("/x"))
    assert eventually(lambda: len(new.arrivals) == POLICY.probes)
    assert eventually(lambda: len(old.arrivals) == 12 - POLICY.probes)
    sleep(0.1)
    assert len(new.arrivals) == POLICY.probes
    go.set()
    assert Counter(client.read().one(b"modelctl-arm") for client in clients) == {b"new": POLICY.probes, b"old": 10}
    for client in clients:
        client.socket.close()
    assert {arm(router) for _ in range(6)} == {"new"}
    assert router.events().count('"breaker-open"') == 1
    closed = [line for line in map(json.loads, router.events().splitlines()) if line["event.action"] == "breaker-closed"]
    assert [line["message"] for line in closed] == ["new on route all answers again"]


def test_a_probe_that_fails_opens_the_breaker_again(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    router = start(table(old, new))
    trip(router, new)
    sleep(OPEN_FOR)
    assert arm_of_failure(router) == "new"
    assert arm(router) == "old"
    assert router.events().count('"breaker-open"') == 2


def test_a_probe_whose_client_leaves_makes_room_for_another(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    breaker = Breaker(consecutive=3, open_ms=1_000, probes=1)
    router = start(table(old, new, breaker=breaker, timeout_ms=60_000))
    trip(router, new)
    new.forget()
    new.on("/hangs", until_left)
    sleep(OPEN_FOR)
    client = router.client()
    client.send(get("/hangs"))
    assert eventually(lambda: len(new.arrivals) == 1)
    assert arm(router) == "old"
    client.reset()
    assert eventually(lambda: arm(router) == "new")
    assert router.events().count('"breaker-open"') == 1


def test_the_preview_address_is_the_candidate_whatever_its_breaker_says(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    router = start(table(old, new, breaker=STAYS_OPEN))
    for _ in range(5):
        assert router.ask(get("/-/preview/all/x")).one(b"modelctl-arm") == b"new"
    new.on("/", FAILS)
    for _ in range(5):
        assert router.ask(get("/-/preview/all/x")).status == 500
    new.forget()
    assert arm(router) == "new"  # previews say nothing about the breaker
    trip(router, new)
    assert arm(router) == "old"
    assert router.ask(get("/-/preview/all/x")).one(b"modelctl-arm") == b"new"


def test_a_fallback_is_shown_to_nobody_and_others_keep_their_arm(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer, request_id: str
) -> None:
    arms = (baseline("old", 5_000), candidate("new", answers=5_000, shown=10_000))
    router = start(table(old, new, arms=arms, breaker=Breaker(consecutive=2, open_ms=600_000)))
    new.on("/", FAILS)
    replies = [router.ask(get("/x", f"X-Request-Id: {request_id}-{number}")) for number in range(40)]
    assert Counter(reply.status for reply in replies) == {500: 2, 200: 38}
    reasons = Counter(router.served(f"{request_id}-{number}").context.reason for number in range(40))
    assert reasons["fallback"] > 5
    for number in range(40):
        served = router.served(f"{request_id}-{number}")
        shown = {("new", "sent")} if (served.context.reason, served.context.role) == ("split", "baseline") else set()
        assert set(served.shown) == shown
        assert served.context.probability == 5_000


def test_a_breaker_outlives_a_new_table_and_a_new_policy_begins_anew(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    plane = ControlPlane()
    policy = STAYS_OPEN
    router = start(table(old, new, breaker=policy), control=plane.url)
    trip(router, new)
    new.forget()
    assert arm(router) == "old"
    plane.publish(encode_table(table(old, new, breaker=policy, version=2)), 2)
    assert eventually(lambda: plane.last["after"] == "2")
    assert arm(router) == "old"
    plane.publish(encode_table(table(old, new, breaker=Breaker(consecutive=4, open_ms=600_000), version=3)), 3)
    assert eventually(lambda: plane.last["after"] == "3")
    assert arm(router) == "new"
    plane.stop()


def test_without_a_breaker_a_failing_candidate_is_asked_on(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    router = start(table(old, new, breaker=None))
    new.on("/", FAILS)
    assert [router.ask(get("/x")).status for _ in range(20)] == [500] * 20


def test_too_many_requests_and_faults_of_the_client_open_no_breaker(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    router = start(table(old, new))
    for status in (b"429", b"404", b"400"):
        new.on("/", ok(b"no", "Retry-After: 2").replace(b"200 OK", status + b" No", 1))
        for _ in range(5):
            reply = router.ask(get("/x"))
            assert (reply.status, reply.one(b"modelctl-arm"), reply.one(b"retry-after")) == (int(status), b"new", b"2")


# -- the pure part


RESULTS = st.tuples(st.floats(0, 0.5), st.sampled_from([SUCCESS, FAILURE, NEITHER]))
POLICIES = st.builds(
    Breaker,
    consecutive=st.integers(1, 8),
    failure_percent=st.integers(1, 100),
    minimum_requests=st.integers(1, 20),
    open_ms=st.integers(100, 2_000),
    probes=st.integers(1, 4),
)


def test_what_an_answer_says() -> None:
    assert [judge(status, "") for status in (200, 304, 404, 422, 429, 500, 502, 503, 504)] == [0, 0, 0, 0, 2, 1, 1, 1, 1]
    failures = (evidence.CONNECT, evidence.TLS, evidence.TIMEOUT, evidence.RESET, evidence.TRUNCATED, evidence.INVALID)
    assert {judge(200, failure) for failure in failures} == {FAILURE}
    assert {judge(0, failure) for failure in (evidence.CLIENT_GONE, evidence.OVERLOAD)} == {NEITHER}


@given(POLICIES, st.lists(RESULTS, max_size=150))
def test_a_closed_circuit_opens_exactly_when_the_counts_say_so(policy: Breaker, results: list[tuple[float, int]]) -> None:
    circuit, now = Circuit(policy), 100.0
    past: list[tuple[int, int]] = []
    for later, verdict in results:
        now += later
        ticket = circuit.admit(now)
        assert ticket
        circuit.settle(ticket, now, verdict=verdict)
        if verdict != NEITHER:
            past.append((int(now), verdict))
        recent = [one for second, one in past if second > int(now) - 10]
        tail = next((place for place, (_, one) in enumerate(reversed(past)) if one == SUCCESS), len(past))
        often = len(recent) >= policy.minimum_requests and sum(recent) * 100 >= policy.failure_percent * len(recent)
        tripped = verdict == FAILURE and (tail >= policy.consecutive or often)
        assert circuit.state == (OPEN if tripped else CLOSED)
        if tripped:
            return


def opened(policy: Breaker, now: float) -> Circuit:
    """A circuit that has just opened."""
    circuit = Circuit(policy)
    while circuit.state == CLOSED:
        circuit.settle(circuit.admit(now), now, verdict=FAILURE)
    return circuit


@given(POLICIES, st.lists(st.tuples(st.booleans(), RESULTS), max_size=100))
def test_no_more_probes_than_allowed_are_under_way_and_only_successes_in_a_row_close(
    policy: Breaker, moves: list[tuple[bool, tuple[float, int]]]
) -> None:
    circuit, now = opened(policy, 100.0), 100.0
    since, row = now, 0
    flying: list[int] = []
    for ask, (later, verdict) in moves:
        now += later
        if ask:
            ticket = circuit.admit(now)
            if ticket:
                assert now - since >= policy.open_ms / 1000
                flying.append(ticket)
            assert circuit.state == HALF_OPEN or not ticket
            assert len(flying) <= policy.probes
        elif flying:
            circuit.settle(flying.pop(), now, verdict=verdict)
            row = row + 1 if verdict == SUCCESS else row
            if verdict == FAILURE:
                assert circuit.state == OPEN
                since, row, flying = now, 0, []
            assert (circuit.state == CLOSED) == (row >= policy.probes)
            if circuit.state == CLOSED:
                return


@given(POLICIES, st.integers(1, 50))
def test_late_answers_of_an_outage_change_nothing(policy: Breaker, late: int) -> None:
    circuit = Circuit(policy)
    tickets = [circuit.admit(100.0) for _ in range(late)]
    while circuit.state == CLOSED:
        circuit.settle(circuit.admit(100.0), 100.0, verdict=FAILURE)
    for ticket in tickets:
        circuit.settle(ticket, 100.0, verdict=SUCCESS)
    assert circuit.state == OPEN
    probe = circuit.admit(200.0)
    assert circuit.state == HALF_OPEN
    for ticket in tickets:
        circuit.settle(ticket, 200.0, verdict=FAILURE)
    assert circuit.state == HALF_OPEN
    circuit.settle(probe, 200.0, verdict=FAILURE)
    assert circuit.state == OPEN


def test_a_burst_of_good_answers_does_not_hide_an_outage() -> None:
    circuit = Circuit(Breaker(consecutive=100_000, failure_percent=50, minimum_requests=20))
    for number in range(1_000):  # all in the first second
        circuit.settle(circuit.admit(100.0), 100.0 + number / 2_000, verdict=SUCCESS)
    now, failures = 101.0, 0
    while circuit.state == CLOSED:
        circuit.settle(circuit.admit(now), now, verdict=FAILURE)
        now, failures = now + 0.1, failures + 1
    assert now < 110.5  # with the burst out of the window, the outage alone is left
