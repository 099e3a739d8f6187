"""When a request is sent again and when never: stale connections, opt-in retries, their budget and their deadline."""

import socket
import threading
from collections.abc import Callable, Iterator
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.policy import Retries, RetryOn
from modelctl.router.refusal import Refusal
from modelctl.router.retry import NEVER, PAID, STALE, RetryBudget, harmless, way
from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.router.conftest import SHORT, Models, baseline, candidate
from tests.router.model_server import Closed, ModelServer, Step, close, pause, reset, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.test_refusals import explained
from tests.router.wire import Incomplete, get, ok, post, post_chunked

ANY = tuple(RetryOn)
KEY = "Idempotency-Key: k1"
FAILING: dict[str, Step] = {"close": close, "reset": reset, "503": b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"}


def backends(old: ModelServer, new: ModelServer, closed_port: int) -> tuple[Backend, ...]:
    many = Retries(on=ANY, attempts=2, budget_minimum=1_000)
    dead = f"http://127.0.0.1:{closed_port}"
    return (
        Backend(name="plain", endpoints=(old.url,)),
        Backend(name="copied", endpoints=(f"{old.url}/copies",)),
        Backend(name="pure", endpoints=(old.url,), idempotent=True),
        Backend(name="both", endpoints=(old.url, new.url), retries=many, response_timeout_ms=3_000),
        *(Backend(name=f"both-{how}", endpoints=(old.url, new.url), retries=many) for how in FAILING),
        Backend(name="persistent", endpoints=(old.url,), retries=Retries(on=ANY, attempts=4, budget_minimum=1_000)),
        Backend(name="on-reset", endpoints=(old.url,), retries=Retries(budget_minimum=1_000)),
        Backend(name="half-dead", endpoints=(old.url, dead), retries=many),
        Backend(
            name="hasty",
            endpoints=(old.url,),
            response_timeout_ms=1_000,
            retries=Retries(on=(RetryOn.TIMEOUT,), attempts=5, attempt_timeout_ms=600, budget_minimum=1_000),
        ),
        Backend(name="stingy", endpoints=(old.url, new.url), retries=Retries(on=(RetryOn.UNAVAILABLE,), attempts=3)),
        Backend(name="narrow", endpoints=(old.url,), max_inflight=1, max_pending=2, retries=Retries(on=ANY, budget_minimum=1_000)),
    )


@pytest.fixture(scope="module")
def retrying(_models: Models, closed_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router with a route for each backend, at the backend's name."""
    table = backends(_models.old, _models.new, closed_port)
    routes = [Route(name=one.name, path=f"/{one.name}", arms=(baseline(one.name),)) for one in table]
    seen = (baseline("both"), candidate("copied", shown=10_000))
    routes.append(Route(name="seen", path="/seen", arms=seen, capture=Capture(request_bytes=10, shadow_bytes=100_000)))
    router = RouterProcess(
        tmp_path_factory.mktemp("retrying"), RoutingTable(version=1, backends=table, routes=tuple(routes)), settings=SHORT
    )
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()


def once_per_connection(then: Step) -> Callable[[socket.socket], None]:
    """A step that lets the first request of each connection pass; the later ones meet `then`."""
    seen: set[socket.socket] = set()

    def step(connection: socket.socket) -> None:
        if connection not in seen:
            seen.add(connection)
        elif isinstance(then, bytes):
            connection.sendall(then)
            raise Closed
        else:
            then(connection)

    return step


def in_turn(*steps: Step) -> Callable[[socket.socket], None]:
    """A step that is another one for each request."""
    left = iter(steps)

    def step(connection: socket.socket) -> None:
        now = next(left)
        if isinstance(now, bytes):
            connection.sendall(now)
        else:
            now(connection)

    return step


def warm(router: RouterProcess, path: str) -> None:
    """Leaves one connection in the pool that has carried an answer."""
    assert router.ask(get(f"{path}/warm")).status == 200


def stale(router: RouterProcess, old: ModelServer, path: str, request: bytes, *, then: Step = close) -> tuple[int, int]:
    """The status of `request` on a connection that its server ends without an answer, and how often the request arrived."""
    old.on(path, once_per_connection(then), ok(b"fresh"))
    warm(router, path)
    before = len(old.arrivals)
    return router.ask(request).status, len(old.arrivals) - before


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
@pytest.mark.parametrize("then", [close, reset], ids=["orderly", "reset"])
def test_what_is_harmless_twice_moves_from_a_stale_connection_to_a_fresh_one(
    retrying: RouterProcess, old: ModelServer, method: str, then: Step, request_id: str
) -> None:
    request = get("/plain/x", f"X-Request-Id: {request_id}", method=method)
    assert stale(retrying, old, "/plain", request, then=then) == (200, 2)
    served = retrying.served(request_id)
    assert (served.attempts, served.answer.status, served.answer.failure) == (2, 200, "")


def test_a_post_is_never_sent_twice_on_its_own(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/plain", once_per_connection(close), ok())
    warm(retrying, "/plain")
    explained(retrying.ask(post("/plain/x", b"{}", f"X-Request-Id: {request_id}")), Refusal.RESET)
    assert len(old.got("/plain/x")) == 1
    served = retrying.served(request_id)
    assert (served.attempts, served.answer.failure) == (1, "reset")


@pytest.mark.parametrize("make", [post, post_chunked], ids=["length", "chunks"])
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 60_000], ids=["empty", "small", "large"])
def test_a_post_with_an_idempotency_key_is_and_arrives_whole(
    retrying: RouterProcess, old: ModelServer, make: Callable[..., bytes], body: bytes
) -> None:
    old.on("/plain", once_per_connection(close), ok(b"fresh"))
    warm(retrying, "/plain")
    if make is post:
        request = post("/plain/x", body, KEY)
    else:
        request = post_chunked("/plain/x", *filter(None, (body[:1], body[1:])), fields=(KEY,))
    assert retrying.ask(request).body == b"fresh"
    first, second = old.got("/plain/x", 2)
    assert first.body == second.body == body
    assert first.one(b"idempotency-key") == second.one(b"idempotency-key") == b"k1"
    assert first.one(b"x-request-id") == second.one(b"x-request-id")
    assert first.connection != second.connection


def test_a_post_to_a_backend_that_says_it_is_idempotent_is_sent_twice(retrying: RouterProcess, old: ModelServer) -> None:
    assert stale(retrying, old, "/pure", post("/pure/x", b"{}")) == (200, 2)


def test_a_body_that_is_not_kept_whole_is_not_sent_twice(retrying: RouterProcess, old: ModelServer) -> None:
    assert stale(retrying, old, "/plain", post("/plain/x", b"x" * 100_000, KEY)) == (502, 1)


def test_half_an_answer_is_not_asked_for_again(retrying: RouterProcess, old: ModelServer) -> None:
    assert stale(retrying, old, "/plain", get("/plain/x"), then=b"HTTP/1.1 200 OK\r\nContent-Le") == (502, 1)
    assert stale(retrying, old, "/plain", get("/plain/x"), then=b"HTTP/1.1 103 Early Hints\r\n\r\n") == (502, 1)


def test_a_fresh_connection_that_breaks_is_not_stale(retrying: RouterProcess, old: ModelServer) -> None:
    old.on("/plain", close)
    old.close_connections()
    sleep(0.05)
    explained(retrying.ask(get("/plain/x")), Refusal.RESET)
    assert len(old.got("/plain/x")) == 1


def test_a_stale_connection_is_given_up_once(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    warm(retrying, "/plain")
    old.on("/plain", close)
    explained(retrying.ask(get("/plain/x", f"X-Request-Id: {request_id}")), Refusal.RESET)
    assert len(old.got("/plain/x", 2)) == 2
    assert retrying.served(request_id).attempts == 2


@pytest.mark.parametrize("make", [get, post], ids=["GET", "POST"])
def test_a_connection_that_its_server_closed_is_noticed_before_it_is_used(
    retrying: RouterProcess, old: ModelServer, make: Callable[..., bytes], request_id: str
) -> None:
    old.on("/plain/first", ok(), pause(0.05), close)
    assert retrying.ask(post("/plain/first", b"{}")).status == 200
    sleep(0.15)
    request = post("/plain/x", b"{}", f"X-Request-Id: {request_id}") if make is post else get("/plain/x")
    assert retrying.ask(request).status == 200
    assert len(old.got("/plain/x")) == 1


@pytest.mark.parametrize("how", FAILING)
def test_a_failed_attempt_moves_to_the_other_endpoint_and_is_one_prediction(
    retrying: RouterProcess, old: ModelServer, new: ModelServer, how: str, request_id: str
) -> None:
    path = f"/both-{how}"
    old.on(path, FAILING[how])
    new.on(path, pause(0.1), ok())  # so slow that the other one is asked as well
    replies = [retrying.ask(post(f"{path}/x", b"{}", KEY, f"X-Request-Id: {request_id}-{number}")) for number in range(12)]
    assert {reply.status for reply in replies} == {200}
    asked_twice = {arrival.one(b"x-request-id").decode() for arrival in old.got(path)}
    assert {arrival.one(b"idempotency-key") for arrival in old.arrivals + new.arrivals} == {b"k1"}
    for number in range(12):
        served = retrying.served(f"{request_id}-{number}")
        assert served.attempts == 1 + (f"{request_id}-{number}" in asked_twice)
        assert (served.answer.status, served.answer.failure, served.answer.body) == (200, "", b"{}")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_answer_to_try_again_after_is_dropped_and_the_last_one_passes(
    retrying: RouterProcess, old: ModelServer, status: int, request_id: str
) -> None:
    bodies = [b"one", b"two", b"three", b"four", b"five"]
    old.on("/persistent", in_turn(*(_answer(status, body, "Retry-After: 7") for body in bodies)))
    with retrying.client() as client:
        reply = client.ask(get("/persistent/x", f"X-Request-Id: {request_id}"))
        assert (reply.status, reply.body, reply.one(b"retry-after")) == (status, b"four", b"7")
        old.forget()
        assert client.ask(get("/persistent/after")).status == 200
    assert retrying.served(request_id).attempts == 4


def _answer(status: int, body: bytes, *fields: str) -> bytes:
    return ok(body, *fields).replace(b"200 OK", b"%d No" % status, 1)


def test_an_answer_that_fails_at_length_is_dropped_too(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    long = b"HTTP/1.1 503 No\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 10
    old.on("/persistent", in_turn(long, ok(b"second")))
    assert retrying.ask(get("/persistent/x", f"X-Request-Id: {request_id}")).body == b"second"
    served = retrying.served(request_id)
    assert (served.attempts, served.answer.body, served.answer.size) == (2, b"second", 6)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_other_answers_pass_as_they_are(retrying: RouterProcess, old: ModelServer, status: int, request_id: str) -> None:
    old.on("/persistent", _answer(status, b"slow down", "Retry-After: 2"))
    reply = retrying.ask(get("/persistent/x", f"X-Request-Id: {request_id}"))
    assert (reply.status, reply.body, reply.one(b"retry-after")) == (status, b"slow down", b"2")
    assert retrying.served(request_id).attempts == 1


def test_an_unmarked_post_gets_the_first_answer(retrying: RouterProcess, old: ModelServer) -> None:
    old.on("/persistent", _answer(503, b"busy"))
    assert retrying.ask(post("/persistent/x", b"{}")).body == b"busy"
    assert len(old.got("/persistent")) == 1


def test_only_what_the_backend_names_is_tried_again(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/on-reset", _answer(503, b"busy"))
    assert retrying.ask(get("/on-reset/x")).status == 503
    old.on("/on-reset", close)
    explained(retrying.ask(get("/on-reset/x", f"X-Request-Id: {request_id}")), Refusal.RESET)
    assert retrying.served(request_id).attempts == 2


def test_after_the_first_byte_nothing_is_tried_again(retrying: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    for model in (old, new):
        model.on("/both", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", pause(0.05), reset)
    with pytest.raises(Incomplete) as cut:
        retrying.ask(get("/both/x"))
    assert cut.value.body == b"half"
    assert len(old.arrivals + new.arrivals) == 1


def test_the_deadline_of_the_request_dominates(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/hasty", until_left)
    reply = retrying.ask(get("/hasty/x", f"X-Request-Id: {request_id}"))
    explained(reply, Refusal.TIMEOUT)
    assert 0.9 < reply.seconds < 2.5
    assert retrying.served(request_id).attempts == 2
    sleep(0.7)
    assert len(old.got("/hasty", 2, seconds=0)) == 2


def test_an_attempt_that_takes_too_long_is_given_up_for_another(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/hasty", in_turn(until_left, ok(b"second")))
    assert retrying.ask(get("/hasty/x", f"X-Request-Id: {request_id}")).body == b"second"
    assert retrying.served(request_id).attempts == 2
    assert eventually(lambda: old.arrivals[0].left_at > 0)


def test_the_time_of_an_attempt_begins_when_the_upload_is_over(retrying: RouterProcess, old: ModelServer) -> None:
    old.on("/hasty", pause(0.3), ok(b"done"))
    with retrying.client() as client:
        client.send(get("/hasty/x", "Content-Length: 4", method="PUT"))
        for _ in range(4):
            sleep(0.4)
            client.send(b"x")
        assert client.read().body == b"done"
    assert len(old.got("/hasty")) == 1


def test_an_endpoint_that_is_away_costs_no_retry(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    for number in range(6):
        assert retrying.ask(post("/half-dead/x", b"{}", f"X-Request-Id: {request_id}-{number}")).status == 200
        assert retrying.served(f"{request_id}-{number}").attempts == 1


def test_a_retry_keeps_its_place_before_those_who_wait(retrying: RouterProcess, old: ModelServer) -> None:
    go = threading.Event()
    old.on("/narrow", wait(go), in_turn(_answer(503, b"no"), ok(), ok()))
    with retrying.client() as first, retrying.client() as second:
        first.send(get("/narrow/1"))
        assert eventually(lambda: len(old.arrivals) == 1)
        second.send(get("/narrow/2"))
        sleep(0.05)
        go.set()
        assert (first.read().status, second.read().status) == (200, 200)
    assert [arrival.target for arrival in old.arrivals] == [b"/narrow/1", b"/narrow/1", b"/narrow/2"]


def test_a_client_that_leaves_ends_the_second_attempt(retrying: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/persistent", in_turn(_answer(503, b"no"), until_left))
    with retrying.client() as client:
        client.send(get("/persistent/x", f"X-Request-Id: {request_id}"))
        assert eventually(lambda: len(old.arrivals) == 2)
        client.reset()
    assert eventually(lambda: old.arrivals[1].left_at > 0)
    served = retrying.served(request_id)
    assert (served.attempts, served.answer.failure) == (2, "client-gone")


def test_a_repeated_request_is_shown_once_and_whole(
    retrying: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    step = in_turn(_answer(503, b"no"), ok(b"yes"))
    for model in (old, new):
        model.on("/seen", step)
    body = b"0123456789" * 5_000
    retrying.ask(post("/seen/x", body, KEY, f"X-Request-Id: {request_id}"))
    (compared,) = retrying.compared(request_id)
    assert compared.served.attempts == 2
    assert [arrival.body for arrival in old.arrivals + new.arrivals] == [body] * 3
    assert [arrival.all(b"x-shadow") for arrival in old.arrivals if arrival.target == b"/copies/x"] == [[b"1"]]


def test_retries_of_a_backend_that_fails_stay_within_their_budget(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    stingy = Backend(name="stingy", endpoints=(old.url, new.url), retries=Retries(on=(RetryOn.UNAVAILABLE,), attempts=3))
    router = start(RoutingTable(version=1, backends=(stingy,), routes=(Route(name="all", arms=(baseline("stingy"),)),)))
    for model in (old, new):
        model.on("/storm", _answer(503, b"busy"))
    clients = [router.ready().client() for _ in range(200)]
    for client in clients:
        client.send(get("/storm"))
    assert {client.read().status for client in clients} == {503}
    for client in clients:
        client.socket.close()
    attempts = len(old.arrivals) + len(new.arrivals)
    assert 200 < attempts <= 200 * 1.2 + 3
    assert router.stop() == 0
    exhausted = router.events().split("retry budget exhausted: ")[1].split('"')[0]
    assert int(exhausted) > 0


# -- the pure part


METHODS = st.sampled_from([b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"POST", b"PATCH", b"get"])


@given(METHODS, st.booleans(), st.booleans())
def test_post_and_patch_are_harmless_only_when_somebody_says_so(method: bytes, keyed: bool, idempotent: bool) -> None:
    by_itself = method in (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE")
    assert harmless(method, keyed=keyed, idempotent=idempotent) == (by_itself or keyed or idempotent)


CAUSES = st.sampled_from(["reset", "timeout", "502", "503", "504", "connect", "invalid", "truncated", "overload", "client-gone"])
POLICIES = st.none() | st.builds(Retries, on=st.sets(st.sampled_from(ANY)).map(tuple), attempts=st.integers(2, 10))


@given(CAUSES, st.integers(1, 12), st.booleans(), POLICIES)
def test_nothing_is_repeated_beyond_its_attempts_or_for_another_cause(
    cause: str, sends: int, stale: bool, policy: Retries | None
) -> None:
    chosen = way(cause, sends=sends, stale=stale, policy=policy)
    if chosen == STALE:
        assert (cause, sends, stale) == ("reset", 1, True)
    elif chosen == PAID:
        assert policy is not None
        assert sends < policy.attempts
        assert cause in policy.on
    else:
        assert chosen == NEVER
        assert policy is None or sends >= policy.attempts or cause not in policy.on


EVENTS = st.lists(st.tuples(st.sampled_from(["request", "retry", "done"]), st.floats(0, 3)), max_size=200)


@given(EVENTS, st.integers(0, 100), st.integers(0, 5))
def test_the_budget_is_kept_in_every_ten_seconds(events: list[tuple[str, float]], percent: int, minimum: int) -> None:
    budget = RetryBudget(Retries(budget_percent=percent, budget_minimum=minimum))
    now, inflight = 0.0, 0
    requests: list[float] = []
    retries: list[float] = []
    for event, later in events:
        now += later
        if event == "request":
            budget.on_request(now)
            requests.append(now)
        elif event == "done" and inflight:
            budget.on_done()
            inflight -= 1
        elif event == "retry":
            known = sum(int(at) > int(now) - 10 for at in requests)
            spent = sum(int(at) > int(now) - 10 for at in retries)
            room = known * percent // 100
            allowed = spent < room or (room < minimum and inflight < minimum)
            assert budget.take(now) == allowed
            if allowed:
                retries.append(now)
                inflight += 1
    assert budget.inflight == inflight


@given(st.integers(15, 400), st.integers(1, 8))
def test_when_everything_fails_at_once_the_attempts_are_bounded(requests: int, attempts: int) -> None:
    budget = RetryBudget(Retries())
    for _ in range(requests):
        budget.on_request(100.0)
    granted = 0
    for _ in range(requests * attempts):
        if budget.take(100.5):
            granted += 1
            budget.on_done()
    assert granted == min(requests * attempts, requests // 5)
