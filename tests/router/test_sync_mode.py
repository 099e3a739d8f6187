"""Sync mode: who has an answer, whole, has it in the spool. What cannot be written is waited for within bounds."""

import errno
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import pytest

from modelctl.errors import InvalidSettings
from modelctl.evidence import SEGMENT_SUFFIX, Served, Tally, encode
from modelctl.router.spool import Batch, SpoolWriter
from modelctl.router.sync_spool import PATIENCE
from modelctl.router.syncer import Syncer
from modelctl.settings import read_settings
from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.router.conftest import SHORT, baseline, candidate
from tests.router.gated_router import HANG
from tests.router.model_server import ModelServer, close, pause
from tests.router.process import RouterProcess, check_tallies, eventually, last_tally
from tests.router.test_bad_disk import allow
from tests.router.test_evidence import only, under_load
from tests.router.wire import Client, Incomplete, get, ok, post

Start = Callable[..., RouterProcess]
SILENCE = 0.25  # seconds after which an answer is taken to be held


class Gated(RouterProcess):
    """A router in sync mode whose disk hangs when a test says so."""

    module = "tests.router.gated_router"

    def hang(self) -> None:
        """From now on no write comes back."""
        (self.folder / HANG).touch()

    def go_on(self) -> None:
        """The disk works again."""
        (self.folder / HANG).unlink()


def table(old: ModelServer, closed_port: int) -> RoutingTable:
    """Everything to one model server, but what is below /dead."""
    backends = (
        Backend(name="old", endpoints=(old.url,), response_timeout_ms=3_000),
        Backend(name="dead", endpoints=(f"http://127.0.0.1:{closed_port}",)),
    )
    shown = (baseline("old"), candidate("dead", shown=10_000))
    routes = (
        Route(name="all", arms=(baseline("old"),), capture=Capture()),
        Route(name="dead", path="/dead", arms=(baseline("dead"),)),
        Route(name="shown", path="/shown", arms=shown),
    )
    return RoutingTable(version=1, backends=backends, routes=routes)


@pytest.fixture
def gated(tmp_path: Path, old: ModelServer, closed_port: int) -> Iterator[Gated]:
    router = Gated(tmp_path / "data", table(old, closed_port), settings=SHORT)
    try:
        router.ready()
        yield router
        assert router.stop() == 0
    finally:
        router.kill()
    assert "Traceback" not in router.events(), router.events()
    check_tallies(router.records())


def silent(client: Client, seconds: float = SILENCE) -> bool:
    """Whether nothing comes."""
    return not select.select([client.socket], [], [], seconds)[0]


@pytest.mark.parametrize("fsync", ["never", "interval", "batch"])
def test_after_kill_every_answered_request_is_in_the_spool(start: Start, old: ModelServer, fsync: str) -> None:
    router = start(only(old), spool_mode="sync", spool_fsync=fsync)
    answered = under_load(router, 0.5, signal.SIGKILL)
    records = router.records()
    check_tallies(records)
    written = [record.request_id.decode() for record in records if isinstance(record, Served)]
    assert len(written) == len(set(written))
    assert set(answered) <= set(written)


def test_an_answer_waits_for_its_record_and_no_longer(gated: Gated, old: ModelServer) -> None:
    gated.hang()
    with gated.client() as client:
        client.send(get("/held", "X-Request-Id: held"))
        assert silent(client)
        assert [arrival.target for arrival in old.arrivals] == [b"/held"]
        gated.go_on()
        assert client.read().status == 200
        assert gated.served("held", seconds=0).answer.status == 200
        assert client.ask(get("/next")).status == 200


def test_of_a_stream_all_but_the_end_is_passed_on_at_once(gated: Gated, old: ModelServer) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    old.on("/stream", head + b"3\r\none\r\n", pause(0.1), b"3\r\ntwo\r\n", pause(0.1), b"0\r\n\r\n")
    gated.hang()
    with gated.client() as client:
        client.send(get("/stream"))
        assert seen_until_silent(client).endswith(b"3\r\none\r\n3\r\ntwo\r\n")
        gated.go_on()
        assert client.socket.recv(100) == b"0\r\n\r\n"


def test_an_answer_that_ends_with_its_connection_waits_too(gated: Gated, old: ModelServer) -> None:
    old.on("/close", b"HTTP/1.1 200 OK\r\n\r\nuntil the end", pause(0.1), close)
    gated.hang()
    with gated.client() as client:
        client.send(b"GET /close HTTP/1.0\r\nHost: x\r\n\r\n")
        assert seen_until_silent(client).endswith(b"until the end")
        gated.go_on()
        assert client.rest() == b""


def seen_until_silent(client: Client) -> bytes:
    """What comes until nothing does; the connection must not end."""
    seen = b""
    while not silent(client):
        data = client.socket.recv(1_000)
        assert data, "it was closed"
        seen += data
    return seen


