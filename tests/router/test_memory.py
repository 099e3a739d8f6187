"""What a router keeps in memory, whatever clients and backends do: each bound stands in docs/behavior.md."""

import resource
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from time import sleep

import pytest

from modelctl.evidence import INFLIGHT, SENT, Served
from modelctl.router.gauge import SPARE
from modelctl.router.table import SHADOW_PENDING_BYTES
from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.router.bounds import (
    AHEAD,
    ENDLESS_ANSWER,
    IDLE,
    KIB,
    LONG_BODY,
    LONG_HEAD,
    MIB,
    SLOW_READER,
    SLOW_UPLOAD,
)
from tests.router.bulk import BLOCK, Bulk, Sum, sum_of
from tests.router.conftest import baseline, candidate
from tests.router.model_server import ModelServer, reset, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Client, Incomplete, get, ok, post

QUICK = 256  # blocks of a MiB
LONG = 2_048
IDLE_CONNECTIONS = 2_000
SLOW_CLIENTS = 500
SHADOWS = 32  # copies in flight
ROOMY = {"header_timeout": "30", "idle_timeout": "60", "body_timeout": "30", "max_body_bytes": str(4 << 30)}


@pytest.fixture(scope="session", autouse=True)
def descriptors() -> None:
    """As many as the system allows: each side of each connection has one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > 2 * IDLE_CONNECTIONS, f"{hard} open files are allowed, {soft} by default"


@pytest.fixture(scope="module")
def bulk() -> Iterator[Bulk]:
    bulk = Bulk()
    yield bulk
    bulk.stop()


@pytest.fixture
def fresh(bulk: Bulk, old: ModelServer, new: ModelServer, tmp_path: Path) -> Iterator[RouterProcess]:
    """A router that has served a little; what others have freed would hide what a test makes it use."""
    urls = {"bulk": bulk.url, "old": old.url, "new": new.url}
    backends = tuple(Backend(name=name, endpoints=(url,), max_inflight=5_000, max_pending=5_000) for name, url in urls.items())
    shown = candidate("new", shown=10_000, max_inflight=SHADOWS)
    routes = (
        Route(name="bulk", arms=(baseline("bulk"),)),
        Route(name="old", path="/old", arms=(baseline("old"),)),
        Route(name="shown", path="/shown", arms=(baseline("old"), shown), capture=Capture(request_bytes=1_000, answer_bytes=1_000)),
    )
    router = RouterProcess(tmp_path / "fresh", RoutingTable(version=1, backends=backends, routes=routes), settings=ROOMY)
    for _ in range(50):
        router.ask(get("/old/warm"))
        router.ask(post("/warm", b"x" * 1_000))
    yield router
    router.kill()
    assert "Traceback" not in router.events(), router.events()


class Watched:
    """The most memory that the router has used, above what it used before."""

    def __init__(self, router: RouterProcess) -> None:
        self._router = router
        self._before = self._most = router.resident
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def growth(self) -> int:
        """In bytes, so far."""
        return self._most - self._before

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self._most = max(self._most, self._router.resident)

    def end(self) -> int:
        """The growth, once and for all."""
        self._over.set()
        self._thread.join()
        return self.growth


@pytest.fixture
def watched(fresh: RouterProcess) -> Iterator[Watched]:
    watched = Watched(fresh)
    yield watched
    watched.end()


# -- one long body


def upload(router: RouterProcess, blocks: int, *, chunked: bool) -> Sum:
    """What the backend says of so many blocks."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {blocks * len(BLOCK)}"
    with router.client() as client:
        client.socket.settimeout(60)
        client.send(get("/up", framing, method="POST"))
        for _ in range(blocks):
            client.send(b"%x\r\n" % len(BLOCK), BLOCK, b"\r\n") if chunked else client.send(BLOCK)
        if chunked:
            client.send(b"0\r\n\r\n")
        size, _, digest = client.read(b"POST").body.decode().partition(" ")
    return Sum(int(size), digest)


def download(router: RouterProcess, blocks: int, *, chunked: bool) -> Sum:
    """What came of so many blocks."""
    with router.client() as client:
        client.socket.settimeout(60)
        client.send(get(f"/{'down-chunked' if chunked else 'down'}/{blocks}"))
        return hashed(client)


def hashed(client: Client) -> Sum:
    """The body of the next answer, which is not kept."""
    digest, size = sha256(), 0
    for data in client.body():
        digest.update(data)
        size += len(data)
    return Sum(size, digest.hexdigest())


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("way", [upload, download])
def test_a_long_body_leaves_no_trace_in_memory(
    fresh: RouterProcess, watched: Watched, way: Callable[..., Sum], *, chunked: bool
) -> None:
    assert way(fresh, QUICK, chunked=chunked) == sum_of(QUICK)
    assert watched.end() < LONG_BODY


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("way", [upload, download])
def test_two_gib_leave_no_trace_in_memory(
    fresh: RouterProcess, watched: Watched, way: Callable[..., Sum], *, chunked: bool
) -> None:
    assert way(fresh, LONG, chunked=chunked) == sum_of(LONG)
    assert watched.end() < LONG_BODY


