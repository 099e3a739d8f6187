"""Clients that say that they send no more: they may wait for their answer or have left, and nothing on the wire tells which."""

from time import monotonic

import pytest

from tests.router.model_server import ModelServer, pause, until_left
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Incomplete, get, ok_chunked

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"


def test_a_listener_to_events_that_sends_no_more_has_left(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/events", EVENTS, until_left)
    with router.client() as client:
        client.send(get("/events", f"X-Request-Id: {request_id}"))
        received = b""
        while b"data: 1" not in received:
            received += client.socket.recv(1_000)
        client.half_close()
        left = monotonic()
        assert eventually(lambda: old.arrivals[0].left_at > 0)
        assert old.arrivals[0].left_at - left < 0.6
        assert router.served(request_id).answer.failure == "client-gone"


def test_an_answer_that_goes_on_is_finished(router: RouterProcess, old: ModelServer) -> None:
    old.on("/goes-on", BEGUN, *[step for byte in b"56789" for step in (pause(0.5), bytes([byte]))])
    with router.client() as client:
        client.send(get("/goes-on"))
        client.half_close()
        assert client.read().body == b"0123456789"


def test_an_answer_that_stands_still_is_given_up(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/stands-still", BEGUN, until_left)
    with router.client() as client:
        client.send(get("/stands-still", f"X-Request-Id: {request_id}"))
        client.half_close()
        with pytest.raises(Incomplete):
            client.read()
    assert eventually(lambda: old.arrivals[0].left_at > 0)
    assert router.served(request_id).answer.failure == "client-gone"


def test_an_answer_without_a_length_is_given_whole(router: RouterProcess, old: ModelServer) -> None:
    old.on("/chunks", pause(0.2), ok_chunked(b"x" * 100_000, b"y"))
    with router.client() as client:
        client.send(get("/chunks"))
        client.half_close()
        assert client.read().body == b"x" * 100_000 + b"y"