def test_the_routers_own_answer_to_a_recorded_request_waits_and_one_without_a_record_does_not(gated: Gated) -> None:
    gated.hang()
    with gated.client() as client, gated.client() as other:
        client.send(get("/dead", "X-Request-Id: refused"))
        assert silent(client)
        assert other.ask(get("/a/../b")).status == 400
        gated.go_on()
        assert client.read().status == 502
        assert gated.served("refused", seconds=0).answer.failure == "connect"
        assert client.ask(get("/next")).status == 200


def test_requests_sent_ahead_are_answered_in_order_behind_a_held_answer(gated: Gated, old: ModelServer) -> None:
    for number in range(3):
        old.on(f"/ahead-{number}", ok(b"%d" % number))
    gated.hang()
    with gated.client() as client:
        client.send(get("/ahead-0") + get("/dead") + get("/ahead-1") + get("/a/../b") + get("/ahead-2"))
        assert silent(client)
        assert len(old.arrivals) == 1
        gated.go_on()
        assert [client.read().status for _ in range(3)] == [200, 502, 200]
        assert client.read().status == 400


def test_answers_that_wait_together_share_a_write(gated: Gated) -> None:
    gated.ask(get("/first"))
    gated.hang()
    clients = [gated.client() for _ in range(40)]
    try:
        for client in clients:
            client.send(get("/together"))
        assert all(silent(client, 0.01) for client in clients)
        gated.go_on()
        assert [client.read().status for client in clients] == [200] * 40
    finally:
        for client in clients:
            client.socket.close()
    batches = [record.accepted for record in gated.records() if isinstance(record, Tally)]
    assert batches[-1] == 41
    assert len(batches) <= 4


def test_a_client_that_leaves_before_its_record_is_written_harms_nobody(gated: Gated, old: ModelServer) -> None:
    gated.hang()
    with gated.client() as client:
        client.send(get("/left", "X-Request-Id: left"))
        assert silent(client)
    with gated.client() as client:
        client.send(get("/stays"))
        sleep(0.1)
        gated.go_on()
        assert client.read().status == 200
    assert gated.served("left").answer.status == 200


def test_a_client_that_says_it_sends_no_more_gets_its_held_answer(gated: Gated) -> None:
    gated.hang()
    with gated.client() as client:
        client.send(get("/half"))
        client.socket.shutdown(1)
        assert silent(client)
        gated.go_on()
        assert client.read().status == 200
        assert client.rest() == b""


def test_an_early_answer_waits_while_its_request_goes_on(gated: Gated, old: ModelServer) -> None:
    old.on("/early", ok(b"enough"), early=True)
    gated.hang()
    with gated.client() as client:
        client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert silent(client)
        client.send(b"3\r\ndef\r\n")
        gated.go_on()
        assert client.read(b"POST").body == b"enough"


def test_a_request_that_turns_out_broken_while_its_answer_waits_is_cut_off(gated: Gated, old: ModelServer) -> None:
    old.on("/early", ok(b"enough"), early=True)
    gated.hang()
    with gated.client() as client:
        client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert silent(client)
        client.send(b"nonsense\r\n")
        with pytest.raises(Incomplete):
            client.read(b"POST")
        gated.go_on()
    assert gated.ask(get("/next")).status == 200


def test_a_disk_that_hangs_holds_answers_for_a_second_and_nobody_after_that(gated: Gated) -> None:
    gated.hang()
    with gated.client() as client:
        began = monotonic()
        assert client.ask(get("/first")).status == 200
        assert monotonic() - began >= PATIENCE
        began = monotonic()
        assert [client.ask(get("/more")).status for _ in range(10)] == [200] * 10
        assert monotonic() - began < PATIENCE
        assert "answers-do-not-wait" in gated.events()
        gated.go_on()
        assert eventually(lambda: "answers-wait" in gated.events().replace("answers-do-not-wait", ""))
        assert "11 records were not waited for" in gated.events()
        gated.hang()
        client.send(get("/again"))
        assert silent(client)
        gated.go_on()
        assert client.read().status == 200
    assert last_tally(gated.records()).accepted == 12


def test_a_worker_that_stood_still_hears_from_its_disk_before_it_gives_up(gated: Gated) -> None:
    gated.hang()
    with gated.client() as client:
        client.send(get("/held"))
        assert silent(client)
        gated.process.send_signal(signal.SIGSTOP)
        gated.go_on()
        sleep(PATIENCE + 0.5)
        gated.process.send_signal(signal.SIGCONT)
        assert client.read().status == 200
    assert "answers-do-not-wait" not in gated.events()