def test_a_client_that_reads_late_gets_everything_and_holds_the_backend_back(
    fresh: RouterProcess, watched: Watched, bulk: Bulk
) -> None:
    before = bulk.sent
    with fresh.client(receive_buffer=64 * KIB) as client:
        client.socket.settimeout(60)
        client.send(get("/down/100"))
        sleep(0.8)
        assert bulk.sent - before < 50 * MIB
        assert hashed(client) == sum_of(100)
    assert watched.end() < LONG_BODY


def test_a_backend_that_reads_late_gets_everything_and_holds_the_client_back(
    fresh: RouterProcess, watched: Watched, bulk: Bulk
) -> None:
    bulk.going.clear()
    with ThreadPoolExecutor(1) as uploading:
        result = uploading.submit(upload, fresh, 100, chunked=False)
        sleep(0.8)
        assert not result.done()
        bulk.going.set()
        assert result.result() == sum_of(100)
    assert watched.end() < LONG_BODY


# -- many connections


def test_two_thousand_idle_connections_cost_little_and_hinder_nobody(fresh: RouterProcess, watched: Watched) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(fresh.client()) for _ in range(IDLE_CONNECTIONS)]
        for client in clients:
            assert client.ask(get("/old/once")).status == 200
        assert watched.end() < IDLE_CONNECTIONS * IDLE
        assert fresh.ask(get("/old/meanwhile")).status == 200
        assert clients[0].ask(get("/old/again")).status == 200


