"""Rules send what matches to a named arm before the split is asked, apart from every comparison; so do clients that name one."""

from collections.abc import Callable, Iterator
from itertools import count
from time import monotonic

import pytest

from modelctl.policy import Admission
from modelctl.router.choice import PATIENCE, READABLE
from modelctl.rule import Rule, RuleSource
from modelctl.traffic import Arm, Backend, Capture, Role, Route, RoutingTable
from tests.router.conftest import SHORT, Models, baseline, candidate
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Reply, get, post, post_chunked

SLOW = {"body_timeout": "5"}
SWITCH = ("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
_ids = count(1)


def rule(name: str, source: RuleSource, place: str, equals: str | int | bool | None = None, *, arm: str = "new") -> Rule:
    return Rule(name=name, arm=arm, source=source, place=place, equals=equals)


HEADS = (
    rule("testers", RuleSource.HEADER, "x-tester"),
    rule("german", RuleSource.HEADER, "x-country", "de"),
    rule("beta", RuleSource.PATH, "/beta"),
    rule("stays", RuleSource.HEADER, "x-stay", arm="old"),
)
BODIES = (
    rule("gold", RuleSource.REQUEST, "/user/plan", "gold"),
    rule("third", RuleSource.REQUEST, "/rows/2/a~1b", 3),
    rule("flag", RuleSource.REQUEST, "/flag", True),
    rule("trial", RuleSource.REQUEST, "/trial"),
    rule("late-header", RuleSource.HEADER, "x-tester"),
)
MIXED = (rule("first", RuleSource.HEADER, "x-first", arm="old"), rule("body", RuleSource.REQUEST, "/go", "new"))
SHOWN = (baseline("old"), candidate("new", shown=10_000))


def _routes() -> tuple[Route, ...]:
    addressable = Admission(addressable=True)
    noise = Arm(backend="old", role=Role.NOISE, shown=10_000)
    return (
        Route(name="all", arms=(baseline("old"), candidate("new"))),
        Route(name="heads", path="/heads", arms=SHOWN, rules=HEADS, rollout=4, stage=5),
        Route(name="bodies", path="/bodies", arms=SHOWN, rules=BODIES, rollout=6, stage=7),
        Route(name="mixed", path="/mixed", arms=(baseline("old"), candidate("new")), rules=MIXED),
        Route(name="named", path="/named", arms=SHOWN, admission=addressable, rules=HEADS[:1], rollout=8, stage=9, preview="new"),
        Route(name="kept", path="/kept", arms=SHOWN, capture=Capture(headers=("x-country", "x-long"))),
        Route(name="noisy", path="/noisy", arms=(*SHOWN, noise), rollout=1, stage=2),
    )


def table(old: ModelServer, new: ModelServer) -> RoutingTable:
    backends = (
        Backend(name="old", endpoints=(old.url,), response_timeout_ms=5_000),
        Backend(name="new", endpoints=(new.url,), response_timeout_ms=5_000),
    )
    return RoutingTable(version=1, backends=backends, routes=_routes())


@pytest.fixture(scope="module")
def ruled(_models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    made = table(_models.old, _models.new)
    router = RouterProcess(tmp_path_factory.mktemp("ruled"), made, settings=SHORT | SLOW).ready()
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()


@pytest.fixture
def own_id() -> str:
    return f"ruled-{next(_ids)}"


def arm(reply: Reply) -> str:
    return reply.one(b"modelctl-arm").decode()


@pytest.mark.parametrize(
    ("target", "fields", "wanted"),
    [
        ("/heads", (), "old"),
        ("/heads", ("X-Tester: anything",), "new"),
        ("/heads", ("X-TESTER:",), "new"),
        ("/heads", ("X-Country: de",), "new"),
        ("/heads", ("X-Country: de  ",), "new"),
        ("/heads", ("X-Country: DE",), "old"),
        ("/heads", ("X-Country: fr", "X-Country: de"), "old"),
        ("/heads/beta", (), "new"),
        ("/heads/beta?x=1", (), "new"),
        ("/heads/beta/deeper", (), "new"),
        ("/heads/betamax", (), "old"),
        ("/heads/x/beta", (), "old"),
        ("/heads/beta", ("X-Stay: 1",), "new"),
    ],
)
def test_the_first_rule_about_the_head_that_matches_names_the_arm(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, target: str, fields: tuple[str, ...], wanted: str
) -> None:
    assert arm(ruled.ask(get(target, *fields))) == wanted


def test_what_a_rule_decides_is_marked_shown_to_nobody_and_has_no_share(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, own_id: str
) -> None:
    ruled.ask(get("/heads", "X-Stay: 1", f"X-Request-Id: {own_id}"))
    served = ruled.served(own_id)
    context = served.context
    assert (context.reason, context.role, context.probability) == ("rule", "baseline", 0)
    assert (context.rollout, context.stage) == (4, 5)
    assert served.shown == ()
    assert new.arrivals == []


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"user":{"plan":"gold"}}', "new"),
        (b'{"user":{"plan":"silver"}}', "old"),
        (b'{"user":"gold"}', "old"),
        (b'{"rows":[0,1,{"a/b":3}]}', "new"),
        (b'{"rows":[0,1,{"a/b":3.0}]}', "new"),
        (b'{"rows":[0,1,{"a/b":"3"}]}', "old"),
        (b'{"rows":[0,1]}', "old"),
        (b'{"flag":true}', "new"),
        (b'{"flag":1}', "old"),
        (b'{"trial":null}', "new"),
        (b"[]", "old"),
        (b"", "old"),
        (b"no json", "old"),
        (b"[" * 20_000, "old"),
    ],
)
def test_a_rule_about_the_body_compares_what_its_pointer_finds(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, body: bytes, wanted: str
) -> None:
    reply = ruled.ask(post("/bodies", body))
    assert arm(reply) == wanted
    assert (new if wanted == "new" else old).last("/bodies").body == body