def test_a_disk_that_refuses_holds_nobody_and_every_loss_is_counted(start: Start, old: ModelServer) -> None:
    router = start(only(old), spool_mode="sync").ready()
    with router.client() as client:
        assert client.ask(get("/before", "X-Request-Id: before")).status == 200
        written = sum(segment.stat().st_size for segment in router.folder.glob(f"spool/*/*{SEGMENT_SUFFIX}"))
        allow(router, written + 1_000)
        assert [client.ask(post("/meanwhile", b"x" * 2_000)).status for _ in range(10)] == [200] * 10
        allow(router, -1)
        assert client.ask(get("/after", "X-Request-Id: after")).status == 200
        router.served("after", seconds=0)
    assert router.stop() == 0
    records = router.records()
    check_tallies(records)
    assert last_tally(records) == Tally(12, 2, {"write-failed": 10})


def test_an_answer_does_not_wait_for_a_shadow(gated: Gated, old: ModelServer, closed_port: int) -> None:
    assert gated.ask(get("/shown", "X-Request-Id: shown")).status == 200
    assert gated.compared("shown")[0].shadow.failure == "connect"


def test_a_drain_waits_for_what_is_held(gated: Gated) -> None:
    gated.hang()
    with gated.client() as client:
        client.send(get("/held", "X-Request-Id: drained"))
        assert silent(client)
        gated.process.send_signal(signal.SIGTERM)
        sleep(0.2)
        gated.go_on()
        assert client.read().status == 200
    assert gated.process.wait(10) == 0
    assert gated.served("drained").answer.status == 200


@pytest.mark.parametrize(("fsync", "syncs"), [("never", 0), ("interval", 1), ("batch", 5)])
def test_batches_are_synced_as_the_policy_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fsync: str, syncs: int) -> None:
    done: list[int] = []
    told: list[int] = []
    monkeypatch.setattr(os, "fdatasync", done.append)
    writer = SpoolWriter(tmp_path / "spool", 1 << 30, fsync=fsync)
    record = encode(Tally(0, 0, {}))
    batch = Batch([record], 1, len(record), 0, told=lambda: told.append(len(done)))
    while len(told) < 5:
        before = len(told)
        writer.put(batch)
        assert eventually(lambda: len(told) > before)  # noqa: B023  (called at once)
    if fsync == "batch":
        assert told == [1, 2, 3, 4, 5]
    writer.close()
    assert syncs <= len(done) <= max(syncs, 5 if fsync == "interval" else 0)


def test_a_sync_that_takes_long_holds_no_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = Event()
    asked: list[int] = []

    def hanging(file: int) -> None:
        asked.append(file)
        go.wait(10)

    monkeypatch.setattr(os, "fdatasync", hanging)
    writer = SpoolWriter(tmp_path / "spool", 1 << 30)
    record = encode(Tally(0, 0, {}))
    written: list[bool] = []
    batch = Batch([record], 1, len(record), 0, told=lambda: written.append(go.is_set()))
    for _ in range(10):
        writer.put(batch)
        sleep(0.05)
    assert eventually(lambda: len(written) == 10)
    assert asked
    assert not any(written)
    go.set()
    writer.close()


@pytest.mark.parametrize("fsync", ["interval", "batch"])
def test_a_sync_that_fails_holds_no_batch_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fsync: str) -> None:
    def refusing(file: int) -> None:
        raise OSError(errno.EIO, f"cannot sync {file}")

    said: list[str] = []
    written: list[bool] = []
    monkeypatch.setattr(os, "fdatasync", refusing)
    writer = SpoolWriter(tmp_path / "spool", 1 << 30, fsync=fsync, report=lambda event, _: said.append(event))
    record = encode(Tally(0, 0, {}))
    writer.put(Batch([record], 1, len(record), 0, told=lambda: written.append(True)))
    assert eventually(lambda: written == [True])
    writer.close()
    assert writer.unsynced >= 1
    assert said == ["sync-failed"]


def test_the_log_says_once_when_syncs_begin_to_fail(tmp_path: Path) -> None:
    said: list[str] = []
    syncer = Syncer(lambda event, _: said.append(event))
    reading, unsyncable = os.pipe()
    file = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    for one in (unsyncable, unsyncable, file, unsyncable):
        syncer.sync(one)
    syncer.close()
    for one in (reading, unsyncable, file):
        os.close(one)
    assert said == ["sync-failed", "sync-failed"]
    assert syncer.failed == 3


def test_other_words_for_mode_and_fsync_are_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_settings({"MODELCTL_SPOOL_MODE": "safe", "MODELCTL_SPOOL_FSYNC": "always"}, {})
    assert refused.value.faults == (
        "MODELCTL_SPOOL_MODE: 'safe' is none of async, sync",
        "MODELCTL_SPOOL_FSYNC: 'always' is none of never, interval, batch",
    )