@pytest.mark.parametrize("read_first", [0, 4 * MIB], ids=["from the start", "later"])
def test_clients_that_do_not_read_cost_what_is_said_until_they_leave_and_hinder_nobody(
    fresh: RouterProcess, watched: Watched, bulk: Bulk, *, read_first: int
) -> None:
    before = fresh.resident
    with ExitStack() as stack:
        clients = [stack.enter_context(fresh.client(receive_buffer=32 * KIB)) for _ in range(SLOW_CLIENTS)]
        for client in clients:
            client.send(get("/down/50"))
        for client in clients[: SLOW_CLIENTS // 5]:
            skip(client, read_first)
        assert eventually(lambda: steady(lambda: bulk.sent + fresh.resident))
        assert fresh.ask(get("/old/meanwhile")).status == 200
        assert SPARE < watched.end() < SLOW_CLIENTS * SLOW_READER
    assert eventually(lambda: fresh.resident - before < SPARE // 2)


def skip(client: Client, size: int) -> None:
    while size > 0:
        size -= len(client.socket.recv(65_536))


def steady(figure: Callable[[], int]) -> bool:
    """Whether it is the same twice."""
    before = figure()
    sleep(0.4)
    return figure() == before


def test_uploads_that_the_backend_does_not_read_cost_what_is_said_and_hinder_nobody(
    fresh: RouterProcess, watched: Watched, bulk: Bulk
) -> None:
    bulk.going.clear()
    with ExitStack() as stack:
        stack.callback(bulk.going.set)
        clients = [stack.enter_context(fresh.client()) for _ in range(SLOW_CLIENTS)]
        for client in clients:
            client.send(get("/up", f"Content-Length: {100 * MIB}", method="POST"))
            client.socket.setblocking(False)
        for _ in range(20):
            for client in clients:
                with suppress(BlockingIOError):
                    client.socket.send(BLOCK)
            sleep(0.02)
        assert fresh.ask(get("/old/meanwhile")).status == 200
        assert watched.end() < SLOW_CLIENTS * SLOW_UPLOAD


ENDLESS_HEADS = {
    "one field": (b"X-Long: ", b"a" * 65_536),
    "lines": (b"", b"X-Short: a\r\n" * 5_000),
    "one name": (b"", b"x" * 65_536),
    "cookies": (b"", b"Cookie: " + b"c" * 4_000 + b"\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS_HEADS)
def test_a_flood_of_heads_without_end_is_refused_in_bounded_memory(fresh: RouterProcess, watched: Watched, kind: str) -> None:
    begin, more = ENDLESS_HEADS[kind]
    connections = 100

    def flood(_: int) -> int:
        with fresh.client() as client:
            with suppress(OSError):
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + begin, *[more] * (MIB // len(more)))
            return client.read().status

    with ThreadPoolExecutor(connections) as flooding:
        assert set(flooding.map(flood, range(connections))) == {431}
    assert watched.end() < connections * LONG_HEAD
    assert fresh.ask(get("/old/meanwhile")).status == 200


def test_a_flood_of_requests_sent_ahead_costs_what_is_said_and_hinders_nobody(
    fresh: RouterProcess, watched: Watched, old: ModelServer
) -> None:
    answer = threading.Event()
    old.on("/old/late", wait(answer), ok())
    connections = 50
    with ExitStack() as stack:
        stack.callback(answer.set)
        for _ in range(connections):
            client = stack.enter_context(fresh.client())
            client.socket.setblocking(False)
            with suppress(BlockingIOError):
                client.socket.send(get("/old/late") * 20_000)
        assert eventually(lambda: len(old.arrivals) >= connections)
        assert fresh.ask(get("/old/meanwhile")).status == 200
        assert watched.end() < connections * AHEAD


# -- backends


def endless(*pieces: bytes, then: bytes) -> tuple[bytes | Callable[[socket.socket], None], ...]:
    """Steps that send `then` again and again until the router has left."""

    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(then)

    return (*pieces, flood)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS_ANSWERS = {
    "status line": endless(b"HTTP/1.1 200 ", then=b"O" * 60_000),
    "one field": endless(b"HTTP/1.1 200 OK\r\nX-Long: ", then=b"a" * 60_000),
    "fields": endless(b"HTTP/1.1 200 OK\r\n", then=b"X-Short: a\r\n" * 5_000),
    "interim answers": endless(then=b"HTTP/1.1 102 Processing\r\n\r\n" * 2_000),
    "blank lines": endless(then=b"\r\n" * 30_000),
}
ENDLESS_FRAMINGS = {
    "chunk extensions": endless(CHUNKED, b"5;", then=b"e" * 60_000),
    "chunk extensions behind a body": endless(CHUNKED, b"5\r\nhello\r\n5;", then=b"e=f;" * 15_000),
    "a chunk size": endless(CHUNKED, then=b"0" * 60_000),
    "trailers": endless(CHUNKED, b"5\r\nhello\r\n0\r\n", then=b"X-Short: a\r\n" * 5_000),
}


@pytest.mark.parametrize("kind", ENDLESS_ANSWERS)
def test_an_answer_whose_head_has_no_end_is_refused_in_bounded_memory(
    fresh: RouterProcess, watched: Watched, old: ModelServer, kind: str
) -> None:
    old.on("/old/endless", *ENDLESS_ANSWERS[kind])
    assert fresh.ask(get("/old/endless")).one(b"modelctl-error") == b"upstream-invalid"
    assert eventually(lambda: old.arrivals[-1].left_at > 0)
    assert watched.end() < ENDLESS_ANSWER


@pytest.mark.parametrize("kind", ENDLESS_FRAMINGS)
def test_an_answer_whose_framing_has_no_end_is_cut_in_bounded_memory(
    fresh: RouterProcess, watched: Watched, old: ModelServer, kind: str
) -> None:
    old.on("/old/endless", *ENDLESS_FRAMINGS[kind])
    with fresh.client() as client, pytest.raises(Incomplete):
        client.ask(get("/old/endless"))
    assert eventually(lambda: old.arrivals[-1].left_at > 0)
    assert watched.end() < ENDLESS_ANSWER


def test_shadows_that_hang_hold_no_more_than_may_be_under_way_and_wait(
    fresh: RouterProcess, watched: Watched, new: ModelServer
) -> None:
    new.on("/shown", until_left, early=True)
    body = b"x" * 200 * KIB
    count = 500
    with fresh.client() as client:
        for number in range(count):
            assert client.ask(post("/shown", body, f"X-Request-Id: hang-{number}")).status == 200
    assert watched.end() < 2 * SHADOWS * len(body) + SHADOW_PENDING_BYTES + 8 * MIB
    assert eventually(lambda: len(fates(fresh)) == count)
    sent = fates(fresh).count(SENT)
    assert sent + fates(fresh).count(INFLIGHT) == count
    assert sent <= SHADOWS + SHADOW_PENDING_BYTES // len(body)


def fates(router: RouterProcess) -> list[str]:
    """What became of the copy of each request."""
    return [fate for record in router.records() if isinstance(record, Served) for _, fate in record.shown]


def test_shadows_that_answer_without_end_are_read_and_forgotten(fresh: RouterProcess, watched: Watched, new: ModelServer) -> None:
    new.on("/shown", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * MIB), *[BLOCK] * 20, reset)
    assert fresh.ask(post("/shown", b"{}", "X-Request-Id: much")).status == 200
    (pair,) = fresh.compared("much")
    assert (pair.shadow.failure, len(pair.shadow.body)) == ("truncated", 1_000)
    assert watched.end() < LONG_BODY
