"""Arms that are shown a request: they get the same bytes, their answers are compared, and the client never feels them."""

import threading

import pytest

from modelctl.router.table import SHADOW_PENDING
from tests.router.model_server import ModelServer, Step, close, pause, reset, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Client, get, ok, ok_chunked, post, post_chunked


def test_a_shown_arm_gets_the_same_request_marked_as_a_copy(router: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    router.ask(post("/shown/a?b=1", b"same bytes", "Content-Type: text/plain", "X-Custom: 1", "X-Request-Id: twice"))
    answered, shown = old.last("/shown"), new.last("/shown")
    assert shown.line == answered.line
    assert shown.body == answered.body == b"same bytes"
    assert shown.one(b"x-shadow") == b"1"
    assert answered.all(b"x-shadow") == []
    assert [field for field in shown.fields if field[0] != b"x-shadow"] == answered.fields


def test_a_shown_arm_gets_a_chunked_body_with_its_length(router: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    router.ask(post_chunked("/shown", b"Wiki", b"pedia"))
    shown = new.last("/shown")
    assert shown.one(b"content-length") == b"9"
    assert shown.all(b"transfer-encoding") == []
    assert shown.body == b"Wikipedia"


def test_both_answers_are_written_down_together(router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str) -> None:
    old.on("/shown", ok(b'"cat"', "Content-Type: application/json"))
    new.on("/shown", pause(0.1), b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n", b'"dog"')
    reply = router.ask(post("/shown", b"pet", f"X-Request-Id: {request_id}"))
    assert (reply.body, reply.one(b"modelctl-arm")) == (b'"cat"', b"old")
    (compared,) = router.compared(request_id)
    served = router.served(request_id)
    assert compared.served == served
    assert served.shown == (("new", "sent"),)
    assert (served.context.rollout, served.context.stage, served.answer.body) == (7, 9, b'"cat"')
    shadow = compared.shadow
    assert (shadow.backend, shadow.status, shadow.failure) == ("new", 500, "")
    assert (shadow.content_type, shadow.body, shadow.size) == (b"text/plain", b'"dog"', 5)
    assert 95_000 < shadow.first_byte <= shadow.latency < 1_000_000


def test_a_shadow_that_is_faster_than_the_answer_is_compared_when_both_are_there(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    old.on("/shown", pause(0.15), ok(b"late"))
    new.on("/shown", ok(b"early"))
    assert router.ask(get("/shown", f"X-Request-Id: {request_id}")).body == b"late"
    (compared,) = router.compared(request_id)
    assert (compared.served.answer.body, compared.shadow.body) == (b"late", b"early")
    assert compared.shadow.latency < compared.served.answer.latency


def test_a_slow_shadow_does_not_slow_the_client_down(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    new.on("/shown", pause(0.6), ok(b"slow"))
    reply = router.ask(get("/shown", f"X-Request-Id: {request_id}"))
    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.seconds < 0.3
    assert router.compared(request_id)[0].shadow.body == b"slow"


SHADOW_FAILURES: dict[str, tuple[tuple[Step, ...], str, int]] = {
    "closes": ((close,), "reset", 0),
    "resets": ((reset,), "reset", 0),
    "garbage": ((b"SSH-2.0\r\n", pause(0.2), close), "invalid", 0),
    "truncated": ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", pause(0.05), close), "truncated", 200),
}


@pytest.mark.parametrize("name", SHADOW_FAILURES)
def test_a_failing_shadow_is_written_down_and_the_client_does_not_notice(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str, name: str
) -> None:
    steps, failure, status = SHADOW_FAILURES[name]
    new.on("/shown", *steps)
    with router.client() as client:
        reply = client.ask(get("/shown", f"X-Request-Id: {request_id}"))
        assert (reply.status, reply.body) == (200, b"{}")
        assert client.ask(get("/after")).status == 200
    (compared,) = router.compared(request_id)
    assert (compared.shadow.failure, compared.shadow.status) == (failure, status)
    assert compared.served.answer.failure == ""


def test_a_dead_shadow_is_a_failed_answer(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    assert router.ask(get("/shown-dead", f"X-Request-Id: {request_id}")).status == 200
    (compared,) = router.compared(request_id)
    assert (compared.shadow.backend, compared.shadow.failure) == ("dead", "connect")


def test_a_hanging_shadow_times_out_by_itself(router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str) -> None:
    new.on("/shown-impatient", until_left)
    reply = router.ask(get("/shown-impatient", f"X-Request-Id: {request_id}"))
    assert (reply.status, reply.seconds < 0.25) == (200, True)
    (compared,) = router.compared(request_id)
    assert compared.shadow.failure == "timeout"
    assert compared.shadow.latency > 200_000


def test_of_a_shadow_that_answers_more_than_is_kept_the_beginning_stays(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    before = router.resident
    new.on("/shown", ok_chunked(*[b"x" * 1_000_000] * 20))
    router.ask(get("/shown", f"X-Request-Id: {request_id}"))
    (compared,) = router.compared(request_id)
    assert (len(compared.shadow.body), compared.shadow.size) == (4_096, 20_000_000)
    assert router.resident - before < 8_000_000


def test_a_failed_answer_is_compared_too(router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str) -> None:
    old.on("/shown", close)
    assert router.ask(get("/shown", f"X-Request-Id: {request_id}")).status == 502
    (compared,) = router.compared(request_id)
    assert (compared.served.answer.failure, compared.shadow.failure, compared.shadow.status) == ("reset", "", 200)


def test_a_body_too_large_to_show_is_skipped_for_that_reason(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    assert router.ask(post("/small", b"x" * 1_001, f"X-Request-Id: {request_id}")).status == 200
    assert router.served(request_id).shown == (("new", "too-large"),)
    assert new.arrivals == []


def test_a_body_just_small_enough_is_shown_whole(router: RouterProcess, old: ModelServer, new: ModelServer) -> None:
    router.ask(post("/small", b"x" * 1_000))
    assert new.last("/small").body == b"x" * 1_000


def test_shadows_beyond_their_limit_wait_and_beyond_that_are_skipped_for_that_reason(
    router: RouterProcess, old: ModelServer, new: ModelServer
) -> None:
    go = threading.Event()
    new.on("/shown-narrow", wait(go), ok())
    with router.client() as client:
        for number in range(SHADOW_PENDING + 6):
            assert client.ask(get("/shown-narrow", f"X-Request-Id: narrow-{number}")).status == 200
    assert len(new.got("/shown-narrow", 1)) == 1
    fates = [router.served(f"narrow-{number}").shown for number in (0, 1, SHADOW_PENDING, SHADOW_PENDING + 1, SHADOW_PENDING + 5)]
    assert fates == [(("new", "sent"),)] * 3 + [(("new", "inflight"),)] * 2
    go.set()
    assert eventually(lambda: len(new.arrivals) == SHADOW_PENDING + 1)
    assert len(router.compared(f"narrow-{SHADOW_PENDING}")) == 1


def test_a_client_that_leaves_takes_its_shadow_along_and_makes_no_pair(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    old.on("/shown", until_left)
    new.on("/shown", until_left)
    client = _asks(router, get("/shown", f"X-Request-Id: {request_id}"))
    assert eventually(lambda: bool(old.arrivals and new.arrivals))
    client.reset()
    assert eventually(lambda: old.arrivals[0].left_at > 0 and new.arrivals[0].left_at > 0, 1.0)
    assert router.served(request_id).answer.failure == "client-gone"
    assert router.compared(request_id, 0) == []


def test_a_request_that_never_became_whole_is_not_shown(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    client = _asks(router, get("/shown", "Content-Length: 100", f"X-Request-Id: {request_id}", method="POST") + b"x")
    assert eventually(lambda: bool(old.arrivals))
    client.reset()
    assert router.served(request_id).shown == (("new", "aborted"),)
    assert new.arrivals == []


def _asks(router: RouterProcess, request: bytes) -> Client:
    client = router.client()
    client.send(request)
    return client