def test_a_body_that_comes_in_pieces_reaches_the_ruled_arm_whole(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, own_id: str
) -> None:
    body = b'{"filler":"%b","user":{"plan":"gold"}}' % (b"x" * 30_000)
    request = post("/bodies", body, f"X-Request-Id: {own_id}")
    with ruled.client() as client:
        for start in range(0, len(request), 7_001):
            assert not eventually(lambda: bool(old.arrivals or new.arrivals), 0.02)
            client.send(request[start : start + 7_001])
        assert arm(client.read(b"POST")) == "new"
        assert arm(client.ask(get("/heads"))) == "old"
    assert new.last("/bodies").body == body
    served = ruled.served(own_id)
    assert (served.context.reason, served.request.size, served.shown) == ("rule", len(body), ())


def test_a_chunked_body_is_looked_at_without_its_framing(ruled: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    assert arm(ruled.ask(post_chunked("/bodies", b'{"user":{"pl', b'an":"gold"}}'))) == "new"
    assert new.last("/bodies").body == b'{"user":{"plan":"gold"}}'


def test_framing_that_outweighs_the_body_does_not_hold_it_back(ruled: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    body = b'{"user":{"plan":"gold"}}'.ljust(20_000)
    request = post_chunked("/bodies", *[body[place : place + 1] for place in range(len(body))])
    with ruled.client() as client:
        client.send(request[:90_000], request[90_000:])
        assert arm(client.read(b"POST")) == "new"
    assert new.last("/bodies").body == body


def test_a_client_that_waits_for_100_continue_is_told_to(ruled: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    body = b'{"user":{"plan":"gold"}}'
    with ruled.client() as client:
        client.send(get("/bodies", "Expect: 100-continue", f"Content-Length: {len(body)}", method="POST"))
        client.wait_for(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(body)
        assert arm(client.read(b"POST")) == "new"


@pytest.mark.parametrize("size", [READABLE + 1, 300_000])
def test_a_larger_body_is_left_to_the_split_and_to_the_rules_about_the_head(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, size: int, own_id: str
) -> None:
    body = b'{"user":{"plan":"gold"}}'.ljust(size)
    reply = ruled.ask(post("/bodies", body, f"X-Request-Id: {own_id}"))
    assert arm(reply) == "old"
    assert old.last("/bodies").body == body
    assert ruled.served(own_id).context.reason == "only"
    assert arm(ruled.ask(post("/bodies", body, "X-Tester: 1"))) == "new"
    chunks = [body[start : start + 50_000] for start in range(0, size, 50_000)]
    assert arm(ruled.ask(post_chunked("/bodies", *chunks))) == "old"
    assert old.last("/bodies").body == body


def test_a_body_of_the_largest_readable_size_is_read(ruled: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    assert arm(ruled.ask(post("/bodies", b'{"user":{"plan":"gold"}}'.ljust(READABLE)))) == "new"


def test_a_late_body_is_left_to_the_split_while_its_client_goes_on(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, own_id: str
) -> None:
    body = b'{"user":{"plan":"gold"}}'
    with ruled.client() as client:
        began = monotonic()
        client.send(get("/bodies", f"Content-Length: {len(body)}", f"X-Request-Id: {own_id}", method="POST"), body[:5])
        assert eventually(lambda: bool(old.arrivals))
        assert monotonic() - began >= PATIENCE - 0.2
        client.send(body[5:])
        assert arm(client.read(b"POST")) == "old"
    assert eventually(lambda: bool(new.arrivals))  # it is shown like any other
    assert new.last("/bodies").body == old.last("/bodies").body == body
    assert ruled.served(own_id).context.reason == "only"


def test_a_body_that_never_comes_is_answered_408_as_everywhere(ruled: RouterProcess, old: ModelServer, own_id: str) -> None:
    with ruled.client() as client:
        client.send(get("/bodies", "Content-Length: 9", f"X-Request-Id: {own_id}", method="POST") + b"[")
        assert client.read(b"POST").status == 408
    assert ruled.served(own_id).answer.failure == "client-gone"


def test_a_client_that_leaves_while_a_rule_waits_is_written_down(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, own_id: str
) -> None:
    with ruled.client() as client:
        client.send(get("/bodies", "Content-Length: 9", f"X-Request-Id: {own_id}", method="POST") + b"[")
        assert not eventually(lambda: bool(old.arrivals), 0.1)
        client.reset()
    served = ruled.served(own_id)
    assert (served.answer.failure, served.shown) == ("client-gone", (("new", "aborted"),))
    assert old.arrivals == new.arrivals == []


def test_requests_behind_one_that_waits_keep_their_order(ruled: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    first, second = post("/bodies", b'{"user":{"plan":"gold"}}'), post("/bodies", b"{}")
    with ruled.client() as client:
        client.send(get("/heads", "X-Tester: 1") + first + second[:-1])
        assert [arm(client.read(b"GET")), arm(client.read(b"POST"))] == ["new", "new"]
        client.send(second[-1:] + get("/heads"))
        assert [arm(client.read(b"POST")), arm(client.read(b"GET"))] == ["old", "old"]


def test_rules_are_asked_in_their_order_whatever_they_look_at(ruled: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    assert arm(ruled.ask(post("/mixed", b'{"go":"new"}'))) == "new"
    assert arm(ruled.ask(post("/mixed", b'{"go":"new"}', "X-First: 1"))) == "old"


def test_a_malformed_chunk_while_a_rule_waits_is_refused(ruled: RouterProcess, old: ModelServer) -> None:
    with ruled.client() as client:
        client.send(get("/bodies", "Transfer-Encoding: chunked", method="POST") + b"5\r\nab")
        assert not eventually(lambda: bool(old.arrivals), 0.05)
        client.send(b"cdeXX\r\n")
        assert client.read(b"POST").status == 400
    assert old.arrivals == []


def test_a_client_may_name_the_arm_where_the_route_allows_it(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, own_id: str
) -> None:
    reply = ruled.ask(post("/named", b"x", "Modelctl-Arm: new ", f"X-Request-Id: {own_id}"))
    assert arm(reply) == "new"
    served = ruled.served(own_id)
    assert (served.context.reason, served.context.role, served.context.probability) == ("addressed", "candidate", 0)
    assert served.shown == ()
    assert old.arrivals == []
    assert new.last("/named").all(b"modelctl-arm") == []
    assert arm(ruled.ask(get("/named", "modelctl-arm: old", "X-Tester: 1"))) == "old"
    assert arm(ruled.ask(get("/named", "X-Tester: 1"))) == "new"
    assert arm(ruled.ask(get("/named"))) == "old"


@pytest.mark.parametrize("name", ["newer", "NEW", "new,old", "\xff"])
def test_an_arm_that_is_not_there_is_a_404_of_our_own(ruled: RouterProcess, old: ModelServer, new: ModelServer, name: str) -> None:
    with ruled.client() as client:
        reply = client.ask(get("/named", f"modelctl-arm: {name}"))
        assert (reply.status, reply.one(b"modelctl-error")) == (404, b"no-arm")
        assert client.ask(get("/named")).status == 200
    assert [arrival.target for arrival in old.arrivals] == [b"/named"]


def test_elsewhere_the_field_says_nothing_and_is_not_forwarded(ruled: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    assert arm(ruled.ask(get("/heads", "modelctl-arm: new"))) == "old"
    assert arm(ruled.ask(get("/heads", "modelctl-arm: nobody"))) == "old"
    assert arm(ruled.ask(get("/-/preview/named/named", "modelctl-arm: nobody"))) == "new"
    assert old.last("/heads").all(b"modelctl-arm") == []


def test_declared_fields_are_recorded_with_their_first_value_up_to_256_bytes(
    ruled: RouterProcess, old: ModelServer, new: ModelServer, own_id: str
) -> None:
    long = "y" * 300
    ruled.ask(get("/kept", "X-Country: de ", "x-country: fr", f"X-LONG: {long}", "X-Other: 1", f"X-Request-Id: {own_id}"))
    wanted = ((b"x-country", b"de"), (b"x-long", long.encode()[:256]))
    assert ruled.served(own_id).request.headers == wanted
    assert ruled.compared(own_id)[0].served.request.headers == wanted
    ruled.ask(get("/kept", f"X-Request-Id: {own_id}-bare"))
    assert ruled.served(f"{own_id}-bare").request.headers == ()
    ruled.ask(get("/heads", "X-Country: it", f"X-Request-Id: {own_id}-off"))
    assert ruled.served(f"{own_id}-off").request.headers == ()


def test_a_noise_arm_gives_a_second_comparison_with_the_baseline_itself_in_either_order(
    ruled: RouterProcess, old: ModelServer, new: ModelServer
) -> None:
    orders = set()
    for number in range(24):
        name = f"noise-{number}"
        ruled.ask(post("/noisy", b"same", f"X-Request-Id: {name}"))
        compared = ruled.compared(name, 2)
        assert {record.shadow.backend for record in compared} == {"old", "new"}
        assert {record.served.answer.backend for record in compared} == {"old"}
        orders.add(ruled.served(name).shown)
    assert orders == {(("old", "sent"), ("new", "sent")), (("new", "sent"), ("old", "sent"))}
    copies = [arrival for arrival in old.arrivals if arrival.all(b"x-shadow")]
    assert len(copies) == 24
    assert {copy.body for copy in copies} == {b"same"}


def test_what_no_rule_could_look_at_is_counted(start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer) -> None:
    router = start(table(old, new), **SLOW)
    for body in (b"\x1f\x8b", b"", b"{}", b" " * (READABLE + 1)):
        assert router.ask(post("/bodies", body)).status == 200
    assert router.ask(get("/bodies", *SWITCH)).status == 200  # it has no body to wait for
    with router.client() as client:
        client.send(get("/bodies", "Content-Length: 2", method="POST"), b"{")
        assert eventually(lambda: len(old.arrivals) == 6)
        client.send(b"}")
        assert client.read(b"POST").status == 200
    assert router.stop() == 0
    assert "bodies that no rule could look at: too large 1, late 1, no JSON 1" in router.events()
