"""Rate limits over real sockets: whose ration it is, what is told of it, and how long it is remembered."""

import threading
from collections.abc import Callable, Iterator
from select import select
from time import sleep

import pytest

from modelctl.policy import Admission, RateLimit, RationBy
from modelctl.router.refusal import Refusal
from modelctl.traffic import Route, RoutingTable, encode_table
from tests.router.conftest import SHORT, baseline
from tests.router.control_plane import ControlPlane
from tests.router.model_server import ModelServer, wait
from tests.router.process import RouterProcess, eventually
from tests.router.test_admission import BEARER, HOUR, KEYS, OTHER_KEY, X_API_KEY, fresh_address, limited_table, told
from tests.router.test_refusals import explained
from tests.router.wire import PATIENCE, Client, get, ok, post

Start = Callable[..., RouterProcess]

TRUSTED = "127.0.0.2"
ADDRESS_LIMIT = RateLimit(requests=3, seconds=HOUR)
KEY_LIMIT = RateLimit(requests=2, seconds=HOUR, by=RationBy.KEY)


def routes() -> tuple[Route, ...]:
    whole = (baseline("old"),)
    return (
        Route(name="open", arms=whole),
        Route(name="limited", path="/limited", arms=whole, admission=Admission(rate=ADDRESS_LIMIT), preview="old"),
        Route(name="by-key", path="/by-key", arms=whole, admission=Admission(keys=KEYS, rate=KEY_LIMIT)),
        Route(name="brisk", path="/brisk", arms=whole, admission=Admission(rate=RateLimit(requests=2, seconds=4))),
        Route(name="dead", path="/dead", arms=(baseline("dead"),), admission=Admission(rate=ADDRESS_LIMIT)),
        Route(name="narrow", path="/narrow", arms=(baseline("narrow"),), admission=Admission(rate=ADDRESS_LIMIT)),
    )


