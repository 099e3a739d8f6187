"""What waits in the spools of this machine, as far as files and the database's positions tell."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from modelctl.controlplane.api.app import create_app
from modelctl.controlplane.report.backlog import Backlog, backlogs
from modelctl.evidence import Served, frame
from modelctl.settings import Settings
from modelctl.store import reading
from modelctl.store.engine import connect
from modelctl.store.engine import reading as transaction
from modelctl.store.reading import Spool
from tests.recorder.stream import Worker, answer, drain, mixed, register, served


def at(*, segment: int, offset: int, settled: int, name: str = "worker-0-boot-1") -> Spool:
    """What the database has of a spool."""
    counts = {"offered": settled, "accepted": settled, "committed": settled, "quarantined": 0, "duplicate": 0}
    return Spool(name=name, segment=segment, offset=offset, dropped={}, updated_at=0, **counts)


def size(worker: Worker) -> int:
    return sum(segment.stat().st_size for segment in worker.folder.glob("*.seg"))


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def test_what_the_database_has_nothing_of_waits_whole(tmp_path: Path, worker: Worker) -> None:
    worker.write(mixed(10))
    worker.roll()
    worker.write(mixed(5))
    first = mixed(1)[0]
    assert isinstance(first, Served)
    expected = Backlog(name="worker-0-boot-1", bytes=size(worker), records=worker.accepted, oldest_at=first.at)
    assert backlogs(tmp_path, ()) == (expected,)


def test_what_lies_before_the_position_does_not_wait(tmp_path: Path, worker: Worker) -> None:
    worker.write([served(1, answer("old"))])
    before = size(worker)
    later = served(2_000, answer("old"))
    worker.write([later, served(2_001, answer("old"))])
    found = backlogs(tmp_path, [at(segment=1, offset=before, settled=1)])
    assert found == (Backlog(name="worker-0-boot-1", bytes=size(worker) - before, records=2, oldest_at=later.at),)


def test_a_spool_that_was_read_to_its_end_is_not_named(tmp_path: Path, worker: Worker) -> None:
    worker.write(mixed(3))
    end = size(worker)
    assert backlogs(tmp_path, [at(segment=1, offset=end, settled=3)]) == ()
    worker.roll()
    assert backlogs(tmp_path, [at(segment=1, offset=end, settled=3)]) == ()


def test_counts_alone_are_bytes_and_no_records(tmp_path: Path, worker: Worker) -> None:
    worker.write(mixed(3))
    end = size(worker)
    worker.write([])
    assert backlogs(tmp_path, [at(segment=1, offset=end, settled=3)]) == (
        Backlog(name="worker-0-boot-1", bytes=size(worker) - end, records=0),
    )


def test_a_torn_end_hides_no_backlog(tmp_path: Path, worker: Worker) -> None:
    worker.write(mixed(4))
    worker.write_bytes(frame(served(99, answer("old")))[:50])
    (found,) = backlogs(tmp_path, ())
    assert (found.bytes, found.records) == (size(worker), worker.accepted)


def test_a_record_larger_than_a_read_has_its_age(tmp_path: Path, worker: Worker) -> None:
    large = served(7, answer("old", "x" * 1_000_000))
    worker.write([large])
    (found,) = backlogs(tmp_path, ())
    assert (found.records, found.oldest_at) == (1, large.at)


def test_bytes_that_are_no_frames_are_counted_and_harm_nothing(tmp_path: Path, worker: Worker) -> None:
    worker.write_bytes(b"\x07" * 1_000)
    assert backlogs(tmp_path, ()) == (Backlog(name="worker-0-boot-1", bytes=1_000, records=0),)


def test_the_spool_that_waits_longest_comes_first_and_other_folders_are_none(tmp_path: Path) -> None:
    Worker(tmp_path, "b").write([served(5, answer("old"))])
    Worker(tmp_path, "a").write([served(9_000, answer("old"))])
    Worker(tmp_path, "c").write([])
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "recorder.lock").touch()
    assert [found.name for found in backlogs(tmp_path, ())] == ["b", "a", "c"]


def test_without_a_spool_folder_nothing_waits(tmp_path: Path) -> None:
    assert backlogs(tmp_path / "spool", ()) == ()


def test_what_the_recorder_took_is_what_does_not_wait(tmp_path: Path, database_url: str) -> None:
    register(database_url)
    worker = Worker(tmp_path)
    worker.write(mixed(30))
    drain(database_url, tmp_path)
    worker.write([served(5_000, answer("old"))])
    engine = connect(database_url)
    with transaction(engine) as connection:
        (found,) = backlogs(tmp_path, reading.spools(connection))
    engine.dispose()
    assert found.records == 1


def test_the_status_says_what_waits_on_the_control_planes_machine(
    tmp_path: Path, sqlite_url: str, *, serve: Callable[[Starlette], str]
) -> None:
    Worker(tmp_path / "spool", "w").write([served(5, answer("old"))])
    engine = connect(sqlite_url)
    url = serve(create_app(engine, Settings(data_dir=tmp_path)))
    (found,) = httpx.get(f"{url}/v1/status", trust_env=False).json()["evidence"]["backlogs"]
    assert (found["name"], found["records"]) == ("w", 1)
