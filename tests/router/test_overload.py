"""A router that is short of memory, time or room: copies go first, then new requests, and never what is under way."""

import resource
import select
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.router.overload import NONE, REFUSE, SHED, Load, level
from modelctl.router.refusal import Refusal
from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.router.conftest import baseline, candidate
from tests.router.model_server import ModelServer, close, pause, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.test_refusals import explained
from tests.router.wire import Client, Incomplete, get, ok, post

MIB = 1 << 20


def table(old: ModelServer, new: ModelServer, *, inflight: int = 1_000, pending: int = 1_000) -> RoutingTable:
    """One route alone, and one whose requests are shown; bodies of the latter are kept up to 8 MiB."""
    backends = (
        Backend(name="old", endpoints=(old.url,), max_inflight=inflight, max_pending=pending),
        Backend(name="new", endpoints=(new.url,)),
    )
    routes = (
        Route(name="alone", arms=(baseline("old"),)),
        Route(
            name="shown",
            path="/shown",
            arms=(baseline("old"), candidate("new", shown=10_000)),
            capture=Capture(shadow_bytes=8 * MIB),
        ),
    )
    return RoutingTable(version=1, backends=backends, routes=routes)


def asking(router: RouterProcess, count: int, target: str) -> list[Client]:
    """So many connections that have asked."""
    clients = [router.client() for _ in range(count)]
    for client in clients:
        client.send(get(target))
    return clients


def end(clients: list[Client]) -> None:
    for client in clients:
        client.socket.close()


def fate(router: RouterProcess, name: str) -> str:
    """What became of the copy of one more request with this id."""
    router.ask(post("/shown/x", b"{}", f"X-Request-Id: {name}"))
    ((arm, found),) = router.served(name).shown
    assert arm == "new"
    return found


def fates(router: RouterProcess) -> Callable[[str], bool]:
    """Whether the next request's copy has this fate."""
    names = iter(range(10_000))
    return lambda wanted: fate(router, f"fate-{next(names)}") == wanted