@pytest.fixture(scope="module")
def guarded(shared_table: RoutingTable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router with limits."""
    table = RoutingTable(version=1, backends=shared_table.backends, routes=routes())
    router = RouterProcess(tmp_path_factory.mktemp("guarded"), table, settings=SHORT)
    yield router
    assert router.process.poll() is None
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()


@pytest.fixture
def client(guarded: RouterProcess) -> Iterator[Client]:
    """A connection from a fresh address."""
    with guarded.client(source=fresh_address()) as client:
        yield client


def test_a_ration_is_told_used_up_and_refused(client: Client, old: ModelServer) -> None:
    for left, longest in ((2, 2_400), (1, 1_200), (0, 1_200)):
        reply = client.ask(get("/limited"))
        assert reply.status == 200
        assert reply.one(b"ratelimit-policy") == b'"default";q=3;w=3600'
        assert told(reply)[0] == left
        assert longest - 100 < told(reply)[1] <= longest
        assert reply.all(b"retry-after") == []
    for method in ("GET", "HEAD"):
        reply = client.ask(get("/limited", method=method))
        assert (reply.status, reply.one(b"modelctl-error")) == (429, b"rate-limited")
        assert reply.one(b"ratelimit-policy") == b'"default";q=3;w=3600'
        left, seconds = told(reply)
        assert left == 0
        assert 1_000 < seconds <= 1_200
        assert reply.one(b"retry-after") == str(seconds).encode()
    assert client.ask(get("/open")).status == 200
    assert len(old.got("/limited", 3)) == 3


def test_pipelined_requests_get_no_more_than_their_ration(client: Client, old: ModelServer) -> None:
    client.send(get("/limited") * 10)
    assert [client.read().status for _ in range(10)] == [200] * 3 + [429] * 7
    assert len(old.got("/limited", 3)) == 3


def test_connections_of_one_address_share_its_ration_and_others_have_their_own(guarded: RouterProcess, old: ModelServer) -> None:
    first, second = (fresh_address() for _ in range(2))
    statuses = []
    for source in (first, first, first, first, second):
        with guarded.client(source=source) as client:
            statuses.append(client.ask(get("/limited")).status)
    assert statuses == [200, 200, 200, 429, 200]


def test_a_preview_shares_the_ration_of_its_route(client: Client, old: ModelServer) -> None:
    targets = ["/limited", "/-/preview/limited", "/-/preview/limited/x", "/limited", "/-/preview/limited"]
    assert [client.ask(get(target)).status for target in targets] == [200, 200, 200, 429, 429]


def test_a_request_with_a_body_that_is_refused_leaves_no_body_behind(client: Client, old: ModelServer) -> None:
    smuggled = get("/evil")
    statuses = [client.ask(post("/limited", smuggled)).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert client.ask(get("/open")).status == 200
    assert [arrival.target for arrival in old.arrivals if arrival.target != b"/limited"] == [b"/open"]


def test_used_requests_come_back_in_time(client: Client, old: ModelServer) -> None:
    client.send(get("/brisk") * 3)
    replies = [client.read() for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    sleep(int(replies[2].one(b"retry-after")))
    assert client.ask(get("/brisk")).status == 200


def test_a_ration_by_key_is_the_keys_wherever_it_is_shown(guarded: RouterProcess, old: ModelServer) -> None:
    asked = [(10, BEARER), (11, X_API_KEY), (12, BEARER), (10, f"X-Api-Key: {OTHER_KEY}"), (10, "X-Api-Key: wrong")]
    statuses = []
    for source, field in asked:
        with guarded.client(source=f"127.0.0.{source}") as client:
            statuses.append(client.ask(get("/by-key", field)).status)
    assert statuses == [200, 200, 429, 200, 401]


def by_way_of(guarded: RouterProcess, source: str, *fields: str) -> int:
    with guarded.client(source=source) as client:
        return client.ask(get("/limited", *fields)).status


def test_behind_a_trusted_proxy_the_ration_is_that_of_whom_it_names(guarded: RouterProcess, old: ModelServer) -> None:
    chain = f"203.0.113.7, {TRUSTED}"
    named = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 6.6.6.6, 203.0.113.7", f"X-Forwarded-For: 9.9.9.9, {chain}"]
    assert [by_way_of(guarded, TRUSTED, field) for field in named] == [200] * 3
    assert by_way_of(guarded, TRUSTED, "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.7:4711") == 429
    assert by_way_of(guarded, TRUSTED, "X-Forwarded-For: 203.0.113.8") == 200
    network = ["2001:db8:1:2::1", "2001:db8:1:2:3::4", "[2001:db8:1:2:ffff::]:80", "2001:db8:1:2::9", "2001:db8:1:3::1"]
    assert [by_way_of(guarded, TRUSTED, f"X-Forwarded-For: {it}") for it in network] == [200, 200, 200, 429, 200]


def test_what_a_stranger_says_of_its_address_does_not_count(guarded: RouterProcess, old: ModelServer) -> None:
    source = fresh_address()
    statuses = [by_way_of(guarded, source, f"X-Forwarded-For: 198.51.100.{number}") for number in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


def test_the_ration_is_told_also_when_the_backend_fails(client: Client) -> None:
    reply = client.ask(get("/dead"))
    assert (reply.status, told(reply)) == (502, (2, 2_400))


def test_a_backends_own_fields_pass_beside_ours(client: Client, old: ModelServer) -> None:
    old.on("/limited", b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nRateLimit: "model";r=7;t=9\r\n\r\n')
    assert client.ask(get("/limited")).all(b"ratelimit") == [b'"model";r=7;t=9', b'"default";r=2;t=2400']


def test_a_route_without_a_limit_says_nothing_of_one(client: Client, old: ModelServer) -> None:
    reply = client.ask(get("/open"))
    assert not reply.all(b"ratelimit") + reply.all(b"ratelimit-policy")


def test_rations_outlive_tables_as_long_as_the_limit_is_the_same(start: Start, old: ModelServer) -> None:
    plane = ControlPlane()
    same = Admission(rate=ADDRESS_LIMIT)
    router = start(limited_table(1, old, same), control=plane.url)
    assert [router.ask(get("/")).status for _ in range(3)] == [200] * 3
    versions = [
        (same, 429),
        (Admission(rate=ADDRESS_LIMIT, deny=("/x",), keys=KEYS), 429),
        (Admission(), 200),
        (same, 200),
        (Admission(rate=RateLimit(requests=2, seconds=HOUR)), 200),
    ]
    for version, (admission, status) in enumerate(versions, 2):
        plane.publish(encode_table(limited_table(version, old, admission)), version)
        assert eventually(lambda version=version: plane.last["after"] == str(version))  # type: ignore[misc]
        assert router.ask(get("/", BEARER)).status == status
    plane.stop()


def test_an_overloaded_backend_says_when_to_come_back_and_nothing_else(guarded: RouterProcess, old: ModelServer) -> None:
    free = threading.Event()
    old.on("/narrow", wait(free), ok())
    source = fresh_address()
    clients = [guarded.client(source=source) for _ in range(3)]
    for client in clients:
        client.send(get("/narrow"))
    readable, _, _ = select([client.socket for client in clients], [], [], PATIENCE)
    refused = [client for client in clients if client.socket in readable]
    reply = refused[0].read()
    explained(reply, Refusal.OVERLOAD)
    assert (reply.one(b"retry-after"), reply.all(b"ratelimit")) == (b"1", [])
    free.set()
    assert [client.read().status for client in clients if client not in refused] == [200, 200]
    for client in clients:
        client.socket.close()
