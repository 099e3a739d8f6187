"""What could not be recorded is listed with its reason, and given back after a fix: recorded once, however often."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, text
from starlette.applications import Starlette

from modelctl.cli import main
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.backfill.quarantine import Asked, requeue
from modelctl.controlplane.fleet import Fleet
from modelctl.errors import Conflict, StoreError
from modelctl.evidence import HEADER, VERSION, encode
from modelctl.recorder.quarantine import set_aside as aside
from modelctl.recorder.spool_reader import Located
from modelctl.settings import Settings
from modelctl.store.engine import connect, writing
from tests.recorder.stream import Worker, answer, drain, register, rows, served, shown_to_new, sums
from tests.small_disk import small_disk

Serve = Callable[[Starlette], str]
REFUSING = {
    "sqlite": "CREATE TRIGGER refusing BEFORE INSERT ON prediction WHEN NEW.label = 'bad' BEGIN SELECT RAISE(ABORT, 'no bad'); END",
    "postgresql": "ALTER TABLE prediction ADD CONSTRAINT refusing CHECK (label <> 'bad')",
}
FORGET = {
    "sqlite": "DROP TRIGGER IF EXISTS refusing",
    "postgresql": "ALTER TABLE prediction DROP CONSTRAINT IF EXISTS refusing",
}
TAKING = {"sqlite": "DROP TRIGGER refusing", "postgresql": "ALTER TABLE prediction DROP CONSTRAINT refusing"}


@pytest.fixture
def spools(database_url: str, tmp_path: Path) -> Iterator[Path]:
    register(database_url)
    yield tmp_path / "spool"
    execute(database_url, FORGET)


@pytest.fixture
def plane(engine: Engine, serve: Serve, tmp_path: Path, spools: Path) -> str:
    """A control plane beside the recorder's spools."""
    return serve(create_app(engine, Settings(data_dir=tmp_path), fleet=Fleet(unix_microseconds, young_for=-1)))


def execute(url: str, statements: dict[str, str]) -> None:
    """The one for this kind of database."""
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(text(statements[engine.dialect.name]))
    engine.dispose()


def set_aside(url: str, spools: Path, *, bad: int = 3) -> Worker:
    """Ten good records, and bad ones among them that the database refuses until `mended`."""
    worker = Worker(spools)
    execute(url, REFUSING)
    worker.write([served(number, answer("old", "bad" if number <= bad else "good")) for number in range(1, bad + 11)])
    drain(url, spools)
    return worker


def mended(url: str) -> None:
    execute(url, TAKING)


def conserved(url: str) -> dict[str, int]:
    """The counts of all spools; every law holds for each."""
    found: dict[str, int] = {}
    for row in rows(url, "spool"):
        assert row["offered"] == row["accepted"] == row["committed"] + row["quarantined"] + row["duplicate"]
        for name in ("accepted", "committed", "quarantined", "duplicate"):
            found[name] = found.get(name, 0) + row[name]
    assert len(rows(url, "prediction")) == sum(n for n, *_ in sums(url, "requests").values())
    return found


def ask(plane: str, **asked: object) -> dict[str, Any]:
    """Requeues over HTTP."""
    answered: dict[str, Any] = httpx.post(f"{plane}/v1/quarantine:requeue", json=asked, trust_env=False).raise_for_status().json()
    return answered