def test_a_full_router_refuses_what_is_new_and_ends_what_is_under_way(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    go = threading.Event()
    old.on("/slow", wait(go), ok(b"done"))
    router = start(table(old, new), max_inflight="4")
    busy = asking(router, 4, "/slow")
    assert eventually(lambda: len(old.arrivals) == 4)
    with router.client() as client:
        for _ in range(3):
            reply = client.ask(get("/x"))
            explained(reply, Refusal.OVERLOADED)
            assert reply.one(b"retry-after") == b"1"
        assert len(old.arrivals) == 4
        go.set()
        assert [one.read().body for one in busy] == [b"done"] * 4
        assert client.ask(get("/x")).status == 200
    end(busy)
    assert router.stop() == 0
    assert "overloaded 3" in router.events()


def test_clients_that_leave_make_room(start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer) -> None:
    old.on("/slow", until_left)
    router = start(table(old, new), max_inflight="2")
    for _ in range(3):
        busy = asking(router, 2, "/slow")
        assert eventually(lambda: router.ask(get("/x")).status == 503)
        busy[0].reset()
        busy[1].socket.close()
        assert eventually(lambda: router.ask(get("/x")).status == 200)


def test_however_a_request_ends_its_room_is_free_again(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer, closed_port: int
) -> None:
    dead = Backend(name="dead", endpoints=(f"http://127.0.0.1:{closed_port}",))
    hasty = Backend(name="hasty", endpoints=(old.url,), response_timeout_ms=100)
    both = table(old, new)
    routes = [Route(name=name, path=f"/{name}", arms=(baseline(name),)) for name in ("dead", "hasty")]
    router = start(
        RoutingTable(version=1, backends=(*both.backends, dead, hasty), routes=(*both.routes, *routes)), max_inflight="1"
    )
    old.on("/truncated", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", close)
    old.on("/garbage", b"SSH-2.0\r\n")
    old.on("/hasty", until_left)
    old.on("/early", ok(b"enough"), early=True)
    old.on("/stream", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", until_left)
    for ending in ("/dead", "/hasty", "/truncated", "/garbage", "/x", "/early", "/late", "/bad-chunk"):
        with router.client() as client:
            client.send(_odd(ending))
            with suppress(Incomplete):
                client.read()
        assert eventually(lambda: router.ask(get("/ok")).status == 200), ending
    with router.client() as client:
        client.send(get("/stream"))
        assert client.socket.recv(1_000)
        assert router.ask(get("/ok")).status == 503
        client.reset()
    assert eventually(lambda: router.ask(get("/ok")).status == 200)


def _odd(ending: str) -> bytes:
    """A request that ends as its target says."""
    match ending:
        case "/early":
            return get(ending, "Content-Length: 100", method="POST") + b"x"
        case "/late":
            return get(ending, "Content-Length: 100", method="POST") + b"x"  # the rest never comes
        case "/bad-chunk":
            return get(ending, "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\nzz\r\n"
        case _:
            return get(ending)


def test_a_router_that_is_nearly_full_sends_no_copies(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    old.on("/slow", until_left)
    router = start(table(old, new), max_inflight="10")
    check = fates(router)
    assert check("sent")
    busy = asking(router, 9, "/slow")
    assert eventually(lambda: check("shed"))
    copies = len(new.arrivals)
    assert check("shed")
    assert len(new.arrivals) == copies
    end(busy)
    assert eventually(lambda: check("sent"))
    said = [line for line in router.events().splitlines() if '"shortage"' in line]
    assert ["enough" in line for line in said] == [*[False] * (len(said) - 1), True]


def test_a_router_that_was_stopped_for_a_while_sends_no_copies_at_first(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    router = start(table(old, new))
    check = fates(router)
    assert check("sent")
    router.process.send_signal(signal.SIGSTOP)
    sleep(0.7)
    router.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: check("shed"))
    assert eventually(lambda: check("sent"))


def test_without_memory_idle_clients_and_new_requests_go_and_it_comes_back(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    plain = start(table(old, new)).ready()
    for _ in range(50):
        plain.ask(get("/x"))
    limit = plain.resident + 48 * MIB
    plain.kill()
    go = threading.Event()
    old.on("/shown/slow", wait(go), ok(b"done"))
    router = start(table(old, new), max_memory_bytes=str(limit), idle_timeout="60", body_timeout="60")
    idle = router.client()
    assert idle.ask(get("/x")).status == 200
    body = bytes(4 * MIB)
    busy = [router.client() for _ in range(16)]
    for client in busy:
        client.send(get("/shown/slow", f"Content-Length: {len(body)}", method="PUT"))
    assert eventually(lambda: sum(arrival.head.startswith(b"PUT") for arrival in old.arrivals) == 16)  # all begin with enough
    for client in busy:
        client.send(body)
    assert eventually(lambda: router.ask(get("/x")).status == 503, 30.0)
    explained(router.ask(get("/x")), Refusal.OVERLOADED)
    assert idle.rest() == b""  # closed
    go.set()
    assert [client.read().body for client in busy] == [b"done"] * 16
    end([*busy, idle])
    assert eventually(lambda: router.ask(get("/x")).status == 200, 30.0)
    assert eventually(lambda: router.resident < limit, 30.0)
    said = [line for line in router.events().splitlines() if '"shortage"' in line]
    assert "requests are refused" in "".join(said)
    assert eventually(lambda: "enough memory" in router.events(), 30.0)


def test_a_body_that_was_not_kept_for_want_of_memory_is_not_shown_in_part(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    old.on("/slow", until_left)
    router = start(table(old, new), max_inflight="20", body_timeout="60")
    check = fates(router)
    busy = asking(router, 17, "/slow")
    assert eventually(lambda: check("shed"))
    with router.client() as client:
        client.send(get("/shown/x", "Content-Length: 200000", "X-Request-Id: long", method="PUT"), b"x" * 100_000)
        end(busy)
        assert eventually(lambda: check("sent"))  # the shortage is over before the body is
        client.send(b"x" * 100_000)
        assert client.read().status == 200
    assert router.served("long").shown == (("new", "shed"),)


def test_what_a_hanging_server_cannot_take_is_refused_at_once_and_the_rest_waits(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    go = threading.Event()
    old.on("/hangs", wait(go), ok(b"done"))
    router = start(table(old, new, inflight=50, pending=100), idle_timeout="60").ready()  # opening so many takes its time
    clients = asking(router, 2_000, "/hangs")
    poll = select.poll()
    by_number = {client.socket.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.POLLIN)
    assert eventually(lambda: len(poll.poll(0)) == 1_850)
    refused = [by_number[number] for number, _ in poll.poll(0)]
    for client in refused:
        explained(client.read(), Refusal.OVERLOAD)
    assert eventually(lambda: len(old.arrivals) == 50)
    go.set()
    waiting = [client for client in clients if client not in refused]
    assert [client.read().body for client in waiting] == [b"done"] * 150
    end(clients)


def test_five_times_what_a_server_can_do_leaves_it_busy_and_the_router_well(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    old.on("/work", pause(0.01), ok(b"done"))
    router = start(table(old, new, inflight=2, pending=4)).ready()
    seen: Counter[tuple[int | bytes, ...]] = Counter()
    before, deadline = router.resident, monotonic() + 2.0

    def work() -> None:
        with router.client() as client:
            while monotonic() < deadline:
                reply = client.ask(get("/work"))
                seen[reply.status, *reply.all(b"modelctl-error")] += 1
                sleep(0.01)

    threads = [threading.Thread(target=work) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {(200,), (503, b"overload")}
    assert seen[200,] > 20
    assert router.resident - before < 30 * MIB
    assert [router.ask(get("/work")).status for _ in range(10)] == [200] * 10


def test_a_refused_upload_is_told_why_and_its_connection_is_closed(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    old.on("/slow", until_left)
    router = start(table(old, new), max_inflight="1")
    busy = asking(router, 1, "/slow")
    assert eventually(lambda: len(old.arrivals) == 1)
    with router.client() as client:
        client.send(get("/x", "Content-Length: 1000", method="POST"), b"x" * 10)
        reply = client.read()
        assert (reply.status, reply.one(b"connection")) == (503, b"close")
        with pytest.raises(Incomplete):
            client.ask(get("/x"))
    end(busy)


# -- the pure part


SHARES = st.floats(0, 2)


@given(SHARES, SHARES, st.floats(0, 5), st.floats(0, 1))
def test_more_pressure_never_lowers_the_level(memory: float, inflight: float, lag: float, more: float) -> None:
    now = level(memory, inflight, lag=lag)
    assert level(memory + more, inflight, lag=lag) >= now
    assert level(memory, inflight + more, lag=lag) >= now
    assert level(memory, inflight, lag=lag + more) >= now


@pytest.mark.parametrize(
    ("memory", "inflight", "lag", "wanted"),
    [
        (0, 0, 0.0, NONE),
        (0.84, 0.84, 0.49, NONE),
        (0.85, 0, 0.0, SHED),
        (0, 0.85, 0.0, SHED),
        (0, 0, 0.5, SHED),
        (0, 0, 60.0, SHED),
        (0.98, 0, 0.0, REFUSE),
        (0, 1, 0.0, REFUSE),
    ],
)
def test_the_levels_begin_where_they_are_said_to(memory: float, inflight: float, lag: float, wanted: int) -> None:
    assert level(memory, inflight, lag=lag) == wanted


def test_memory_is_no_limit_when_it_is_switched_off() -> None:
    load = Load(0, 10)
    assert not load.observe(1 << 50, lag=0.0)
    assert (load.level, load.memory, load.room, load.shedding) == (NONE, NONE, 10, False)


def test_without_memory_there_is_room_for_one_request() -> None:
    load = Load(100, 10)
    assert load.observe(98, lag=0.0)
    assert (load.level, load.room, load.shedding) == (REFUSE, 1, True)
    assert load.observe(50, lag=0.0)
    assert (load.level, load.room, load.shedding) == (NONE, 10, False)
