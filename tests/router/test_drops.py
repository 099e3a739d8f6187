"""What a worker drops is counted for the arm it was about, and a worker on a full disk serves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from modelctl.evidence import (
    CLIENT_GONE,
    Answer,
    Compared,
    Context,
    Dropped,
    Drops,
    Record,
    Request,
    Served,
    Tally,
    encode,
    frame,
    framed,
    header,
)
from modelctl.router.alarm import PAUSE, Alarm
from modelctl.router.drops import MOST, DropBook
from modelctl.router.spool import SHORTAGE_SECONDS
from modelctl.router.sync import save_table
from modelctl.traffic import Arm, Backend, Role, Route, RoutingTable, encode_table
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess, check_tallies, eventually, last_tally
from tests.router.wire import get, post
from tests.small_disk import SmallDisk, small_disk

Start = Callable[..., RouterProcess]


def record(arm: str = "old", *, reason: str = "split", failure: str = "", status: int = 200, stage: int = 3) -> Served:
    context = Context("fraud", 7, stage, 1, "baseline", reason, 10_000, b"")
    answer = Answer(arm, status, failure, 1, 1, b"", b"", b"x" * 100, 100)
    return Served(b"0" * 16, b"r", 5, context, Request(b"POST", b"/", b"", b"", b"", 0), answer)


def pair(candidate: str = "new") -> Compared:
    return Compared(record(), Answer(candidate, 0, "timeout", 1, 0, b"", b"", b"", 0))


def noted(*records: Record) -> tuple[Dropped, ...]:
    book = DropBook()
    for one in records:
        book.note(encode(one), "disk-full")
    return book.take()


def test_a_dropped_record_counts_for_its_arm_in_its_stage() -> None:
    found = noted(record(), record("new"), record(), pair(), record(stage=4))
    assert found == (
        Dropped("fraud", 7, 3, "old", False, "disk-full", 2),
        Dropped("fraud", 7, 3, "new", False, "disk-full", 1),
        Dropped("fraud", 7, 3, "new", True, "disk-full", 1),
        Dropped("fraud", 7, 4, "old", False, "disk-full", 1),
    )


def test_what_would_have_been_no_evidence_is_not_missing() -> None:
    apart = [record(reason=reason) for reason in ("preview", "rule", "addressed", "fallback")]
    assert noted(*apart, record(failure=CLIENT_GONE), record(status=101), Tally(1, 1, {})) == ()


def test_pieces_of_a_batch_are_looked_into_wherever_they_were_cut() -> None:
    payload = encode(record())
    book = DropBook()
    book.note_frames([framed(payload), header(payload), payload, frame(pair())], "write-failed")
    assert [(one.pair, one.n) for one in book.take()] == [(False, 2), (True, 1)]
    assert not book


def test_the_places_that_are_told_apart_are_bounded() -> None:
    book = DropBook()
    for stage in range(MOST + 5):
        book.note(encode(record(stage=stage)), "disk-full")
    book.note(encode(record(stage=0)), "disk-full")
    told = book.told()
    assert len(told.dropped) == MOST
    assert told.dropped[0].n == 2


def table(old: ModelServer, new: ModelServer) -> RoutingTable:
    """`new` is shown everything."""
    arms = (
        Arm(backend="old", role=Role.BASELINE, answers=10_000),
        Arm(backend="new", role=Role.CANDIDATE, answers=0, shown=10_000),
    )
    backends = tuple(Backend(name=name, endpoints=(server.url,)) for name, server in (("old", old), ("new", new)))
    route = Route(name="fraud", path="/", arms=arms, rollout=7, stage=3)
    return RoutingTable(version=1, backends=backends, routes=(route,))


def dropped(router: RouterProcess) -> dict[tuple[str, bool], int]:
    """By arm, and whether as a pair, over all that was told."""
    found: dict[tuple[str, bool], int] = {}
    for told in router.records():
        for one in told.dropped if isinstance(told, Drops) else ():
            assert (one.route, one.rollout, one.stage) == ("fraud", 7, 3)
            found[one.arm, one.pair] = found.get((one.arm, one.pair), 0) + one.n
    return found


def test_a_full_spool_tells_whose_records_are_missing(start: Start, old: ModelServer, new: ModelServer) -> None:
    router = start(table(old, new), spool_max_bytes=str(1 << 20))
    with router.client() as client:
        for _ in range(12):
            assert client.ask(post("/fill", b"x" * 65_536)).status == 200
        assert eventually(lambda: client.ask(get("/over")).status == 200 and bool(dropped(router)))
    assert router.stop() == 0
    check_tallies(router.records())
    found, tally = dropped(router), last_tally(router.records())
    assert found.keys() == {("old", False), ("new", True)}
    assert sum(found.values()) == tally.dropped["spool-full"] > 0
    assert router.events().count('"evidence-dropped"') == 1
    assert "MODELCTL_SPOOL_MAX_BYTES" in router.events()


def test_an_alarm_says_a_line_at_either_end_and_not_more_often_than_it_should(tmp_path: Path) -> None:
    said: list[str] = []
    alarm = Alarm(lambda event, text: said.append(f"{event}: {text}"), tmp_path)
    for now in (0.0, 0.1, 5.0):
        alarm.dropped(7, "no room", now=now)
    alarm.kept()
    alarm.kept()
    alarm.dropped(1, "no room", now=6.0)
    alarm.kept()
    alarm.dropped(2, "no room", now=PAUSE + 6.0)
    assert said == [
        f"evidence-dropped: what clients are answered is not recorded: no room ({tmp_path})",
        "evidence-kept: records are written again; 21 were dropped",
        f"evidence-dropped: what clients are answered is not recorded: no room ({tmp_path})",
    ]


def test_a_buffer_that_is_full_tells_whose_records_are_missing(start: Start, old: ModelServer, new: ModelServer) -> None:
    router = start(table(old, new), spool_buffer_bytes="65536")
    for _ in range(3):
        assert router.ask(post("/any", b"x" * 65_536)).status == 200
    assert router.ask(get("/small")).status == 200
    assert router.stop() == 0
    assert dropped(router) == {("old", False): 3, ("new", True): 3}
    assert last_tally(router.records()).dropped == {"buffer-full": 6}


@pytest.mark.external("mount")
def test_a_worker_that_starts_on_a_full_disk_serves_and_records_when_there_is_room(
    start_in: Callable[[SmallDisk], RouterProcess],
) -> None:
    with small_disk(4 << 20) as disk:
        router = start_in(disk)
        with router.client() as client:
            for number in range(30):
                assert client.ask(get("/meanwhile", f"X-Request-Id: meanwhile-{number}")).status == 200
            assert not list(disk.folder.glob("spool/*/*.seg"))
            disk.make_room()
            assert eventually(lambda: client.ask(get("/after")).status == 200 and bool(router.records()), 5 + 3 * SHORTAGE_SECONDS)
            assert client.ask(get("/after", "X-Request-Id: after")).status == 200
            router.served("after")
        assert router.stop() == 0
        check_tallies(router.records())
        assert last_tally(router.records()).dropped["write-failed"] >= 30
        assert "records are written again" in router.events()
        assert dropped(router)["old", False] >= 30


@pytest.fixture
def start_in(old: ModelServer, new: ModelServer) -> Callable[[SmallDisk], RouterProcess]:
    """Starts a worker whose data folder is on the disk, which is full but for the routing table."""

    def start(disk: SmallDisk) -> RouterProcess:
        save_table(disk.folder / "routing-table.json", encode_table(table(old, new)))
        (disk.folder / "router.log").touch()
        disk.fill(leave=65_536)
        disk.use_up_names()
        disk.fill()
        return RouterProcess(disk.folder, None).ready()

    return start
