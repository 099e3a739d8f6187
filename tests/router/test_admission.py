"""What a route lets in, over real sockets: keys, rations, denied paths, sizes of bodies, disputed codes."""

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from modelctl.policy import Admission, ApiKey, EncodedByte, RateLimit
from modelctl.router.refusal import Refusal
from modelctl.traffic import Backend, Route, RoutingTable, encode_table
from tests.router.conftest import SHORT, baseline, candidate
from tests.router.control_plane import ControlPlane
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess, eventually
from tests.router.test_refusals import explained
from tests.router.wire import Client, Reply, chunked, get, post, post_chunked

Start = Callable[..., RouterProcess]

KEY, OTHER_KEY, FOREIGN = "sk-fraud-7d1f0c", "sk-search-a93be2", "sk-of-the-backend"
HOUR = 3_600
BEARER = f"Authorization: Bearer {KEY}"
X_API_KEY = f"X-Api-Key: {KEY}"
_numbers = count(1)


def fresh_address() -> str:
    """One that no other test has: a ration of its own."""
    number = next(_numbers)
    return f"127.1.{number // 200}.{number % 200 + 1}"


def key(name: str, text: str) -> ApiKey:
    return ApiKey(name=name, sha256=sha256(text.encode()).hexdigest())


LONGEST, TOO_LONG = "k" * 1_024, "k" * 1_025
KEYS = (key("fraud-team", KEY), key("search-team", OTHER_KEY), key("longest", LONGEST), key("too-long", TOO_LONG))
EVERY_CODE = Admission(encoded=tuple(EncodedByte))
DENY = Admission(deny=("/admin", "/v1/internal"))


def routes() -> tuple[Route, ...]:
    whole = (baseline("old"),)
    shown = (baseline("old"), candidate("new", shown=10_000))
    everything = Admission(
        keys=KEYS, rate=RateLimit(requests=2, seconds=HOUR), body_bytes=1_000, deny=("/admin",), encoded=(EncodedByte.SLASH,)
    )
    return (
        Route(name="open", arms=whole),
        Route(name="keyed", path="/keyed", arms=shown, admission=Admission(keys=KEYS), preview="new"),
        Route(name="by-field", path="/by-field", arms=whole, admission=Admission(keys=KEYS), unit="header:authorization"),
        Route(name="closed", path="/closed", arms=whole, admission=DENY, preview="new"),
        Route(name="small", path="/small", arms=whole, admission=Admission(body_bytes=1_000)),
        Route(name="text", path="/text", arms=whole, admission=EVERY_CODE),
        Route(name="slash", path="/slash", arms=whole, admission=Admission(encoded=(EncodedByte.SLASH,)), preview="new"),
        Route(name="everything", path="/everything", arms=whole, admission=everything),
    )


def limited_table(version: int, server: ModelServer, admission: Admission) -> RoutingTable:
    backend = Backend(name="old", endpoints=(server.url,))
    route = Route(name="all", arms=(baseline("old"),), admission=admission)
    return RoutingTable(version=version, backends=(backend,), routes=(route,))


