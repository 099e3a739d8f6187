"""Streams of events: when the first one was there, how they ended, and that nobody goes on for a client who has left."""

from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.router.events import LIMIT, EventScan
from tests.router.model_server import ModelServer, Step, close, pause, until_left
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Incomplete, chunked, get, ok, ok_chunked, post

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk, without the last."""
    return chunked(data)[:-5]


# -- the first event


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\n"])
def test_the_first_event_is_there_with_its_blank_line(router: RouterProcess, old: ModelServer, request_id: str, end: bytes) -> None:
    old.on("/events", SSE, pause(0.1), chunk(b"data: 1" + end[:1]), pause(0.1), chunk(end[1:]), pause(0.1), chunked(b"data: 2\n\n"))
    assert router.ask(get("/events", f"X-Request-Id: {request_id}")).body == b"data: 1" + end + b"data: 2\n\n"
    answer = router.served(request_id).answer
    assert answer.first_byte + 180_000 < answer.first_event
    assert answer.first_event + 80_000 < answer.latency


def test_a_first_event_in_the_first_read_is_there_at_once(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/events", SSE + chunk(b"event: token\ndata: 1\n\n"), pause(0.2), chunked(b"data: 2\n\n"))
    router.ask(get("/events", f"X-Request-Id: {request_id}"))
    answer = router.served(request_id).answer
    assert 0 < answer.first_event < answer.first_byte + 100_000
    assert answer.latency > answer.first_event + 150_000


def test_a_comment_that_keeps_the_connection_alive_is_no_event(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/events", SSE + chunk(b": ping\n\n"), pause(0.2), chunked(b"data: 1\n\n"))
    router.ask(get("/events", f"X-Request-Id: {request_id}"))
    answer = router.served(request_id).answer
    assert answer.first_event > answer.first_byte + 150_000


@pytest.mark.parametrize(
    "type_", ["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream ;x=y", "text/event-stream;charset=utf-8"]
)
def test_a_stream_of_events_says_so_in_its_type(router: RouterProcess, old: ModelServer, request_id: str, type_: str) -> None:
    old.on("/events", ok_chunked(b"data: 1\n\n", fields=(f"Content-Type: {type_}",)))
    router.ask(get("/events", f"X-Request-Id: {request_id}"))
    assert router.served(request_id).answer.first_event > 0


NO_EVENTS = {
    "another type": ok(b"data: 1\n\n", "Content-Type: text/plain"),
    "a longer type": ok(b"data: 1\n\n", "Content-Type: text/event-streams"),
    "encoded": ok(b"data: 1\n\n", "Content-Type: text/event-stream", "Content-Encoding: gzip"),
    "no whole event": ok(b"data: 1\n", "Content-Type: text/event-stream"),
    "empty": ok(b"", "Content-Type: text/event-stream"),
    "none before the limit": ok(b": ping\n\n" * (LIMIT // 8 + 40_000) + b"data: 1\n\n", "Content-Type: text/event-stream"),
}


@pytest.mark.parametrize("name", NO_EVENTS)
def test_what_holds_no_event_has_none(router: RouterProcess, old: ModelServer, request_id: str, name: str) -> None:
    old.on("/events", NO_EVENTS[name])
    with router.client() as client:
        client.ask(get("/events", f"X-Request-Id: {request_id}"))
        old.on("/events", ok(b"data: 1\n\n", "Content-Type: text/event-stream"))
        client.ask(get("/events", f"X-Request-Id: {request_id}-next"))
    assert router.served(request_id).answer.first_event == 0
    assert router.served(f"{request_id}-next").answer.first_event > 0


def test_streams_with_one_head_have_each_their_own_first_event(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    known_length = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata:"
    old.on("/events", known_length, pause(0.1), b" 1\n\n")
    with router.client() as client:
        for number in range(3):
            assert client.ask(get("/events", f"X-Request-Id: {request_id}-{number}")).body == b"data: 1\n\n"
    for number in range(3):
        answer = router.served(f"{request_id}-{number}").answer
        assert answer.first_event > answer.first_byte + 80_000


# -- streams that are shown


def test_a_stream_is_shown_once_its_request_is_complete_and_compared_once(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    old.on("/shown", SSE, pause(0.1), chunk(b"data: 1\n\n"), pause(0.1), chunked(b"data: 2\n\n"))
    new.on("/shown", SSE, pause(0.2), chunk(b"data: 1\r"), pause(0.1), chunked(b"\rdata: 3\n\n"))
    request = post("/shown", b"0123456789", f"X-Request-Id: {request_id}")
    with router.client() as client:
        client.send(request[:-5])
        assert eventually(lambda: bool(old.arrivals))
        pause(0.1)(client.socket)
        assert new.arrivals == []
        client.send(request[-5:])
        assert client.read(b"POST").body == b"data: 1\n\ndata: 2\n\n"
    assert len(new.got("/shown", 1)) == 1
    (compared,) = router.compared(request_id)
    answer, shadow = compared.served.answer, compared.shadow
    assert (answer.failure, shadow.failure) == ("", "")
    assert (answer.body, shadow.body) == (b"data: 1\n\ndata: 2\n\n", b"data: 1\r\rdata: 3\n\n")
    assert answer.first_byte + 80_000 < answer.first_event < answer.latency
    assert shadow.first_byte + 250_000 < shadow.first_event <= shadow.latency


CUTS: dict[str, tuple[tuple[Step, ...], tuple[Step, ...], tuple[str, str]]] = {
    "the answer": ((pause(0.1), close), (chunked(b"data: 2\n\n"),), ("truncated", "")),
    "the shown arm": ((pause(0.1), chunked(b"data: 2\n\n")), (close,), ("", "truncated")),
    "both": ((pause(0.1), close), (close,), ("truncated", "truncated")),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_stream_is_recorded_as_cut(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str, name: str
) -> None:
    answering, shown, failures = CUTS[name]
    old.on("/shown", SSE + chunk(b"data: 1\n\n"), *answering)
    new.on("/shown", SSE + chunk(b"data: 1\n\n"), *shown)
    with router.client() as client:
        client.send(get("/shown", f"X-Request-Id: {request_id}"))
        if failures[0]:
            with pytest.raises(Incomplete):
                client.read()
        else:
            assert client.read().body == b"data: 1\n\ndata: 2\n\n"
    (compared,) = router.compared(request_id)
    assert (compared.served.answer.failure, compared.shadow.failure) == failures
    assert compared.served.answer.first_event > 0
    assert compared.shadow.first_event > 0


def test_a_client_that_leaves_mid_stream_ends_the_servers_work_at_once(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    for server in (old, new):
        server.on("/shown", SSE + chunk(b"data: 1\n\n"), until_left)
    client = router.client()
    client.send(get("/shown", f"X-Request-Id: {request_id}"))
    assert client.socket.recv(1_000)
    assert eventually(lambda: bool(new.arrivals))
    client.socket.close()
    left = monotonic()
    assert eventually(lambda: old.arrivals[0].left_at > 0 and new.arrivals[0].left_at > 0)
    assert max(server.arrivals[0].left_at for server in (old, new)) - left < 1.0
    answer = router.served(request_id).answer
    assert (answer.status, answer.failure) == (200, "client-gone")
    assert answer.first_event > 0


# -- the scan by itself


def dispatched(stream: bytes) -> bool:
    """Whether a stream holds an event, read whole and line by line (WHATWG HTML 9.2.6)."""
    data = False
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for line in lines[:-1]:
        if line.partition(b":")[0] == b"data":
            data = True
        elif not line:
            if data:
                return True
            data = False
    return False


@given(
    st.lists(st.sampled_from([b"data", b":", b"data:", b" 1", b"\n", b"\r", b"\r\n", b"dat", b"a", b"event: x", b""]), max_size=20)
)
def test_however_a_stream_is_cut_its_first_event_is_found_where_it_ends(pieces: list[bytes]) -> None:
    scan, seen = EventScan(), b""
    for piece in pieces:
        found = scan.found([piece])
        seen += piece
        assert found == dispatched(seen)
        if found:
            break


def test_a_byte_order_mark_may_come_first() -> None:
    assert EventScan().found([b"\xef\xbb\xbfdata: 1\n\n"])
    scan = EventScan()
    assert not any(scan.found([bytes([byte])]) for byte in b"\xef\xbb\xbfdata: 1\n")
    assert scan.found([b"\n"])
