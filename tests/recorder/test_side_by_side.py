"""Several recorders write into one database at once: each record once, sums that add up, nobody waits for nobody."""

import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.pool import NullPool

from modelctl.evidence import Compared, Served, frame
from modelctl.recorder.recorder import BATCH_RECORDS, Recorder
from modelctl.store import schema
from modelctl.store.engine import connect, writing
from modelctl.store.tables import prediction
from tests.acceptance.program import until
from tests.recorder.stream import Worker, answer, batches, drain, mixed, register, rows, served, shown_to_new

DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
REFUSING = {
    "sqlite": "CREATE TRIGGER refusing BEFORE INSERT ON rollup_total BEGIN SELECT RAISE(ABORT, 'full'); END",
    "postgresql": "ALTER TABLE rollup_total ADD CONSTRAINT refusing CHECK (n < 0)",
}
TAKING = {"sqlite": "DROP TRIGGER refusing", "postgresql": "ALTER TABLE rollup_total DROP CONSTRAINT refusing"}


@pytest.fixture
def url(database_url: str) -> str:
    register(database_url)
    return database_url


def side_by_side(url: str, *roots: Path) -> list[str]:
    """A recorder for each folder, all at once, until every one has read all; what they logged."""
    said: list[str] = []
    failed: list[BaseException] = []

    def record(root: Path) -> None:
        engine = connect(url)
        recorder = Recorder(engine, root, log=lambda event, **facts: said.append(f"{event} {facts}"))
        try:
            while recorder.pass_once():
                pass
        except BaseException as error:  # noqa: BLE001  (told by the test that waits for the thread)
            failed.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=record, args=(root,)) for root in roots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    return said