@pytest.fixture(scope="module")
def guarded(shared_table: RoutingTable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router whose routes let in less, or more, than others."""
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


def told(reply: Reply) -> tuple[int, int]:
    """What the answer says of the ration: how many requests are left, for how many seconds."""
    match = re.fullmatch(rb'"default";r=(\d+);t=(\d+)', reply.one(b"ratelimit"))
    assert match is not None
    return int(match[1]), int(match[2])


# -- keys


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Authorization: Bearer wrong",),
        ("X-Api-Key: wrong",),
        ("X-Api-Key:",),
        ("Authorization:",),
        ("Authorization: Bearer",),
        (f"Authorization: {KEY}",),
        (f"Authorization: Basic {KEY}",),
        (f"Authorization: Bearer {KEY}x",),
        (f"Authorization: Bearer {KEY[:-1]}",),
        (f"Authorization: Bearer {KEYS[0].sha256}",),
        (f"X-Api-Key: {KEY},{KEY}",),
        (f"X-Api-Key2: {KEY}",),
        (f"Proxy-Authorization: Bearer {KEY}",),
        (f"Cookie: x-api-key={KEY}",),
        (f"X-Api-Key: {TOO_LONG}",),
    ],
)
def test_without_a_key_of_the_route_nothing_is_forwarded(
    guarded: RouterProcess, client: Client, old: ModelServer, fields: tuple[str, ...]
) -> None:
    for target in ("/keyed", f"/keyed?key={KEY}", "/-/preview/keyed"):
        reply = client.ask(get(target, *fields))
        explained(reply, Refusal.KEY_REQUIRED)
        assert reply.one(b"www-authenticate") == b'Bearer realm="modelctl"'
    assert client.ask(get("/after", *fields)).status == 200
    assert [arrival.target for arrival in old.arrivals] == [b"/after"]


@pytest.mark.parametrize(
    "field", [BEARER, X_API_KEY, f"authorization:  bearer   {KEY} ", f"AUTHORIZATION: BEARER {KEY}", f"x-api-key:{KEY}"]
)
def test_a_key_opens_the_route_and_goes_no_further(guarded: RouterProcess, old: ModelServer, new: ModelServer, field: str) -> None:
    foreign = [f"Authorization: Bearer {FOREIGN}", f"X-Api-Key: {FOREIGN}", f"Authorization: Basic {FOREIGN}"]
    assert guarded.ask(get("/keyed", foreign[0], field, *foreign[1:])).status == 200
    for arrival in (old.last("/keyed"), new.last("/keyed")):
        assert KEY.encode() not in arrival.raw
        assert [line for line in arrival.head.decode().splitlines() if FOREIGN in line] == foreign
    assert guarded.ask(get("/-/preview/keyed", field)).one(b"modelctl-arm") == b"new"
    assert KEY.encode() not in new.arrivals[-1].raw


def test_every_field_that_shows_a_key_is_taken_out(guarded: RouterProcess, old: ModelServer) -> None:
    assert guarded.ask(get("/keyed", BEARER, X_API_KEY, f"X-Api-Key: {OTHER_KEY}", "X-Other: 1")).status == 200
    arrival = old.last("/keyed")
    assert not arrival.all(b"authorization") + arrival.all(b"x-api-key")
    assert arrival.one(b"x-other") == b"1"


def test_a_key_may_be_long_but_not_without_end(guarded: RouterProcess, old: ModelServer) -> None:
    assert guarded.ask(get("/keyed", f"X-Api-Key: {LONGEST}")).status == 200


def test_a_route_without_keys_does_not_look_for_them(guarded: RouterProcess, old: ModelServer) -> None:
    assert guarded.ask(get("/open", BEARER)).status == 200
    assert old.last("/open").one(b"authorization") == f"Bearer {KEY}".encode()


def test_a_key_is_gone_from_requests_that_come_again(client: Client, old: ModelServer, new: ModelServer) -> None:
    requests = [post("/keyed/again", b"%d" % number, BEARER, "X-Other: 1") for number in range(4)]
    assert [client.ask(request).status for request in requests] == [200] * 4
    for server in (old, new):
        arrivals = server.got("/keyed/again", 4)
        assert sorted(arrival.body for arrival in arrivals) == [b"0", b"1", b"2", b"3"]  # copies may overtake each other
        assert [arrival.all(b"authorization") + arrival.all(b"x-other") for arrival in arrivals] == [[b"1"]] * 4


def test_a_key_that_is_no_longer_one_opens_nothing(start: Start, old: ModelServer) -> None:
    plane = ControlPlane()
    router = start(limited_table(1, old, Admission(keys=KEYS)), control=plane.url)
    with router.client() as client:
        assert [client.ask(get("/", BEARER)).status for _ in range(3)] == [200] * 3
        plane.publish(encode_table(limited_table(2, old, Admission(keys=KEYS[1:]))), 2)
        assert eventually(lambda: plane.last["after"] == "2")
        assert client.ask(get("/", BEARER)).status == 401
        assert client.ask(get("/", f"X-Api-Key: {OTHER_KEY}")).status == 200
    plane.stop()


def test_a_key_is_asked_for_with_every_request(client: Client, old: ModelServer) -> None:
    statuses = [client.ask(get("/keyed", *fields)).status for fields in ((X_API_KEY,), (), (BEARER,), ("X-Api-Key: x",))]
    assert statuses == [200, 401, 200, 401]


def test_a_refused_request_takes_its_place_among_pipelined_ones(client: Client, old: ModelServer) -> None:
    client.send(get("/keyed/1", BEARER) + get("/keyed/2") + post("/keyed/3", b"{}", X_API_KEY) + get("/open/4"))
    assert [client.read().status for _ in range(4)] == [200, 401, 200, 200]
    assert [arrival.target for arrival in old.arrivals] == [b"/keyed/1", b"/keyed/3", b"/open/4"]


def test_a_refusal_of_head_has_its_fields_and_no_body(client: Client) -> None:
    reply = client.ask(get("/keyed", method="HEAD"))
    assert (reply.status, reply.body, reply.all(b"connection")) == (401, b"", [])
    assert reply.one(b"www-authenticate").startswith(b"Bearer ")
    assert client.ask(get("/open")).status == 200


def test_a_body_that_is_not_let_in_is_not_asked_for(client: Client, old: ModelServer) -> None:
    client.send(get("/keyed", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    reply = client.read(b"POST")  # an interim answer would be read as the first
    explained(reply, Refusal.KEY_REQUIRED)
    assert reply.one(b"connection") == b"close"
    assert client.rest() == b""
    assert old.arrivals == []


def test_a_body_that_is_let_in_is_asked_for(client: Client, old: ModelServer) -> None:
    client.send(get("/keyed", "Content-Length: 5", "Expect: 100-continue", BEARER, method="POST"))
    client.wait_for(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.send(b"hello")
    assert client.read(b"POST").status == 200


def test_no_key_is_written_down(start: Start, old: ModelServer, new: ModelServer, request_id: str) -> None:
    backends = tuple(Backend(name=name, endpoints=(server.url,)) for name, server in (("old", old), ("new", new)))
    few = tuple(route for route in routes() if route.name in ("keyed", "by-field"))
    router = start(RoutingTable(version=1, backends=backends, routes=few))
    named = f"X-Request-Id: {request_id}"
    assert router.ask(post("/keyed", b"{}", BEARER, X_API_KEY, named)).status == 200
    assert router.ask(get("/keyed", f"X-Api-Key: {KEY}wrong")).status == 401
    router.compared(request_id)
    assert router.ask(get("/by-field", BEARER, f"{named}-unit")).status == 200
    assert router.served(f"{request_id}-unit").context.unit == b"fraud-team"
    assert router.ask(get("/by-field", X_API_KEY, f"Authorization: Bearer {FOREIGN}", f"{named}-other")).status == 200
    assert router.served(f"{request_id}-other").context.unit == f"Bearer {FOREIGN}".encode()
    assert router.stop() == 0
    assert "key-required 1" in router.events()
    assert len([record for record in router.records() if hasattr(record, "context")]) == 3
    written = {path.name: path.read_bytes() for path in Path(router.folder).rglob("*") if path.is_file()}
    assert any(name.endswith(".seg") for name in written)
    assert [name for name, data in written.items() if KEY.encode() in data] == []


# -- denied paths


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/users", "//admin", "/admin;x=1", "/%61dmin", "/v1/internal", "/v1//;p/internal/x?q"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "HEAD"])
def test_a_denied_path_is_denied_whatever_the_method(client: Client, old: ModelServer, path: str, method: str) -> None:
    for target in (
        f"/closed{path}",
        f"/-/preview/closed{path}",
        f"/-/preview/closed/closed{path}",
        f"/-/preview/closed//closed{path}",
    ):
        reply = client.ask(get(target, method=method))
        assert (reply.status, reply.one(b"modelctl-error")) == (403, b"denied")
    assert client.ask(get(f"http://any/closed{path}", method=method)).status == 403
    assert old.arrivals == []


@pytest.mark.parametrize("path", ["", "/", "/administrator", "/Admin", "/v1", "/x/admin", "/ok?/admin"])
def test_what_stands_beside_a_denied_path_is_let_in(client: Client, old: ModelServer, path: str) -> None:
    assert client.ask(get(f"/closed{path}")).status == 200
    assert client.ask(get("/admin")).status == 200
    assert client.ask(get(f"/-/preview/closed{path}")).status == 200


# -- sizes of bodies


def test_a_body_over_the_routes_limit_is_refused_by_its_length(client: Client, old: ModelServer) -> None:
    assert client.ask(post("/small", b"x" * 1_000)).status == 200
    assert client.ask(post("/open", b"x" * 1_001)).status == 200
    client.send(get("/small", "Content-Length: 1001", method="POST"))
    explained(client.read(b"POST"), Refusal.BODY_TOO_LARGE)
    assert client.rest() == b""
    assert [len(arrival.body) for arrival in old.arrivals] == [1_000, 1_001]


def test_a_body_in_chunks_is_refused_when_it_passes_the_routes_limit(client: Client, old: ModelServer) -> None:
    assert client.ask(post_chunked("/small", b"x" * 500, b"y" * 500)).status == 200
    assert client.ask(post_chunked("/open", b"x" * 2_000)).status == 200
    client.send(post_chunked("/small/at-once", b"x" * 500, b"y" * 501))
    explained(client.read(b"POST"), Refusal.BODY_TOO_LARGE)
    assert client.rest() == b""
    assert not [arrival for arrival in old.arrivals if arrival.target == b"/small/at-once"]


def test_a_body_that_grows_over_the_routes_limit_is_never_whole(
    guarded: RouterProcess, client: Client, old: ModelServer, request_id: str
) -> None:
    head = get("/small/grows", "Transfer-Encoding: chunked", f"X-Request-Id: {request_id}", method="POST")
    client.send(head + b"1f4\r\n" + b"x" * 500 + b"\r\n")
    assert eventually(lambda: bool(old.arrivals))
    client.send(chunked(b"y" * 501))
    explained(client.read(b"POST"), Refusal.BODY_TOO_LARGE)
    (arrival,) = old.got("/small/grows", 0, seconds=0.1)
    assert not arrival.complete
    assert guarded.served(request_id).answer.failure == "client-gone"


def test_the_routers_own_limit_holds_where_the_routes_is_larger(start: Start, old: ModelServer) -> None:
    router = start(limited_table(1, old, Admission(body_bytes=10_000)), max_body_bytes="100")
    explained(router.ask(post("/", b"x" * 101)), Refusal.BODY_TOO_LARGE)
    explained(router.ask(post_chunked("/", b"x" * 101)), Refusal.BODY_TOO_LARGE)
    assert router.ask(post("/", b"x" * 100)).status == 200


# -- disputed codes


@pytest.mark.parametrize("code", ["%2f", "%2F", "%25", "%3b", "%3F", "%23", "%252f"])
def test_a_disputed_code_passes_as_it_came_where_it_is_allowed(guarded: RouterProcess, old: ModelServer, code: str) -> None:
    for _ in range(2):  # also when the address is remembered
        assert guarded.ask(get(f"/text/a{code}b?q={code}")).status == 200
        assert old.arrivals[-1].target == f"/text/a{code}b?q={code}".encode()
        for elsewhere in (f"/open/a{code}b", f"/keyed/a{code}b", f"/-/none/a{code}b"):
            explained(guarded.ask(get(elsewhere)), Refusal.BAD_PATH)
    assert guarded.ask(get(f"/slash/a{code}b")).status == (200 if code.lower() == "%2f" else 400)
    assert guarded.ask(get(f"/-/preview/slash/a{code}b")).status == (200 if code.lower() == "%2f" else 400)
    assert {arrival.target.partition(b"/")[2].partition(b"/")[0] for arrival in old.arrivals} <= {b"text", b"slash"}


@pytest.mark.parametrize(
    "path", ["/..%2fx", "/%2e", "/a%2f../b", "/a%5cb", "/%252e%252e/x", "/a%00", "/%", "/..;x", "/..%3bx", "/..%3f"]
)
def test_what_is_never_let_in_is_not_let_in_there_either(guarded: RouterProcess, old: ModelServer, path: str) -> None:
    reply = guarded.ask(get(f"/text{path}"))
    explained(reply, Refusal.BAD_PATH)
    assert reply.one(b"connection") == b"close"
    assert old.arrivals == []


def test_a_router_without_a_table_still_refuses_disputed_paths(start: Start) -> None:
    router = start(None)
    explained(router.ask(get("/a%2fb")), Refusal.BAD_PATH)
    explained(router.ask(get("/a")), Refusal.NO_TABLE)


# -- all together


def test_only_what_passes_every_other_check_is_taken_from_the_ration(guarded: RouterProcess, old: ModelServer) -> None:
    source = fresh_address()

    def ask(request: bytes) -> Reply:
        with guarded.client(source=source) as client:
            return client.ask(request)

    for _ in range(3):
        assert ask(get("/everything/a%25", BEARER)).status == 400
        assert ask(get("/everything/admin")).status == 403
        assert ask(get("/everything%2fadmin", BEARER)).status == 400  # that is below the route "/", which allows no codes
        assert ask(get("/everything/x%2f..%2fadmin", BEARER)).status == 400
        assert ask(get("/everything/%2fadmin", BEARER)).status == 403
        assert ask(get("/everything/x")).status == 401
        assert ask(post("/everything/x", b"x" * 1_001, BEARER)).status == 413
    assert told(ask(get("/everything/a%2fb", BEARER)))[0] == 1
    assert told(ask(get("/everything", X_API_KEY)))[0] == 0
    assert ask(get("/everything", X_API_KEY)).status == 429
