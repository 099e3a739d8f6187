"""A PostgreSQL database with rows becomes partitioned while a recorder writes and people read: nothing is lost, nobody waits."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, text

from modelctl.errors import Busy, StoreError
from modelctl.evidence import Compared, Served
from modelctl.store import checking, partitioning, schema
from modelctl.store.days import Days, date_of, day_of
from modelctl.store.engine import connect, reading, writing
from tests.migrations.revisions import upgrade_to
from tests.recorder.stream import START, Recording, answer, mixed, register, rows, served
from tests.store.dated import dated

PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'prediction'::regclass ORDER BY 1"


@pytest.fixture
def url(empty_postgres_url: str) -> str:
    """A database with this program's columns whose tables are whole, as they were before there were partitions."""
    engine = connect(empty_postgres_url)
    with writing(engine) as connection:
        upgrade_to(connection, "0007")
    engine.dispose()
    register(empty_postgres_url)
    return empty_postgres_url


def _record(url: str, records: list[Served | Compared], name: str = "worker-0") -> None:
    recording = Recording(url, name)
    recording.take(records)
    recording.engine.dispose()


def _ask(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = connect(url)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def _change(url: str, *statements: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@contextmanager
def _meanwhile(action: Callable[[int], None]) -> Iterator[list[int]]:
    """Does something again and again while the block runs, at least once after it; what went wrong is raised at the end."""
    ending, done, wrong = threading.Event(), [0], []

    def run() -> None:
        try:
            for number in itertools.count(1):
                last = ending.is_set()
                action(number)
                done[0] = number
                if last:
                    return
        except Exception as error:  # noqa: BLE001  (it is raised again below)
            wrong.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        ending.set()
        thread.join(60)
    if wrong:
        raise wrong[0]


def test_rows_stay_and_a_recorder_goes_on_while_its_tables_become_partitions(url: str) -> None:
    _record(url, dated(mixed(500)), "before")
    before = rows(url, "prediction"), rows(url, "pair")
    recording = Recording(url, "meanwhile")

    def record(number: int) -> None:
        recording.take(dated([served(100_000 * number + n, answer("old")) for n in range(20)]))

    with _meanwhile(record) as done:
        schema.upgrade(url)
    recording.engine.dispose()
    found = rows(url, "prediction")
    assert len(found) == len(before[0]) + 20 * done[0]
    assert [row for row in found if row["id"] in {old["id"] for old in before[0]}] == before[0]
    assert rows(url, "pair") == before[1]
    assert {row["name"]: row["duplicate"] for row in rows(url, "spool")} == {"before": 0, "meanwhile": 0}
    fence = f"{date_of(day_of(time.time_ns() // 1000) + 2):%Y%m%d}"
    assert _ask(url, PARTITIONS)[0] == (f"prediction_before_{fence}",)
    assert _ask(url, "SELECT count(*) FROM prediction_outcome") == [(len(found),)]


def test_the_old_table_is_taken_over_with_its_indexes_and_nothing_of_the_fence_is_left(url: str) -> None:
    _record(url, dated(mixed(50)))
    schema.upgrade(url)
    (old,) = [name for (name,) in _ask(url, PARTITIONS) if "before" in name]
    indexes = "SELECT count(*) FROM pg_index WHERE indrelid = CAST('{}' AS regclass) AND indisvalid"
    assert _ask(url, indexes.format(old)) == _ask(url, indexes.format("prediction")) == [(4,)]
    assert _ask(url, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    assert _ask(url, "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conname ~ 'before'") == [(0,)]
    assert _ask(url, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace".replace("::", "\\:\\:")) == [(0,)]


def test_evidence_of_a_clock_that_is_ahead_is_kept_before_during_and_after(url: str) -> None:
    far = dated([served(number, answer("old")) for number in (1, 2, 3)], days=3_000)
    _record(url, [*dated(mixed(20)), far[0]])
    engine = connect(url)
    before = Days("prediction", day_of(time.time_ns() // 1000) + 2, before=True)
    partitioning._fence(engine, before)
    _record(url, [far[1]], "worker-1")
    engine.dispose()
    schema.upgrade(url)  # goes on behind the fence
    _record(url, [far[2]], "worker-2")
    assert _ask(url, "SELECT count(*) FROM prediction_rest") == [(3,)]
    assert {row["id"] for row in rows(url, "prediction")} >= {one.id.hex() for one in far if isinstance(one, Served)}


def test_views_of_others_and_grants_stand_on_the_new_table(url: str) -> None:
    _record(url, dated(mixed(50)))
    mine = "CREATE VIEW {} AS SELECT * FROM {}"
    _change(url, mine.format("mine", "prediction"), mine.format("of_mine", "mine"), mine.format("shown", "disagreement"))
    _change(url, "DROP ROLE IF EXISTS analyst", "CREATE ROLE analyst")
    _change(url, *(f"GRANT SELECT ON {name} TO analyst" for name in ("prediction", "pair", "of_mine", "prediction_outcome")))
    defined = "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1"
    definitions = _ask(url, defined)
    grants = "SELECT table_name FROM information_schema.role_table_grants"
    granted = f"{grants} WHERE grantee = 'analyst' AND table_name !~ 'before' ORDER BY 1"
    try:
        schema.upgrade(url)
        assert _ask(url, defined) == definitions
        assert _ask(url, granted) == [("of_mine",), ("pair",), ("prediction",), ("prediction_outcome",)]
        count = len(rows(url, "prediction"))
        _record(url, dated([served(77, answer("old"))]), "worker-1")
        assert _ask(url, "SELECT count(*) FROM of_mine") == [(count + 1,)]
    finally:
        _change(url, "DROP OWNED BY analyst", "DROP ROLE analyst")


def test_a_materialized_view_is_not_thrown_away(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    _record(url, dated(mixed(20)))
    _change(url, "CREATE MATERIALIZED VIEW summed AS SELECT count(*) FROM prediction")
    with pytest.raises(StoreError, match="summed stand on prediction: drop them"):
        schema.upgrade(url)
    _record(url, dated([served(77, answer("old"))]), "worker-1")
    assert checking.main(["--database", url]) == 1
    assert "prediction is not partitioned by day yet: run modelctl db upgrade" in capsys.readouterr().out
    _change(url, "DROP MATERIALIZED VIEW summed")
    schema.upgrade(url)
    assert len(_ask(url, PARTITIONS)) == 2


def test_a_transaction_that_does_not_end_is_named_and_the_recorder_goes_on_meanwhile(url: str) -> None:
    _record(url, dated(mixed(20)))
    engine = connect(url)
    with reading(engine) as connection:
        connection.execute(text("SELECT count(*) FROM prediction"))
        with (
            _meanwhile(lambda n: _record(url, dated([served(1_000 + n, answer("old"))]), f"other-{n}")) as done,
            pytest.raises(Busy, match="pg_stat_activity"),
        ):
            partitioning.insist(lambda: partitioning._replace(engine, "prediction"), patience=1.0)
    engine.dispose()
    assert len([row for row in rows(url, "spool") if str(row["name"]).startswith("other-")]) == done[0] > 1
    schema.upgrade(url)
    assert len(_ask(url, PARTITIONS)) == 2


OLD_ROW = (
    "INSERT INTO prediction (id, request_id, at, route, rollout, stage, table_version, arm, role, reason, probability, method, "
    "target, status, outcome, latency_us, first_byte_us, request_body, answer_body) VALUES "
    "(:id, 'r', 1, 'fraud', 1, 1, 1, 'a', 'baseline', 'split', 9500, 'POST', '/', 200, 'ok', 5, 4, :none, :none)"
)


def _old_row(connection: Connection, number: int) -> None:
    identity = f"{START // 1000 + number:012x}{number:020x}"
    connection.execute(text(OLD_ROW), {"id": identity, "none": b""})


def test_an_older_recorder_writes_on_while_columns_come(empty_postgres_url: str) -> None:
    engine = connect(empty_postgres_url)
    with writing(engine) as connection:
        upgrade_to(connection, "0006")

    def record(number: int) -> None:
        with writing(engine) as connection:
            _old_row(connection, number)

    with _meanwhile(record) as done:
        schema.upgrade(empty_postgres_url)
    engine.dispose()
    found = rows(empty_postgres_url, "prediction")
    assert len(found) == done[0]
    assert {(row["bodies_kept"], row["bodies_share"], row["request_stored"]) for row in found} == {(1, 10_000, "")}


def test_an_upgrade_waits_for_a_long_query_and_keeps_nobody_waiting(empty_postgres_url: str) -> None:
    engine = connect(empty_postgres_url)
    with writing(engine) as connection:
        upgrade_to(connection, "0006")
        _old_row(connection, 0)
    upgrading = threading.Thread(target=schema.upgrade, args=(empty_postgres_url,))
    with reading(engine) as connection:
        connection.execute(text("SELECT count(*) FROM prediction"))
        upgrading.start()
        for number in range(1, 6):  # each comes through between two tries of the upgrade
            with writing(engine) as other:
                _old_row(other, number)
            time.sleep(0.2)
        assert upgrading.is_alive()
    upgrading.join(60)
    engine.dispose()
    assert schema.current(empty_postgres_url) == schema.head()
    assert len(rows(empty_postgres_url, "prediction")) == 6
