"""Many requests on one connection, however their bytes are cut: answered in order, none lost."""

import random
from time import sleep

import pytest

from modelctl.router.client import MAX_AHEAD
from tests.router.model_server import ModelServer, pause
from tests.router.process import RouterProcess
from tests.router.wire import get, ok, post, post_chunked

REQUESTS = (
    post("/cut/1?q=1", b"0123456789" * 5, "X-One: 1", "X-Request-Id: a") + post_chunked("/cut/2", b"Wiki", b"p" * 300, b"edia")
) + get("/cut/3", "X-Request-Id: c")


def _seen(old: ModelServer) -> list[tuple[bytes, bytes, list[tuple[bytes, bytes]]]]:
    made_anew = (b"traceparent", b"x-request-id")
    return [
        (arrival.line, arrival.body, [field for field in arrival.fields if field[0] not in made_anew])
        for arrival in old.got("/cut", 3)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_however_the_bytes_are_cut_the_same_requests_are_forwarded(router: RouterProcess, old: ModelServer, seed: int) -> None:
    with router.client() as client:
        client.send(REQUESTS)
        whole = [client.read(method) for method in (b"POST", b"POST", b"GET")]
        expected = _seen(old)
        old.arrivals.clear()
        chance = random.Random(seed)
        cuts = sorted(chance.sample(range(1, len(REQUESTS)), 1 + seed * 3))
        for start, end in zip([0, *cuts], [*cuts, len(REQUESTS)], strict=True):
            client.send(REQUESTS[start:end])
            sleep(0.002)
        again = [client.read(method) for method in (b"POST", b"POST", b"GET")]
    assert [reply.status for reply in whole + again] == [200] * 6
    assert _seen(old) == expected


def test_every_single_byte_on_its_own_makes_the_same_requests(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        for number in range(len(REQUESTS)):
            client.send(REQUESTS[number : number + 1])
        assert [client.read(method).status for method in (b"POST", b"POST", b"GET")] == [200] * 3
    assert [arrival.body for arrival in old.got("/cut", 3)] == [b"0123456789" * 5, b"Wiki" + b"p" * 300 + b"edia", b""]


def test_answers_come_in_the_order_of_the_requests(router: RouterProcess, old: ModelServer) -> None:
    old.on("/slow", pause(0.2), ok(b"slow"))
    old.on("/fast", ok(b"fast"))
    with router.client() as client:
        client.send(get("/slow") + get("/fast") + get("/slow") + get("/fast"))
        assert [client.read().body for _ in range(4)] == [b"slow", b"fast", b"slow", b"fast"]


def test_hundreds_of_requests_in_one_piece_are_all_answered(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(b"".join(get(f"/many/{number}", f"X-Request-Id: {number}") for number in range(400)))
        assert [client.read().one(b"x-request-id") for _ in range(400)] == [str(number).encode() for number in range(400)]


def test_more_requests_ahead_than_may_wait_end_the_connection_behind_those_that_may(
    router: RouterProcess, old: ModelServer
) -> None:
    old.on("/first", pause(0.2), ok())
    with router.client() as client:
        client.send(get("/first") + get("/many") * 5_000)
        replies = [client.read() for _ in range(1 + MAX_AHEAD)]
        assert [reply.status for reply in replies] == [200] * (1 + MAX_AHEAD)
        assert [reply.all(b"connection") for reply in replies[:-1]] == [[]] * MAX_AHEAD
        assert replies[-1].one(b"connection") == b"close"
        assert client.rest() == b""
    assert len(old.got("/many", MAX_AHEAD)) == MAX_AHEAD


def test_hundreds_of_refusals_in_a_row_are_all_written(router: RouterProcess) -> None:
    with router.client() as client:
        client.send(get("/-/nothing") * MAX_AHEAD)
        assert {client.read().status for _ in range(MAX_AHEAD)} == {404}


def test_an_error_in_the_second_request_does_not_lose_the_first_answer(router: RouterProcess, old: ModelServer) -> None:
    old.on("/slow", pause(0.2), ok(b"slow"))
    with router.client() as client:
        client.send(get("/slow") + b"NONSENSE\r\n\r\n")
        assert client.read().body == b"slow"
        assert client.read().status == 400
        assert client.rest() == b""


def test_a_refusal_between_two_requests_keeps_its_place_and_ends_the_connection(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(get("/first") + get("/second/../x") + get("/third"))
        assert client.read().status == 200
        assert client.read().one(b"modelctl-error") == b"bad-path"
        assert client.rest() == b""
    assert [arrival.target for arrival in old.arrivals] == [b"/first"]


def test_requests_behind_connection_close_are_not_executed(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(get("/first", "Connection: close") + get("/second"))
        assert client.read().one(b"connection") == b"close"
        assert client.rest() == b""
    assert [arrival.target for arrival in old.arrivals] == [b"/first"]


def test_all_requests_before_a_half_close_are_answered(router: RouterProcess, old: ModelServer) -> None:
    old.on("/slow", pause(0.2), ok(b"slow"))
    with router.client() as client:
        client.send(get("/slow") + get("/fast") + get("/slow"))
        client.half_close()
        assert [client.read().body for _ in range(3)] == [b"slow", b"{}", b"slow"]
        assert client.rest() == b""


def test_a_request_that_waits_its_turn_longer_than_bodies_may_take_is_not_called_slow(
    router: RouterProcess, old: ModelServer
) -> None:
    old.on("/slow", pause(1.6), ok(b"slow"))
    with router.client() as client:
        client.send(get("/slow") + get("/next", "Content-Length: 4", method="POST") + b"ab")
        assert client.read().body == b"slow"
        client.send(b"cd")
        assert client.read(b"POST").status == 200
    assert old.last("/next").body == b"abcd"


def test_a_request_that_waits_its_turn_is_told_to_send_its_body_then(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(get("/first") + get("/second", "Content-Length: 2", "Expect: 100-continue", method="POST"))
        assert client.read().status == 200
        client.wait_for(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(b"{}")
        assert client.read(b"POST").status == 200


def test_a_head_behind_a_large_body_is_not_taken_for_a_large_head(router: RouterProcess, old: ModelServer) -> None:
    body = b"x" * 200_000
    next_request = get("/next")
    with router.client() as client:
        client.send(post("/large", body) + next_request[:20])
        assert client.read(b"POST").status == 200
        client.send(next_request[20:])
        assert client.read().status == 200


def test_a_head_behind_others_in_a_longer_read_is_not_taken_for_a_large_head(router: RouterProcess) -> None:
    one = get("/-/preview/nobody", "x-filler: " + "f" * 1_000)
    with router.client() as client:
        client.send(one[:50])
        sleep(0.1)
        client.send(one[50:] + one * 120 + one[:50])
        sleep(0.1)
        client.send(one[50:])
        assert [client.read().status for _ in range(122)] == [404] * 122


def test_a_bare_cr_before_a_request_that_came_before_is_refused(router: RouterProcess) -> None:
    with router.client() as client:
        assert [client.ask(get("/-/preview/nobody")).status for _ in range(2)] == [404, 404]
        client.send(b"\r")
        sleep(0.1)
        assert client.ask(get("/-/preview/nobody")).status == 400


def test_blank_lines_before_a_request_are_skipped(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(b"\r\n\r\n" + get("/blank")).status == 200
