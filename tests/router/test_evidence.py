"""What is written down: one served record per routed request with what happened, and counts that add up."""

import signal
import threading
from collections.abc import Callable
from time import sleep

import pytest

from modelctl.errors import Corrupt
from modelctl.evidence import HEADER, SEGMENT_SUFFIX, Served, frames
from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, pause
from tests.router.process import RouterProcess, check_tallies, eventually, last_tally
from tests.router.wire import Incomplete, get, ok, ok_chunked, post, post_chunked


def only(old: ModelServer, capture: Capture | None = None) -> RoutingTable:
    """One route, one backend."""
    backend = Backend(name="old", endpoints=(old.url,))
    return RoutingTable(
        version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),), capture=capture or Capture()),)
    )


def test_a_served_record_says_what_was_asked_and_answered(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/said", pause(0.05), ok(b'{"label": "cat"}', "Content-Type: application/json", "Content-Encoding: identity"))
    fields = ("Content-Type: text/csv", "Content-Encoding: gzip", f"X-Request-Id: {request_id}")
    router.ask(post("/said/x?y=1", b"1,2,3", *fields))
    served = router.served(request_id)
    request, answer, context = served.request, served.answer, served.context
    assert (request.method, request.target) == (b"POST", b"/said/x?y=1")
    assert (request.content_type, request.encoding, request.body, request.size) == (b"text/csv", b"gzip", b"1,2,3", 5)
    assert (answer.backend, answer.status, answer.failure) == ("old", 200, "")
    assert (answer.content_type, answer.encoding) == (b"application/json", b"identity")
    assert (answer.body, answer.size) == (b'{"label": "cat"}', 16)
    assert 45_000 < answer.first_byte <= answer.latency < 1_000_000
    assert (context.route, context.table, context.role, context.reason, context.unit) == ("all", 5, "baseline", "only", b"")
    assert (context.probability, context.rollout, context.stage) == (10_000, 0, 0)
    assert served.shown == ()


def test_the_record_has_a_uuid7_of_its_time(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    router.ask(get("/id", f"X-Request-Id: {request_id}"))
    served = router.served(request_id)
    assert int.from_bytes(served.id[:6], "big") == served.at // 1000
    assert served.id[6] >> 4 == 7


def test_a_split_record_says_who_answered_why_and_how_likely_that_was(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    arm = router.ask(get("/split", "X-User: user-17", f"X-Request-Id: {request_id}")).one(b"modelctl-arm").decode()
    served = router.served(request_id)
    context = served.context
    assert served.answer.backend == arm
    assert (context.route, context.rollout, context.stage, context.reason) == ("split", 3, 4, "split")
    assert context.role == {"old": "baseline", "new": "candidate"}[arm]
    assert (context.unit, context.probability) == (b"user-17", 5_000)


def test_a_preview_is_recorded_as_one(router: RouterProcess, new: ModelServer, request_id: str) -> None:
    router.ask(get("/-/preview/green/x", f"X-Request-Id: {request_id}"))
    context = router.served(request_id).context
    assert (context.reason, context.role, context.rollout, context.stage) == ("preview", "candidate", 5, 6)


@pytest.mark.parametrize("make", [post, post_chunked])
def test_bodies_are_kept_as_prefixes_with_their_true_size(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str, make: Callable[..., bytes]
) -> None:
    old.on("/small", ok_chunked(b"abcdefghijkl", b"m"))
    asked = make("/small", b"0123456789ABC", f"X-Request-Id: {request_id}") if make is post else None
    router.ask(asked or post_chunked("/small", b"01234567", b"89ABC", fields=(f"X-Request-Id: {request_id}",)))
    served = router.served(request_id)
    assert (served.request.body, served.request.size) == (b"0123456789", 13)
    assert (served.answer.body, served.answer.size) == (b"abcdefgh", 13)


def test_of_a_body_beyond_the_limit_the_beginning_is_kept(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/large", ok(b"y" * 300_000))
    router.ask(post("/large", b"x" * 300_000, f"X-Request-Id: {request_id}"))
    served = router.served(request_id)
    assert (len(served.request.body), served.request.size) == (4_096, 300_000)
    assert (len(served.answer.body), served.answer.size) == (4_096, 300_000)


@pytest.mark.parametrize("size", [65_535, 65_536])
def test_a_body_within_the_limit_is_kept_whole(router: RouterProcess, old: ModelServer, request_id: str, size: int) -> None:
    old.on("/whole", ok(b"y" * size))
    router.ask(post("/whole", b"x" * size, f"X-Request-Id: {request_id}"))
    served = router.served(request_id)
    assert (len(served.request.body), len(served.answer.body)) == (size, size)


def test_of_a_long_stream_of_events_as_much_is_kept_as_may_be(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/events", ok_chunked(*[b"data: " + b"e" * 92 + b"\n\n"] * 1_000, fields=("Content-Type: text/event-stream",)))
    router.ask(get("/events", f"X-Request-Id: {request_id}"))
    assert len(router.served(request_id).answer.body) == 65_536


def test_what_is_refused_before_it_is_routed_leaves_no_record(start: Callable[..., RouterProcess], old: ModelServer) -> None:
    router = start(only(old))
    router.ask(get("/a/../b"))
    router.ask(get("/-/nothing"))
    router.ask(get("/fine"))
    assert router.stop() == 0
    assert [record.request.target for record in router.records() if isinstance(record, Served)] == [b"/fine"]


def _load(router: RouterProcess, answered: list[str], stop: threading.Event, name: str) -> None:
    number = 0
    while not stop.is_set():
        try:
            with router.client() as client:
                while not stop.is_set():
                    number += 1
                    reply = client.ask(post("/load", b"x" * 200, f"X-Request-Id: {name}-{number}"))
                    answered.append(reply.one(b"x-request-id").decode())
        except (Incomplete, OSError):
            if router.process.poll() is not None:
                return


def under_load(router: RouterProcess, seconds: float, end: signal.Signals) -> list[str]:
    """Request ids of everything that was answered before and while `end` was sent."""
    answered: list[str] = []
    stop = threading.Event()
    threads = [threading.Thread(target=_load, args=(router, answered, stop, f"c{number}")) for number in range(4)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(answered) > 50)
    sleep(seconds)
    router.process.send_signal(end)
    router.process.wait(10)
    stop.set()
    for thread in threads:
        thread.join()
    return answered


def test_after_sigterm_under_load_every_answered_request_is_in_the_spool(
    start: Callable[..., RouterProcess], old: ModelServer
) -> None:
    router = start(only(old))
    answered = under_load(router, 0.5, signal.SIGTERM)
    records = router.records()
    written = [record.request_id.decode() for record in records if isinstance(record, Served)]
    assert set(answered) <= set(written)
    assert len(written) == len(set(written))
    check_tallies(records)
    assert last_tally(records).offered == len(written)


def test_after_kill_there_are_whole_frames_and_at_most_a_torn_end(start: Callable[..., RouterProcess], old: ModelServer) -> None:
    router = start(only(old))
    answered = under_load(router, 0.5, signal.SIGKILL)
    records = router.records()
    check_tallies(records)
    written = [record.request_id.decode() for record in records if isinstance(record, Served)]
    assert len(written) == len(set(written))
    assert len(set(answered) - set(written)) < 100  # at most what came in the last batch


def test_a_record_larger_than_the_buffer_is_dropped_and_counted(start: Callable[..., RouterProcess], old: ModelServer) -> None:
    router = start(only(old, Capture(request_bytes=200_000)), spool_buffer_bytes="65536")
    for number in range(6):
        assert router.ask(post("/any", b"x" * (100_000 if number % 2 else 10))).status == 200
    assert router.stop() == 0
    records = router.records()
    check_tallies(records)
    tally = last_tally(records)
    assert (tally.offered, tally.accepted, tally.dropped) == (6, 3, {"buffer-full": 3})


def test_a_full_spool_drops_and_counts_and_the_clients_do_not_notice(start: Callable[..., RouterProcess], old: ModelServer) -> None:
    router = start(only(old), spool_max_bytes=str(1 << 20))
    with router.client() as client:
        for _ in range(20):
            assert client.ask(post("/fill", b"x" * 65_536)).status == 200
        sleep(1.2)
        assert [client.ask(post("/over", b"x" * 100)).status for _ in range(30)] == [200] * 30
        sleep(0.1)
    assert router.stop() == 0
    records = router.records()
    check_tallies(records)
    tally = last_tally(records)
    assert tally.offered == 50
    assert tally.dropped == {"spool-full": 30}


def test_a_spool_that_the_recorder_has_emptied_takes_records_again(start: Callable[..., RouterProcess], old: ModelServer) -> None:
    router = start(only(old), spool_max_bytes=str(1 << 20))
    with router.client() as client:
        for _ in range(20):
            client.ask(post("/fill", b"x" * 65_536))
        sleep(1.2)
        client.ask(get("/dropped"))
        sleep(0.1)
        *done, _ = sorted(router.folder.glob(f"spool/*/*{SEGMENT_SUFFIX}"))
        for segment in done:
            segment.unlink()
        sleep(1.2)
        for number in range(3):
            client.ask(get("/again", f"X-Request-Id: again-{number}"))
    assert router.stop() == 0
    assert router.served("again-2").request.target == b"/again"
    assert last_tally(router.records()).dropped == {"spool-full": 1}


def test_a_torn_frame_ends_a_segment_quietly_and_a_damaged_one_does_not(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    router.ask(get("/frame", f"X-Request-Id: {request_id}"))
    router.served(request_id)
    data = next(router.folder.glob(f"spool/*/*{SEGMENT_SUFFIX}")).read_bytes()
    whole = list(frames(data))
    assert list(frames(data[: whole[0].end - 1])) == []
    damaged = data[: HEADER.size] + bytes([data[HEADER.size] ^ 1]) + data[HEADER.size + 1 :]
    with pytest.raises(Corrupt):
        list(frames(damaged))
