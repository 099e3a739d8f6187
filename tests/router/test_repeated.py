"""Heads that come again byte for byte, and long bodies, are not parsed twice: nobody must be able to tell."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from modelctl.router.head import RequestHead
from modelctl.router.intake import KnownHeads
from tests.router.model_server import ModelServer, close, pause
from tests.router.process import RouterProcess
from tests.router.wire import Client, Incomplete, Reply, get, ok, post


def test_requests_with_one_head_keep_their_own_bodies(router: RouterProcess, old: ModelServer) -> None:
    bodies = [b"%04d" % number for number in range(20)]
    with router.client() as client:
        ids = {client.ask(post("/again", body)).one(b"x-request-id") for body in bodies}
    assert [arrival.body for arrival in old.got("/again")] == bodies
    assert len(ids) == 20
    assert len({arrival.one(b"x-request-id") for arrival in old.got("/again")}) == 20


def test_a_head_known_from_one_client_serves_another(router: RouterProcess, old: ModelServer) -> None:
    for source in ("127.0.0.1", "127.0.0.3"):
        with Client(router.port, source=source) as client:
            assert client.ask(post("/shared", b"1234")).status == 200
    assert [arrival.one(b"x-forwarded-for") for arrival in old.got("/shared")] == [b"127.0.0.1", b"127.0.0.3"]


@pytest.mark.parametrize("cut", [1, 30, 60, -5, -4, -1])
def test_a_known_request_in_two_reads_is_the_same_request(router: RouterProcess, old: ModelServer, cut: int) -> None:
    request = post(f"/cut/{cut}", b"12345")
    with router.client() as client:
        client.ask(request)
        client.send(request[:cut])
        pause(0.05)(client.socket)
        client.send(request[cut:])
        assert client.read(b"POST").status == 200
        assert client.ask(request).status == 200
    assert [arrival.body for arrival in old.got(f"/cut/{cut}")] == [b"12345"] * 3


@pytest.mark.parametrize("odd", [b"\r", b"\n", b"\r\n\r"])
def test_a_bare_line_end_in_an_earlier_read_spoils_a_known_request(router: RouterProcess, old: ModelServer, odd: bytes) -> None:
    with router.client() as client:
        client.ask(get("/known"))
        client.send(odd)
        pause(0.05)(client.socket)
        assert client.ask(get("/known")).status == 400
    assert len(old.got("/known")) == 1


def test_an_empty_line_in_reads_of_its_own_spoils_nothing(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.ask(get("/known"))
        for piece in (b"\r", b"\n"):
            client.send(piece)
            pause(0.05)(client.socket)
        assert [client.ask(get("/known")).status for _ in range(2)] == [200, 200]
        assert client.ask(get("/unknown")).status == 200


def test_known_requests_sent_at_once_are_answered_in_order(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.ask(post("/line", b"0"))
        client.send(b"".join(post("/line", b"%d" % number) for number in range(1, 8)))
        assert [client.read(b"POST").status for _ in range(7)] == [200] * 7
    assert [arrival.body for arrival in old.got("/line")] == [b"%d" % number for number in range(8)]


def test_a_known_head_with_more_behind_it_is_read_anew(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.ask(get("/more"))
        client.send(get("/more") + b"GET /more HTTP/1.1\r\nbad\r\n\r\n")
        assert [client.read().status, client.read().status] == [200, 400]
    assert len(old.got("/more")) == 2


@pytest.mark.parametrize("change", [b"GET /x%2fy HTTP/1.1\r\n", b"GET /one HTTP/1.0\r\n", b"GET /one HTTP/1.1\r\nHost: b\r\n"])
def test_one_other_byte_makes_another_head(router: RouterProcess, old: ModelServer, change: bytes) -> None:
    known = get("/one")
    with router.client() as client:
        assert [client.ask(known).status for _ in range(3)] == [200] * 3
        reply = client.ask(change + known.partition(b"\r\n")[2])
    assert reply.status == (200 if b"1.0" in change else 400)


def test_a_head_without_some_of_its_lines_is_otherwise_the_same() -> None:
    head = RequestHead()
    names = [
        name for name in dir(head) if name[0] != "_" and not callable(getattr(head, name)) and name not in ("framing", "lines")
    ]
    given = {
        "hosts": 1,
        "hops": 2,
        "encoded": 3,
        "length": 4,
        "expects": True,
        "upgrade": True,
        "last": True,
        "keyed": True,
        "switches": True,
        "trailers": True,
        "version": "1.0",
    }
    lists: dict[str, object] = {"connection": [b"close"], "codings": [b"chunked"], "forwarded": [b"x-forwarded-for: a\r\n"]}
    values: dict[str, object] = {name: name.encode() for name in names} | given | lists
    for name in names:
        if name != "taken":
            setattr(head, name, values[name])
    head.lines = [b"a: 1\r\n", b"b: 2\r\n", b"a: 3\r\n"]
    left = head.without([b"a: 1\r\n"], [b"a: who\r\n"])
    assert (left.lines, left.taken, left.raw) == ([b"b: 2\r\n", b"a: 3\r\n"], [b"a: who\r\n"], b"")
    assert left.start == b"method target HTTP/1.1\r\nhost: host\r\ntransfer-encoding: chunked\r\nb: 2\r\na: 3\r\n"
    assert {name: getattr(left, name) for name in names} == values | {"taken": left.taken, "raw": b"", "start": left.start}
    assert left.unit(b"a") == b"3"
    assert left.without([b"a: 3\r\n"], [b"a: who\r\n"]).unit(b"a") == b"who"
    assert len(head.lines) == 3


def test_bytes_behind_a_long_body_are_the_next_request(router: RouterProcess, old: ModelServer) -> None:
    body = b"a" * 300_000
    with router.client() as client:
        client.send(post("/long", body) + get("/next") + post("/long", body))
        assert [client.read(b"POST").status, client.read().status, client.read(b"POST").status] == [200] * 3
        assert client.ask(get("/next")).status == 200
    assert [arrival.body for arrival in old.got("/long")] == [body, body]
    assert len(old.got("/next")) == 2


def answers(client: Client, number: int) -> list[Reply]:
    return [client.ask(get("/answers")) for _ in range(number)]


def test_answers_with_one_head_keep_their_own_bodies(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        for body in (b"1111", b"2222", b"3333"):
            old.on("/answers", ok(body))
            assert client.ask(get("/answers")).body == body


def test_a_long_answer_is_whole_whether_its_head_is_known_or_not(router: RouterProcess, old: ModelServer) -> None:
    body = bytes(range(256)) * 4_000
    old.on("/answers", ok(body))
    with router.client() as client:
        got = [sha256(reply.body).digest() for reply in answers(client, 4)]
    assert got == [sha256(body).digest()] * 4
    assert len({arrival.connection for arrival in old.got("/answers")}) == 1


@pytest.mark.parametrize("kept", [0, 1, 70_000])
def test_a_known_answer_that_breaks_off_is_not_ended_cleanly(router: RouterProcess, old: ModelServer, kept: int) -> None:
    whole = ok(b"x" * 80_000)
    old.on("/answers", whole)
    with router.client() as client:
        answers(client, 2)
        old.on("/answers", whole[: len(whole) - 80_000 + kept], close)
        with pytest.raises(Incomplete):
            answers(client, 1)


@pytest.mark.parametrize("size", [4, 100_000])
def test_bytes_behind_a_known_answer_are_nobodys(router: RouterProcess, old: ModelServer, size: int) -> None:
    whole = ok(b"x" * size)
    old.on("/answers", whole)
    with router.client() as client:
        answers(client, 2)
        old.on("/answers", whole + ok(b"smuggled"))
        assert answers(client, 1)[0].body == b"x" * size
        old.on("/answers", ok(b"good"))
        assert [reply.body for reply in answers(client, 2)] == [b"good", b"good"]
    assert old.got("/answers")[-1].connection != old.got("/answers")[-3].connection


def test_the_answer_to_head_is_not_taken_for_the_answer_to_get(router: RouterProcess, old: ModelServer) -> None:
    old.on("/answers", ok(b"1234"))
    with router.client() as client:
        answers(client, 2)
        old.on("/answers", ok(b"1234")[:-4])
        reply = client.ask(get("/answers", method="HEAD"))
        assert (reply.body, reply.one(b"content-length")) == (b"", b"4")
        old.on("/answers", ok(b"1234"))
        assert answers(client, 1)[0].body == b"1234"


def finished(line: bytes, change: Callable[[RequestHead], None] = lambda head: None) -> RequestHead:
    head = RequestHead()
    head.method, _, head.target = line.partition(b" ")
    change(head)
    head.finish()
    return head


def test_what_is_remembered_is_bounded() -> None:
    known = KnownHeads()
    requests = [b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number for number in range(5_000)]
    for request in requests:
        known.remember(finished(request[: request.index(b" HTTP")]), request)
    assert sum(known.find(request) is not None for request in requests) <= 1_024
    assert known.find(requests[-1] + b"more") is not None
    long = b"GET /" + b"x" * 2_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n"
    known.remember(finished(b"GET /"), long)
    assert known.find(long) is None


def test_what_says_something_about_one_request_alone_is_not_remembered() -> None:
    def traced(head: RequestHead) -> None:
        head.traceparent = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"

    def named(head: RequestHead) -> None:
        head.request_id = b"mine"

    known = KnownHeads()
    request = b"GET /once HTTP/1.1\r\nhost: a\r\n\r\n"
    for change in (traced, named):
        known.remember(finished(b"GET /once", change), request)
        assert known.find(request) is None
