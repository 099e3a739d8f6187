"""The recorder as a process: killed at any moment, without its database, stopped, and started twice."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

import modelctl
from modelctl.evidence import HEADER, VERSION, Compared, Served
from modelctl.recorder.process import backoff, log
from modelctl.store import schema
from tests.recorder.stream import Worker, batches, drain, mixed, register, rows

PATIENCE = 40.0


class Process:
    """A running `python -m modelctl.recorder`."""

    def __init__(self, url: str, spool: Path) -> None:
        self._log = spool.parent / f"recorder-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "modelctl.recorder", "--database", url, "--spool", str(spool)]
        with self._log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stderr=file, stdout=subprocess.PIPE, cwd=Path(modelctl.__file__).parents[1], env=os.environ
            )

    def events(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def names(self) -> list[str]:
        """The events it logged, by name."""
        return [event["event.action"] for event in self.events()]

    def end(self, number: int) -> int:
        """Sends a signal and waits; the exit code. Whatever happened, nothing was printed."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=PATIENCE)
        assert output == b""
        return self.process.returncode


@contextmanager
def _running(url: str, spool: Path) -> Iterator[Process]:
    recorder = Process(url, spool)
    try:
        yield recorder
    finally:
        if recorder.process.poll() is None:
            recorder.end(signal.SIGKILL)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def _committed(url: str) -> int:
    return sum(row["committed"] for row in rows(url, "spool"))


def _whole(url: str) -> dict[tuple[object, ...], tuple[object, ...]]:
    """The rollups over all stages of a recording, with sums that may differ in their last digits."""
    keys = ("arm", "metric", "key", "minute")
    return {
        tuple(row[name] for name in keys): (
            row["n"],
            row["k"],
            *(pytest.approx(row[name], rel=1e-9) for name in ("s1", "s2", "sp")),
        )
        for row in rows(url, "rollup")
    }


def test_killed_again_and_again_it_records_every_record_exactly_once(database_url: str, tmp_path: Path) -> None:
    register(database_url)
    worker = Worker(tmp_path / "spool")
    records = mixed(20_000)
    enough = threading.Event()
    stream = threading.Thread(target=_write_until, args=(enough, worker, records))
    stream.start()
    for kill in range(4):
        before = _committed(database_url)
        with _running(database_url, tmp_path / "spool") as recorder:
            _until(lambda seen=before, more=5 + 20 * kill: _committed(database_url) > seen + more)  # type: ignore[misc]
            time.sleep(random.uniform(0, 0.05))
            assert recorder.end(signal.SIGKILL) == -signal.SIGKILL
    enough.set()
    stream.join()
    with _running(database_url, tmp_path / "spool") as recorder:
        _until(lambda: _committed(database_url) >= worker.accepted)
        assert recorder.end(signal.SIGTERM) == 0
    _assert_recorded_once(database_url, records[: worker.accepted], tmp_path)


def _write_until(enough: threading.Event, worker: Worker, records: list[Served | Compared]) -> None:
    for batch in batches(records, 3):
        worker.write(batch)
        if random.random() < 0.05:
            worker.roll()
        if enough.wait(0.02):
            return


def _assert_recorded_once(url: str, records: list[Served | Compared], folder: Path) -> None:
    (progress,) = rows(url, "spool")
    assert (progress["accepted"], progress["committed"]) == (len(records), len(records))
    assert (progress["duplicate"], progress["quarantined"], progress["corrupt_bytes"]) == (0, 0, 0)
    assert len(rows(url, "prediction")) == sum(isinstance(record, Served) for record in records)
    reference = f"sqlite:///{folder / 'reference.db'}"
    schema.upgrade(reference)
    register(reference)
    Worker(folder / "reference").write(records)
    drain(reference, folder / "reference")
    assert rows(url, "prediction") == rows(reference, "prediction")
    assert rows(url, "pair") == rows(reference, "pair")
    assert _whole(url) == _whole(reference)


def test_a_postgresql_that_goes_away_and_comes_back_loses_nothing(postgres_url: str, tmp_path: Path) -> None:
    register(postgres_url)
    worker = Worker(tmp_path / "spool")
    with _running(postgres_url, tmp_path / "spool") as recorder:
        worker.write(mixed(50)[:50])
        _until(lambda: _committed(postgres_url) == 50)
        _allow_connections(postgres_url, allowed=False)
        worker.write(mixed(120)[50:120])
        _until(lambda: "waiting" in recorder.names())
        _allow_connections(postgres_url, allowed=True)
        _until(lambda: _committed(postgres_url) == 120)
        assert recorder.end(signal.SIGTERM) == 0
        assert recorder.names() == ["start", "waiting", "resumed", "stop"]


