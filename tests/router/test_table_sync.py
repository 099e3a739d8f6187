"""How a router gets its tables: polled, checked, acknowledged, kept on disk; never waited for."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from modelctl.router.sync import load_table, save_table
from modelctl.traffic import Arm, Backend, Role, Route, RoutingTable, encode_table
from tests.router.conftest import baseline
from tests.router.control_plane import ControlPlane
from tests.router.model_server import ModelServer, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import get, ok

Start = Callable[..., RouterProcess]


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    yield plane
    plane.stop()


def table(version: int, server: ModelServer, name: str = "only", **more: int) -> RoutingTable:
    """Everything goes to `server` under this name."""
    backend = Backend(name=name, endpoints=(server.url,), **more)  # type: ignore[arg-type]
    return RoutingTable(version=version, backends=(backend,), routes=(Route(name="all", arms=(baseline(name),)),))


def publish(plane: ControlPlane, new: RoutingTable) -> None:
    plane.publish(encode_table(new), new.version)


def arm(router: RouterProcess) -> bytes:
    """Who answers now, or nobody."""
    return b"".join(router.ask(get("/who")).all(b"modelctl-arm"))


def test_a_new_table_is_applied_acknowledged_and_kept(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer
) -> None:
    router = start(table(1, old, "first"), control=plane.url)
    assert arm(router) == b"first"
    assert eventually(lambda: bool(plane.polls))
    assert plane.polls[0] | {"after": "1", "worker": "w", "applied": "1"} == plane.polls[0]
    publish(plane, table(7, new, "second"))
    assert eventually(lambda: plane.last["after"] == "7", 2.0)
    assert arm(router) == b"second"
    acknowledged = plane.last
    assert (acknowledged["applied"], "refused" in acknowledged) == ("7", False)
    assert int(acknowledged["applied_us"]) > 1_700_000_000_000_000
    kept = load_table(router.folder / "routing-table.json")
    assert kept == table(7, new, "second")


def test_a_poll_says_when_each_backend_last_got_a_request(start: Start, plane: ControlPlane, old: ModelServer) -> None:
    router = start(table(1, old, "first"), control=plane.url)
    arm(router)
    publish(plane, table(2, old, "second"))
    assert eventually(lambda: plane.last["after"] == "2")
    backend, _, at = plane.last["last"].partition(":")
    assert backend == "first"
    assert int(at) > 1_700_000_000_000_000


def test_a_router_starts_without_a_table_and_serves_the_first_it_gets(start: Start, plane: ControlPlane, old: ModelServer) -> None:
    router = start(None, control=plane.url)
    assert router.ask(get("/")).one(b"modelctl-error") == b"no-table"
    publish(plane, table(1, old))
    assert eventually(lambda: arm(router) == b"only")


BAD_TABLES = {
    "no JSON": b"{",
    "unknown backend": b'{"version":9,"backends":[],"routes":[{"name":"all","arms":'
    b'[{"backend":"x","role":"baseline","answers":10000}]}]}',
    "shares that do not add up": b'{"version":9,"backends":[{"name":"x","endpoints":["http://127.0.0.1:9"]}],"routes":'
    b'[{"name":"all","arms":[{"backend":"x","role":"baseline","answers":9999}]}]}',
    "address of the metadata service": b'{"version":9,"backends":[{"name":"x","endpoints":["http://169.254.169.254"]}]}',
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused_and_reported_while_the_old_one_serves(
    start: Start, plane: ControlPlane, old: ModelServer, name: str
) -> None:
    router = start(table(1, old), control=plane.url)
    plane.publish(BAD_TABLES[name], 9)
    assert eventually(lambda: "refused" in plane.last, 4.0)
    assert plane.last["after"] == "1"
    assert plane.last["refused"] == ("9" if name != "no JSON" else "0")
    assert plane.last["why"]
    assert arm(router) == b"only"
    assert '"table-refused"' in router.events()
    publish(plane, table(10, old, "mended"))
    assert eventually(lambda: plane.last["after"] == "10")
    assert "refused" not in plane.last
    assert arm(router) == b"mended"


def test_a_table_of_a_lower_version_changes_nothing_anywhere(start: Start, plane: ControlPlane, old: ModelServer) -> None:
    router = start(table(5, old, "newer"), control=plane.url)
    plane.publish(encode_table(table(4, old, "older")), 99)
    assert eventually(lambda: len(plane.polls) >= 2, 4.0)
    assert arm(router) == b"newer"
    kept = load_table(router.folder / "routing-table.json")
    assert kept is not None
    assert kept.version == 5
    assert len(plane.polls) < 5  # it is not asked again and again without a pause


NONSENSE = {
    "no status": b"\r\n\r\n",
    "head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "body too short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n{}",
    "error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "other protocol": b"SSH-2.0-OpenSSH_9.0 x y\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_from_the_control_plane_is_survived(start: Start, plane: ControlPlane, old: ModelServer, name: str) -> None:
    plane.publish(b"{}", 50, raw=NONSENSE[name])
    router = start(table(1, old), control=plane.url)
    assert eventually(lambda: len(plane.polls) >= 2)
    assert arm(router) == b"only"
    publish(plane, table(60, old, "after-all"))
    assert eventually(lambda: arm(router) == b"after-all", 4.0)


def test_a_control_plane_that_goes_away_and_comes_back_is_found_again(start: Start, old: ModelServer) -> None:
    plane = ControlPlane()
    router = start(table(1, old, "first"), control=plane.url)
    assert arm(router) == b"first"
    assert eventually(lambda: bool(plane.polls))
    plane.stop()
    assert eventually(lambda: "control-plane-unreachable" in router.events(), 4.0)
    assert arm(router) == b"first"
    again = ControlPlane(plane.port)
    publish(again, table(2, old, "second"))
    assert eventually(lambda: arm(router) == b"second", 4.0)
    assert eventually(lambda: "control-plane-reached" in router.events())
    again.stop()


def test_the_key_is_sent_with_every_poll(start: Start, plane: ControlPlane, old: ModelServer) -> None:
    start(table(1, old), control=plane.url, key="0123456789abcdef0123")
    assert eventually(lambda: bool(plane.keys))
    assert plane.keys[0] == "Bearer 0123456789abcdef0123"


@pytest.mark.parametrize("damage", [b"", b"garbage", b"0" * 64 + b"\n{}"])
def test_a_damaged_file_is_ignored_at_the_start(
    start: Start, tmp_path: Path, plane: ControlPlane, old: ModelServer, damage: bytes
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "routing-table.json").write_bytes(damage)
    router = start(None, control=plane.url)
    assert router.ask(get("/")).one(b"modelctl-error") == b"no-table"
    publish(plane, table(1, old))
    assert eventually(lambda: arm(router) == b"only")


def test_a_saved_table_is_the_table_and_one_wrong_byte_makes_it_none(tmp_path: Path, old: ModelServer) -> None:
    file = tmp_path / "table.json"
    body = encode_table(table(3, old))
    save_table(file, body)
    assert load_table(file) == table(3, old)
    assert file.read_bytes() == hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    file.write_bytes(file.read_bytes().replace(b"only", b"onky", 1))
    assert load_table(file) is None
    assert list(tmp_path.iterdir()) == [file]


def _latest_is(answers: list[tuple[int, bytes]], arm: bytes) -> bool:
    return bool(answers) and answers[-1][1] == arm


def test_tables_changing_under_load_lose_no_request(start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer) -> None:
    router = start(table(1, old, "first"), control=plane.url)
    stop = threading.Event()
    answers: list[tuple[int, bytes]] = []

    def load() -> None:
        with router.client() as client:
            while not stop.is_set():
                reply = client.ask(get("/load"))
                answers.append((reply.status, reply.one(b"modelctl-arm")))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(2, 22):
        name = f"v{version}"
        publish(plane, table(version, new if version % 2 else old, name))
        assert eventually(partial(_latest_is, answers, name.encode()), 4.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert len({arm for _, arm in answers}) >= 20


def test_a_request_in_flight_finishes_on_a_backend_that_is_removed(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer
) -> None:
    go = threading.Event()
    old.on("/slow", wait(go), ok(b"still here"))
    router = start(table(1, old, "first"), control=plane.url)
    with router.client() as client:
        client.send(get("/slow"))
        assert eventually(lambda: bool(old.arrivals))
        publish(plane, table(2, new, "second"))
        assert eventually(lambda: arm(router) == b"second")
        go.set()
        reply = client.read()
        assert (reply.body, reply.one(b"modelctl-arm")) == (b"still here", b"first")
        assert client.ask(get("/next")).one(b"modelctl-arm") == b"second"
    assert eventually(lambda: old.last("/slow").connection > 0 and old.open == 0)


def test_a_removed_backend_that_hangs_still_times_out(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer
) -> None:
    never = threading.Event()
    old.on("/hang", wait(never))
    router = start(table(1, old, "first", response_timeout_ms=600), control=plane.url)
    with router.client() as client:
        client.send(get("/hang"))
        assert eventually(lambda: bool(old.arrivals))
        publish(plane, table(2, new, "second"))
        assert eventually(lambda: arm(router) == b"second")
        assert client.read().status == 504
    never.set()


def test_a_backend_whose_address_changes_is_asked_at_the_new_one(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer
) -> None:
    router = start(table(1, old), control=plane.url)
    with router.client() as client:
        assert client.ask(get("/move")).status == 200
        publish(plane, table(2, new))
        assert eventually(lambda: plane.last["after"] == "2")
        assert client.ask(get("/move")).status == 200
    assert len(old.got("/move")) == len(new.got("/move")) == 1


def test_a_table_that_only_moves_shares_keeps_the_connections(start: Start, plane: ControlPlane, old: ModelServer) -> None:
    backend = Backend(name="only", endpoints=(old.url,))
    spare = Backend(name="spare", endpoints=(old.url,))
    arms = (baseline("only"), Arm(backend="spare", role=Role.CANDIDATE))
    router = start(table(1, old), control=plane.url)
    assert router.ask(get("/same")).status == 200
    publish(plane, RoutingTable(version=2, backends=(backend, spare), routes=(Route(name="all", arms=arms, stage=2),)))
    assert eventually(lambda: plane.last["after"] == "2")
    assert router.ask(get("/same")).status == 200
    assert len({arrival.connection for arrival in old.got("/same", 2)}) == 1


def test_a_table_from_a_newer_control_plane_is_read_as_far_as_it_is_known(
    start: Start, plane: ControlPlane, old: ModelServer
) -> None:
    router = start(None, control=plane.url)
    newer = msgspec.json.decode(encode_table(table(3, old)))
    newer["later"] = newer["routes"][0]["arms"][0]["later"] = 1
    plane.publish(msgspec.json.encode(newer), 3)
    assert eventually(lambda: arm(router) == b"only")