def listed(plane: str, **query: str) -> list[dict[str, Any]]:
    """The items of all pages."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        given = query | ({"cursor": cursor} if cursor else {})
        page = httpx.get(f"{plane}/v1/quarantine", params=given, trust_env=False).raise_for_status().json()
        items += page["items"]
        cursor = page["next"]
    return items


def test_what_was_set_aside_is_listed_with_its_reason_and_place(database_url: str, spools: Path, plane: str) -> None:
    assert listed(plane) == []
    set_aside(database_url, spools)
    found = listed(plane, limit="2")
    assert [(one["what"], one["route"], one["rollout"], one["stage"], one["arm"]) for one in found] == [
        ("prediction", "fraud", 1, 1, "old")
    ] * 3
    assert {one["request_id"] for one in found} == {"request-1", "request-2", "request-3"}
    assert all(one["reason"] for one in found)
    assert listed(plane, text=found[0]["reason"]) == found
    assert listed(plane, text="no such words") == []
    shown = httpx.get(f"{plane}/v1/quarantine/{found[1]['id']}", trust_env=False).json()
    assert shown == found[1]


def test_after_a_fix_all_are_recorded_once_and_the_laws_hold(database_url: str, spools: Path, plane: str) -> None:
    set_aside(database_url, spools)
    mended(database_url)
    done = ask(plane, all=True)
    assert (done["requeued"], done["unreadable"], done["waiting"]) == (3, 0, 0)
    drain(database_url, spools)
    assert conserved(database_url) == {"accepted": 16, "committed": 13, "quarantined": 3, "duplicate": 0}
    assert len(rows(database_url, "prediction")) == 13
    assert listed(plane) == []
    assert not list((spools / "quarantine").glob("*.reason"))
    progress = httpx.get(f"{plane}/v1/requeues/{done['name']}", trust_env=False).json()
    assert (progress["taken"], progress["recorded"]) == (3, 3)
    assert ask(plane, all=True) == {"name": "", "requeued": 0, "unreadable": 0, "waiting": 0}


def test_records_that_are_requeued_twice_are_recorded_once(database_url: str, spools: Path, plane: str, tmp_path: Path) -> None:
    set_aside(database_url, spools)
    mended(database_url)
    shutil.copytree(spools / "quarantine", tmp_path / "copy")
    ask(plane, all=True)
    shutil.copytree(tmp_path / "copy", spools / "quarantine", dirs_exist_ok=True)  # as if killed before the files went
    ask(plane, all=True)
    drain(database_url, spools)
    assert conserved(database_url) == {"accepted": 19, "committed": 13, "quarantined": 3, "duplicate": 3}
    assert len(rows(database_url, "prediction")) == 13


def test_one_can_be_requeued_by_its_id_and_some_by_their_reason(database_url: str, spools: Path, plane: str) -> None:
    set_aside(database_url, spools)
    mended(database_url)
    first, *others = listed(plane)
    assert ask(plane, ids=[first["id"]])["requeued"] == 1
    assert listed(plane) == others
    assert ask(plane, text="nobody wrote this")["requeued"] == 0
    assert ask(plane, text=others[0]["reason"][:30])["requeued"] == 2
    drain(database_url, spools)
    assert len(rows(database_url, "prediction")) == 13


def test_what_is_still_refused_is_set_aside_again(database_url: str, spools: Path, plane: str) -> None:
    set_aside(database_url, spools)
    done = ask(plane, all=True)
    drain(database_url, spools)
    assert conserved(database_url) == {"accepted": 16, "committed": 10, "quarantined": 6, "duplicate": 0}
    again = listed(plane)
    assert len(again) == 3
    assert all(one["id"].startswith(done["name"]) for one in again)
    mended(database_url)
    assert ask(plane, all=True)["requeued"] == 3
    drain(database_url, spools)
    assert len(rows(database_url, "prediction")) == 13


def test_pairs_come_back_as_pairs_and_what_holds_no_record_stays(
    sqlite_url: str, lite: Engine, serve: Serve, tmp_path: Path
) -> None:
    register(sqlite_url)
    spools, worker = tmp_path / "spool", Worker(tmp_path / "spool")
    execute(sqlite_url, {"sqlite": "CREATE TRIGGER refusing BEFORE INSERT ON pair BEGIN SELECT RAISE(ABORT, 'no pairs'); END"})
    payload = b"\xc1"
    worker.write_bytes(HEADER.pack(len(payload), crc32(payload), VERSION) + payload)
    worker.write(shown_to_new(1, "cat", "dog"))
    drain(sqlite_url, spools)
    mended(sqlite_url)
    plane = serve(create_app(lite, Settings(data_dir=tmp_path), fleet=Fleet(unix_microseconds, young_for=-1)))
    assert {(one["what"], one["arm"], bool(one["problem"])) for one in listed(plane)} == {("pair", "new", False), ("", "", True)}
    done = ask(plane, all=True)
    assert (done["requeued"], done["unreadable"]) == (1, 1)
    drain(sqlite_url, spools)
    assert [row["candidate"] for row in rows(sqlite_url, "pair")] == ["new"]
    assert [one["what"] for one in listed(plane)] == [""]


def test_a_requeue_that_is_killed_at_any_moment_loses_and_doubles_nothing(sqlite_url: str, tmp_path: Path) -> None:
    register(sqlite_url)
    spools = tmp_path / "spool"
    spools.mkdir()
    count = 500
    for number in range(1, count + 1):
        frame = Located(encode(served(number, answer("old"))), 1, number, number + 1)
        aside(spools, "w0", frame=frame, reason="a reason")
    program = (
        "import sys; from pathlib import Path; from modelctl.controlplane.backfill.quarantine import Asked, requeue\n"
        "print('ready', flush=True); requeue(Path(sys.argv[1]), sys.argv[2], asked=Asked(all=True))"
    )
    for number in range(4):
        command = [sys.executable, "-c", program, str(spools), f"requeue-{number}"]
        with subprocess.Popen(command, env={**os.environ}, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.01 * number)
            process.send_signal(signal.SIGKILL)
        drain(sqlite_url, spools)
    requeue(spools, "requeue-last", asked=Asked(all=True))
    for folder in spools.glob("requeue-*"):
        past = time.time() - 60
        os.utime(folder, (past, past))
    drain(sqlite_url, spools)
    assert not list((spools / "quarantine").glob("*.frame"))
    assert len(rows(sqlite_url, "prediction")) == count
    assert conserved(sqlite_url)["committed"] == count


@pytest.mark.external("mount")
def test_on_a_full_disk_nothing_is_requeued_and_nothing_is_lost(sqlite_url: str) -> None:
    register(sqlite_url)
    with small_disk(2 << 20) as disk:
        spools = disk.folder / "spool"
        set_aside(sqlite_url, spools)
        mended(sqlite_url)
        kept = sorted((spools / "quarantine").iterdir())
        disk.fill()
        with pytest.raises(StoreError, match="stays set aside"):
            requeue(spools, "requeue-a", asked=Asked(all=True))
        assert sorted(path for path in (spools / "quarantine").iterdir() if path.suffix != ".lock") == kept
        disk.make_room()
        assert requeue(spools, "requeue-b", asked=Asked(all=True)).requeued == 3
        drain(sqlite_url, spools)
    assert len(rows(sqlite_url, "prediction")) == 13
    assert conserved(sqlite_url)["duplicate"] == 0


def test_what_is_asked_for_must_be_clear_and_there(database_url: str, spools: Path, plane: str) -> None:
    set_aside(database_url, spools, bad=1)
    for asked in ({}, {"all": True, "text": "x"}, {"ids": ["a"], "all": True}):
        answered = httpx.post(f"{plane}/v1/quarantine:requeue", json=asked, trust_env=False)
        assert answered.status_code == 422, answered.text
        assert "one of the three" in answered.json()["detail"]
    for name in ("nothing", "..%2F..%2Fetc%2Fpasswd"):
        assert httpx.get(f"{plane}/v1/quarantine/{name}", trust_env=False).status_code == 404
    (one,) = listed(plane)
    missing = httpx.post(f"{plane}/v1/quarantine:requeue", json={"ids": [one["id"], "gone"]}, trust_env=False)
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert "gone" in missing.json()["detail"]
    assert listed(plane) == [one]


def test_only_one_requeues_at_a_time(tmp_path: Path, sqlite_url: str) -> None:
    register(sqlite_url)
    set_aside(sqlite_url, tmp_path / "spool", bad=1)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'wb'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "spool" / "quarantine" / "requeue.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        with pytest.raises(Conflict, match="somebody else"):
            requeue(tmp_path / "spool", "requeue-a", asked=Asked(all=True))
        holder.stdin.close()
    assert requeue(tmp_path / "spool", "requeue-b", asked=Asked(all=True)).requeued == 1


def test_the_command_lists_shows_and_requeues(
    database_url: str, spools: Path, plane: str, *, capsys: pytest.CaptureFixture[str]
) -> None:
    set_aside(database_url, spools, bad=2)
    assert main(["evidence", "quarantine", "--url", plane, "-o", "json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert main(["evidence", "quarantine", "--url", plane]) == 0
    assert items[0]["id"] in capsys.readouterr().out
    assert main(["evidence", "show", items[0]["id"], "--url", plane]) == 0
    shown = capsys.readouterr().out
    assert "prediction of old · route fraud, rollout 1, stage 1" in shown
    assert f"request {items[0]['request_id']}" in shown
    assert main(["evidence", "requeue", "--url", plane]) == 2
    assert "modelctl evidence requeue --all" in capsys.readouterr().err
    mended(database_url)
    with subprocess.Popen(
        [sys.executable, "-m", "modelctl.recorder", "--database", database_url, "--spool", str(spools)], stderr=subprocess.PIPE
    ) as recorder:
        try:
            assert main(["evidence", "requeue", "--all", "--reason", "the rule is gone", "--url", plane]) == 0
        finally:
            recorder.send_signal(signal.SIGTERM)
    assert "2 requeued · 2 recorded · 0 known before" in capsys.readouterr().out
    assert len(rows(database_url, "prediction")) == 12
    (event,) = [row for row in rows(database_url, "event") if row["action"] == "requeue"]
    assert event["reason"] == "the rule is gone"
    assert msgspec.json.decode(event["detail"])["requeued"] == 2