def _allow_connections(url: str, *, allowed: bool) -> None:
    name = make_url(url).database
    engine = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}"))
        if not allowed:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name})


def test_a_sqlite_file_that_somebody_locks_for_long_loses_nothing(sqlite_url: str, tmp_path: Path) -> None:
    register(sqlite_url)
    worker = Worker(tmp_path / "spool")
    with _running(sqlite_url, tmp_path / "spool") as recorder:
        _until(lambda: "start" in recorder.names())
        other = sqlite3.connect(tmp_path / "modelctl.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        worker.write(mixed(20)[:20])
        _until(lambda: "waiting" in recorder.names())
        other.execute("ROLLBACK")
        other.close()
        _until(lambda: _committed(sqlite_url) == 20)
        _until(lambda: recorder.names()[2:] != [])  # the line comes behind the commit
        assert recorder.names() == ["start", "waiting", "resumed"]
        assert recorder.end(signal.SIGTERM) == 0


def test_it_waits_for_the_schema_with_one_line_that_says_what_to_run(empty_database_url: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path / "spool")
    worker.write(mixed(20)[:20])
    with _running(empty_database_url, tmp_path / "spool") as recorder:
        _until(lambda: "waiting" in recorder.names())
        assert "modelctl db upgrade --database" in recorder.events()[-1]["message"]
        schema.upgrade(empty_database_url)
        _until(lambda: _committed(empty_database_url) == 20)
        _until(lambda: recorder.names()[2:] != [])  # the line comes behind the commit
        assert recorder.names() == ["start", "waiting", "resumed"]
        assert recorder.end(signal.SIGINT) == 0


def test_it_stops_while_it_waits(tmp_path: Path) -> None:
    with _running(f"sqlite:///{tmp_path / 'missing' / 'a.db'}", tmp_path / "spool") as recorder:
        _until(lambda: "waiting" in recorder.names())
        assert recorder.end(signal.SIGTERM) == 0
        assert recorder.names() == ["start", "waiting", "stop"]


def test_a_second_recorder_of_a_spool_folder_takes_over_when_the_first_ends(sqlite_url: str, tmp_path: Path) -> None:
    register(sqlite_url)
    worker = Worker(tmp_path / "spool")
    with _running(sqlite_url, tmp_path / "spool") as first:
        worker.write(mixed(20)[:20])
        _until(lambda: _committed(sqlite_url) == 20)
        with _running(sqlite_url, tmp_path / "spool") as second:
            _until(lambda: "waiting" in second.names())
            assert f"another recorder, process {first.process.pid}," in second.events()[-1]["message"]
            assert first.end(signal.SIGTERM) == 0
            worker.write(mixed(40)[20:40])
            _until(lambda: _committed(sqlite_url) == 40)
            assert second.end(signal.SIGTERM) == 0


def test_a_quarantined_frame_is_one_line_in_the_log(sqlite_url: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path / "spool")
    payload = b"\xc1"
    worker.write_bytes(HEADER.pack(len(payload), crc32(payload), VERSION) + payload)
    worker.write(mixed(3))
    with _running(sqlite_url, tmp_path / "spool") as recorder:
        _until(lambda: _committed(sqlite_url) == worker.accepted)
        assert recorder.end(signal.SIGTERM) == 0
        assert recorder.names() == ["start", "quarantine", "stop"]
        assert Path(recorder.events()[1]["labels"]["file"]).is_file()


@pytest.mark.parametrize("arguments", [["--database", "mysql://x/y"], ["--database", "sqlite://"]])
def test_a_wrong_database_url_is_one_line_and_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modelctl.recorder", *arguments, "--spool", str(tmp_path / "spool")]
    done = subprocess.run(command, cwd=Path(modelctl.__file__).parents[1], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ")


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_pause_between_tries_is_from_a_tenth_of_a_second_to_ten(failures: int, chance: float) -> None:
    assert 0.1 <= backoff(failures, chance) <= min(10.0, 0.1 * 2.0 ** min(failures, 20))


def test_the_log_is_one_json_object_per_line(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log("quarantine", file="a\nb")
    captured = capfdbinary.readouterr()
    assert captured.out == b""
    assert json.loads(captured.err)["labels"]["file"] == "a\nb"
    assert captured.err.count(b"\n") == 1