def asked(url: str, query: str) -> list[tuple[object, ...]]:
    """What the database answers."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def counted(url: str) -> Counter[str]:
    """Of all spools; every law holds."""
    found: Counter[str] = Counter()
    for row in rows(url, "spool"):
        assert row["offered"] == row["accepted"] == row["committed"] + row["quarantined"] + row["duplicate"]
        found.update({name: row[name] for name in ("accepted", "committed", "quarantined", "duplicate")})
    return found


def summed(url: str) -> dict[tuple[object, ...], tuple[int, int]]:
    """What is counted, by what it is about. Sums of numbers are about a pivot that whoever was first decided on."""
    about = ("stage", "arm", "metric", "key", "minute")
    return {tuple(row[name] for name in about): (row["n"], row["k"]) for row in rows(url, "rollup")}


def hosts(folder: Path, records: Sequence[Served | Compared], *, count: int) -> list[Path]:
    """The records in turn on so many hosts, in small batches."""
    roots = [folder / f"host-{number}" for number in range(count)]
    for number, root in enumerate(roots):
        worker = Worker(root, f"w0-boot-{number}")
        for batch in batches(records[number::count], 40):
            worker.write(batch)
            worker.roll()
    return roots


def test_recorders_of_several_hosts_write_what_one_would_have_written(url: str, tmp_path: Path) -> None:
    records = mixed(900)
    assert side_by_side(url, *hosts(tmp_path, records, count=3)) == []
    assert counted(url) == Counter(accepted=len(records), committed=len(records))
    assert len(rows(url, "prediction")) + len(rows(url, "pair")) == len(records)
    alone = f"sqlite:///{tmp_path / 'alone.db'}"
    schema.upgrade(alone)
    register(alone)
    Worker(tmp_path / "alone").write(records)
    drain(alone, tmp_path / "alone")
    assert summed(url) == summed(alone)


def test_the_same_records_on_two_hosts_at_once_are_recorded_once(url: str, tmp_path: Path) -> None:
    records = mixed(900)
    roots = [path for copy in ("a", "b") for path in hosts(tmp_path / copy, records, count=1)]
    shutil.move(roots[1] / "w0-boot-0", roots[1] / "w1-boot-0")
    assert side_by_side(url, *roots) == []
    assert counted(url) == Counter(accepted=2 * len(records), committed=len(records), duplicate=len(records))
    assert len(rows(url, "prediction")) + len(rows(url, "pair")) == len(records)
    assert sum(n for (_, _, metric, *_), (n, _) in summed(url).items() if metric == "requests") == _samples(url)


def _samples(url: str) -> int:
    """The predictions that say something about their arm."""
    apart = "reason NOT IN ('preview', 'rule', 'addressed') AND outcome <> 'cancelled'"
    ((found,),) = asked(url, f"SELECT count(*) FROM prediction WHERE {apart}")  # noqa: S608  (our own words)
    return int(str(found))


def test_recorders_do_not_wait_for_each_other_in_circles(postgres_url: str, tmp_path: Path) -> None:
    register(postgres_url)
    before = asked(postgres_url, DEADLOCKS)
    assert side_by_side(postgres_url, *hosts(tmp_path, mixed(1_500), count=4)) == []
    assert asked(postgres_url, DEADLOCKS) == before


def test_rows_sums_and_position_are_of_one_transaction(postgres_url: str, tmp_path: Path) -> None:
    register(postgres_url)
    Worker(tmp_path).write(shown_to_new(1, "cat", "dog"))
    drain(postgres_url, tmp_path)
    tables = ("prediction", "pair", "rollup", "rollup_total", "spool")
    found = asked(postgres_url, " UNION ".join(f"SELECT xmin::text FROM {table}" for table in tables))  # noqa: S608  (our own words)
    assert len(found) == 1


def test_what_fails_at_the_last_statement_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    register(database_url)
    kind = database_url.partition(":")[0].partition("+")[0]
    Worker(tmp_path).write(shown_to_new(1, "cat", "dog"))
    execute(database_url, REFUSING[kind])
    try:
        drain(database_url, tmp_path)
        assert [rows(database_url, table) for table in ("prediction", "pair", "rollup", "rollup_total")] == [[]] * 4
        (row,) = rows(database_url, "spool")
        assert (row["committed"], row["quarantined"]) == (0, 2)
    finally:
        execute(database_url, TAKING[kind])


def test_batches_grow_with_what_waits_up_to_their_bound(postgres_url: str, tmp_path: Path) -> None:
    register(postgres_url)
    worker = Worker(tmp_path)
    for waiting in (3, 400):
        worker.write([served(worker.accepted + number, answer("old")) for number in range(1, waiting + 1)])
        drain(postgres_url, tmp_path)
    worker.write([served(worker.accepted + number, answer("old")) for number in range(1, BATCH_RECORDS + 1_001)])
    drain(postgres_url, tmp_path)
    sizes = asked(postgres_url, "SELECT count(*) FROM prediction GROUP BY xmin::text ORDER BY min(id)")
    first, second, *others = [int(str(size)) for (size,) in sizes]
    assert (first, second, sum(others)) == (3, 400, BATCH_RECORDS + 1_000)
    assert 1_000 < max(others) <= BATCH_RECORDS


def execute(url: str, statement: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_a_record_that_another_recorder_is_just_writing_is_a_duplicate_and_not_set_aside(
    postgres_url: str, sqlite_url: str, tmp_path: Path
) -> None:
    register(postgres_url)
    register(sqlite_url)
    for host in ("first", "second"):
        worker = Worker(tmp_path / host, f"w0-{host}")
        worker.write_bytes(frame(served(1, answer("old"))))
        worker.roll()
    drain(sqlite_url, tmp_path / "first")
    (row,) = rows(sqlite_url, "prediction")
    engine = create_engine(postgres_url, poolclass=NullPool)
    with engine.connect() as other:
        other.execute(insert(prediction).values(row))
        recorder = threading.Thread(target=drain, args=(postgres_url, tmp_path / "second"))
        recorder.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        until(lambda: asked(postgres_url, waiting) == [(1,)], what="a recorder that waits for the other one")
        other.commit()
        recorder.join()
    assert counted(postgres_url) == Counter(accepted=1, duplicate=1)
    assert not (tmp_path / "second" / "quarantine").exists()
