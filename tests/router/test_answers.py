"""What reaches the client: the model server's answer, framed anew, with the router's marks and nobody else's."""

from time import sleep

import pytest

from tests.router.model_server import ModelServer, close, pause
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Client, get, ok, ok_chunked, post


def test_end_to_end_fields_come_through_in_order_and_set_cookie_lines_stay_apart(router: RouterProcess, old: ModelServer) -> None:
    fields = ("Date: Mon, 01 Jan 2024 00:00:00 GMT", "Server: triton", "Set-Cookie: a=1; Path=/", "X-B: \xe9", "Set-Cookie: b=2, c")
    old.on("/cookies", ok(b"{}", *fields))
    reply = router.ask(get("/cookies"))
    assert reply.all(b"set-cookie") == [b"a=1; Path=/", b"b=2, c"]
    assert reply.one(b"date") == b"Mon, 01 Jan 2024 00:00:00 GMT"
    assert reply.one(b"server") == b"triton"
    assert reply.one(b"x-b") == b"\xe9"


def test_hop_by_hop_fields_of_the_answer_stay_on_their_hop(router: RouterProcess, old: ModelServer) -> None:
    fields = (
        "Connection: X-Private, keep-alive",
        "Connection: x-other",
        "X-Private: 1",
        "X-Other: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Proxy-Connection: close",
        "Trailer: X-Sum",
        "Upgrade: h2c",
        "TE: trailers",
        "X-Public: 1",
    )
    old.on("/hop", ok(b"{}", *fields))
    names = {name.lower() for name, _ in router.ask(get("/hop")).fields}
    gone = {b"connection", b"x-private", b"x-other", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"trailer", b"te"}
    assert not names & (gone | {b"upgrade"})
    assert b"x-public" in names


def test_fields_named_beside_close_are_dropped_too(router: RouterProcess, old: ModelServer) -> None:
    old.on("/named", ok(b"{}", "Connection: close, X-Private", "X-Private: 1"), close)
    reply = router.ask(get("/named"))
    assert reply.all(b"x-private") == []


def test_the_answering_arm_is_named(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(get("/arm")).one(b"modelctl-arm") == b"old"


def test_the_name_of_the_arm_can_be_switched_off(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(get("/quiet")).all(b"modelctl-arm") == []


def test_a_model_server_cannot_speak_in_the_routers_name(router: RouterProcess, old: ModelServer) -> None:
    fields = ("modelctl-arm: new", "Modelctl-Error: overload", "X-Request-Id: theirs", "x-modelctl-arm: new")
    old.on("/spoof", ok(b"{}", *fields))
    reply = router.ask(get("/spoof", "X-Request-Id: mine"))
    assert reply.one(b"modelctl-arm") == b"old"
    assert reply.all(b"modelctl-error") == []
    assert reply.all(b"x-modelctl-arm") == []
    assert reply.one(b"x-request-id") == b"mine"


@pytest.mark.parametrize("status", [201, 299, 302, 404, 418, 429, 499, 500, 503, 599])
def test_every_status_is_passed_on_and_nothing_is_followed(router: RouterProcess, old: ModelServer, status: int) -> None:
    old.on("/status", b"HTTP/1.1 %d Own Words\r\nContent-Length: 2\r\nLocation: /elsewhere\r\nRetry-After: 2\r\n\r\nno" % status)
    reply = router.ask(get("/status"))
    assert reply.status == status
    assert reply.body == b"no"
    assert reply.one(b"retry-after") == b"2"
    assert reply.all(b"modelctl-error") == []
    assert len(old.got("/")) == 1


def test_an_answer_with_a_length_keeps_it(router: RouterProcess, old: ModelServer) -> None:
    old.on("/length", ok(b"x" * 1000))
    reply = router.ask(get("/length"))
    assert reply.one(b"content-length") == b"1000"
    assert reply.all(b"transfer-encoding") == []


def test_chunks_are_passed_on_without_extensions_and_trailers(router: RouterProcess, old: ModelServer) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    old.on("/chunks", head + b'4;a="b"\r\nWiki\r\n5\r\npedia\r\n0;end\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n')
    with router.client() as client:
        reply = client.ask(get("/chunks"))
        assert reply.body == b"Wikipedia"
        assert reply.one(b"transfer-encoding") == b"chunked"
        assert reply.all(b"x-sum") == reply.all(b"set-cookie") == []
        assert client.ask(get("/after")).status == 200


def test_an_answer_in_many_small_chunks_is_whole(router: RouterProcess, old: ModelServer) -> None:
    pieces = [bytes([65 + number % 26]) * (number % 7 + 1) for number in range(300)]
    old.on("/many", ok_chunked(*pieces))
    assert router.ask(get("/many")).body == b"".join(pieces)


def test_an_empty_chunked_answer_is_whole(router: RouterProcess, old: ModelServer) -> None:
    old.on("/empty", ok_chunked())
    with router.client() as client:
        assert client.ask(get("/empty")).body == b""
        assert client.ask(get("/after")).status == 200


def test_chunks_reach_an_http_1_0_client_as_plain_bytes_until_the_end_of_the_connection(
    router: RouterProcess, old: ModelServer
) -> None:
    old.on("/chunks", ok_chunked(b"Wiki", b"pedia"))
    with router.client() as client:
        client.send(b"GET /chunks HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        answer = client.rest()
    assert answer.endswith(b"\r\n\r\nWikipedia")
    assert b"transfer-encoding" not in answer.lower()
    assert b"connection: close" in answer.lower()


def test_an_http_1_0_client_that_asks_for_it_keeps_its_connection(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        first = client.ask(b"GET /old-client HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        assert first.one(b"connection") == b"keep-alive"
        assert client.ask(b"GET /old-client HTTP/1.0\r\nHost: a\r\n\r\n").one(b"connection") == b"close"
        assert client.rest() == b""


def test_an_answer_that_ends_with_its_connection_is_framed_for_the_client(router: RouterProcess, old: ModelServer) -> None:
    old.on("/until", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall ", pause(0.05), b"of it", close)
    with router.client() as client:
        reply = client.ask(get("/until"))
        assert reply.body == b"all of it"
        assert reply.one(b"transfer-encoding") == b"chunked"
        assert client.ask(get("/after")).status == 200


def test_an_empty_answer_that_ends_with_its_connection_is_an_empty_answer(router: RouterProcess, old: ModelServer) -> None:
    old.on("/nothing", b"HTTP/1.0 200 OK\r\n\r\n", close)
    assert router.ask(get("/nothing")).body == b""


def test_an_http_1_0_server_is_understood_and_its_connection_not_used_again(router: RouterProcess, old: ModelServer) -> None:
    old.on("/http-1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", pause(0.1), close)
    for _ in range(5):
        assert router.ask(get("/http-1.0")).body == b"ok"
    assert len({arrival.connection for arrival in old.got("/http-1.0", 5)}) == 5


def test_the_answer_to_head_has_a_length_and_no_body_and_both_connections_go_on(router: RouterProcess, old: ModelServer) -> None:
    old.on("/head", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    with router.client() as client:
        reply = client.ask(get("/head", method="HEAD"))
        assert reply.one(b"content-length") == b"500"
        assert reply.body == b""
        assert client.ask(get("/other")).body == b"{}"
        assert client.ask(get("/head", method="HEAD")).one(b"content-length") == b"500"
    assert old.last("/other").connection == old.last("/head").connection


def test_the_answer_to_head_in_chunks_has_no_body_either(router: RouterProcess, old: ModelServer) -> None:
    old.on("/head", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with router.client() as client:
        assert client.ask(get("/head", method="HEAD")).body == b""
        assert client.ask(get("/other")).body == b"{}"


def test_a_body_sent_in_answer_to_head_never_becomes_another_answer(router: RouterProcess, old: ModelServer) -> None:
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    old.on("/head-body", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(evil) + evil)
    with router.client() as client:
        assert client.ask(get("/head-body", method="HEAD")).body == b""
        assert client.ask(get("/other")).body == b"{}"
    assert old.last("/other").connection != old.last("/head-body").connection


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_a_body_end_with_their_head(router: RouterProcess, old: ModelServer, status: bytes) -> None:
    old.on("/bodyless", b"HTTP/1.1 " + status + b'\r\nETag: "x"\r\n\r\n')
    with router.client() as client:
        reply = client.ask(get("/bodyless"))
        assert reply.status == int(status[:3])
        assert reply.all(b"transfer-encoding") == []
        assert client.ask(get("/after")).status == 200
    assert old.last("/after").connection == old.last("/bodyless").connection


def test_a_304_may_say_how_long_the_answer_would_be(router: RouterProcess, old: ModelServer) -> None:
    old.on("/304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
    with router.client() as client:
        assert client.ask(get("/304")).one(b"content-length") == b"77"
        assert client.ask(get("/after")).body == b"{}"


def test_an_unasked_second_answer_is_not_given_to_the_next_request(router: RouterProcess, old: ModelServer) -> None:
    old.on("/double", ok(b"first") + ok(b"second"))
    with router.client() as client:
        assert client.ask(get("/double")).body == b"first"
        assert client.ask(get("/next")).body == b"{}"
    assert old.last("/next").connection != old.last("/double").connection


def test_an_answer_that_comes_while_nobody_asked_is_thrown_away(router: RouterProcess, old: ModelServer) -> None:
    old.on("/late", ok(b"first"), pause(0.05), ok(b"late"))
    with router.client() as client:
        assert client.ask(get("/late")).body == b"first"
        sleep(0.15)
        assert client.ask(get("/next")).body == b"{}"


def test_a_compressed_body_stays_compressed(router: RouterProcess, old: ModelServer) -> None:
    old.on("/gzip", ok(b"\x1f\x8b\x08not really", "Content-Encoding: gzip"))
    reply = router.ask(get("/gzip"))
    assert reply.body == b"\x1f\x8b\x08not really"
    assert reply.one(b"content-encoding") == b"gzip"


def test_an_answer_ahead_of_the_whole_request_is_passed_on_and_the_connections_end(router: RouterProcess, old: ModelServer) -> None:
    old.on("/early", b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig", pause(0.3), early=True)
    with router.client() as client:
        client.send(get("/early", "Content-Length: 1000000", method="POST"), b"x" * 1000)
        reply = client.read(b"POST")
        assert (reply.status, reply.body) == (413, b"big")
        assert reply.one(b"connection") == b"close"
        client.send(b"x" * 1000)
        assert client.rest() == b""
    assert not any(arrival.complete for arrival in old.arrivals)


def _sends(client: Client, data: bytes) -> bool:
    """Whether the other side still takes data."""
    try:
        client.send(data)
    except OSError:
        return False
    return True


def test_a_client_that_sends_on_after_an_early_answer_does_not_hurt_the_router(router: RouterProcess, old: ModelServer) -> None:
    old.on("/early", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad", early=True)
    with router.client() as client:
        client.send(get("/early", "Content-Length: 1000000", method="POST"), b"x" * 1000)
        assert client.read(b"POST").status == 400
        assert eventually(lambda: not _sends(client, b"x" * 100), 5)
    assert router.ask(get("/after")).status == 200
    assert router.ask(b"GET").status == 408  # deadlines still work


def test_a_client_is_told_to_send_its_body_and_the_expectation_ends_here(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(get("/expect", "Content-Length: 5", "Expect: 100-Continue", method="POST"))
        client.wait_for(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(b"hello")
        assert client.read(b"POST").status == 200
    assert old.last("/expect").all(b"expect") == []
    assert old.last("/expect").body == b"hello"


def test_a_client_that_does_not_wait_for_100_continue_is_served_too(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(post("/expect", b"hello", "Expect: 100-continue")).status == 200
    assert old.last("/expect").body == b"hello"


def test_an_http_1_0_client_gets_no_interim_answer(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(b"POST /expect HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}")
        assert client.rest().startswith(b"HTTP/1.1 200 ")
