"""Connections, transactions, and the statements that both databases must understand alike."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, insert, select, text, update

import modelctl
from modelctl.errors import Conflict, InvalidInput, ModelctlError, SchemaOutdated, StoreError
from modelctl.store.engine import connect, insert_or_ignore, reading, upsert_adding, writing
from modelctl.store.tables import backend, pivot, rollout, rollup, route, stage

BACKEND = {"name": "old", "spec": "{}", "revision": 1, "created_at": 0}
ROUTE = {"name": "fraud", "path": "/fraud", "unit": "request", "capture": "{}", "baseline": "old", "revision": 1, "created_at": 0}
ROLLOUT = {"route": "fraud", "strategy": "canary", "phase": "progressing", "spec": "{}", "revision": 1, "opened_at": 0}
KEY = {"route": "fraud", "rollout": 1, "stage": 1, "arm": "old", "metric": "units", "key": "", "minute": 5}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = connect(database_url)
    yield found
    found.dispose()


def _pivots(engine: Engine) -> list[float]:
    with reading(engine) as connection:
        return list(connection.execute(select(pivot.c.value).order_by(pivot.c.route)).scalars())


def _pivot(name: str, value: float) -> dict[str, object]:
    return {"route": name, "rollout": 1, "metric": "number", "value": value}


def test_a_block_that_raises_changes_nothing(engine: Engine) -> None:
    def fail_after_a_row() -> None:
        with writing(engine) as connection:
            connection.execute(insert(pivot), [_pivot("a", 1.0)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_a_row()
    assert _pivots(engine) == []


def test_a_reader_sees_one_state_although_others_write(engine: Engine) -> None:
    with reading(engine) as connection:
        count = select(func.count()).select_from(pivot)
        assert connection.execute(count).scalar() == 0
        with writing(engine) as other:
            other.execute(insert(pivot), [_pivot("a", 1.0)])
        assert connection.execute(count).scalar() == 0
    assert _pivots(engine) == [1.0]


def test_writers_that_read_first_wait_for_each_other_and_lose_no_update(sqlite_url: str) -> None:
    engine = connect(sqlite_url)
    with writing(engine) as connection:
        connection.execute(insert(pivot), [_pivot("a", 0.0)])

    def add_one() -> None:
        for _ in range(20):
            with writing(engine) as connection:
                value = connection.execute(select(pivot.c.value)).scalar_one()
                connection.execute(update(pivot).values(value=value + 1))

    _at_once(add_one, add_one)
    assert _pivots(engine) == [40.0]
    engine.dispose()


def _at_once(*actions: object) -> None:
    troubles: list[BaseException] = []

    def guarded(action: object) -> None:
        try:
            action()  # type: ignore[operator]
        except ModelctlError as error:
            troubles.append(error)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []


def test_sqlite_writes_ahead_and_checks_references(sqlite_url: str) -> None:
    engine = connect(sqlite_url)
    with reading(engine) as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous", "foreign_keys")]
    engine.dispose()
    assert found == ["wal", 1, 1]


def test_many_threads_that_open_a_new_sqlite_file_at_once_all_can(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    def touch() -> None:
        engine = connect(url)
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS seen (id INTEGER)"))
        engine.dispose()

    _at_once(*[touch] * 6)


def test_insert_or_ignore_leaves_what_is_there(engine: Engine) -> None:
    with writing(engine) as connection:
        insert_or_ignore(connection, pivot, rows=[_pivot("a", 1.0)])
        insert_or_ignore(connection, pivot, rows=[_pivot("a", 2.0), _pivot("b", 3.0)])
        insert_or_ignore(connection, pivot, rows=[])
    assert _pivots(engine) == [1.0, 3.0]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.integers(-50, 50)), max_size=12))
def test_upserts_add_up_to_the_sums_of_their_rows(engine: Engine, additions: list[tuple[str, int, int]]) -> None:
    with writing(engine) as connection:
        connection.execute(delete(rollup))
        for key, n, s1 in additions:
            row = {**KEY, "key": key, "n": n, "k": 1, "s1": s1 / 4, "s2": 0.0, "sp": 0.5}
            upsert_adding(connection, rollup, rows=[row, {**row, "minute": 6}])
    with reading(engine) as connection:
        columns = (rollup.c.key, rollup.c.n, rollup.c.k, rollup.c.s1, rollup.c.s2, rollup.c.sp)
        found = connection.execute(select(*columns).where(rollup.c.minute == 6)).all()
    for key, n, k, s1, s2, sp in found:
        mine = [item for item in additions if item[0] == key]
        assert (n, k, s2, sp) == (sum(item[1] for item in mine), len(mine), 0.0, len(mine) / 2)
        assert s1 == sum(item[2] for item in mine) / 4
    assert {row.key for row in found} == {item[0] for item in additions}


def test_two_writers_of_the_same_sums_in_other_orders_never_lock_each_other_out(engine: Engine) -> None:
    rows: list[dict[str, object]] = [
        {**KEY, "key": str(number), "n": 1, "k": 0, "s1": 0.0, "s2": 0.0, "sp": 0.0} for number in range(60)
    ]

    def add(ordered: list[dict[str, object]]) -> None:
        for _ in range(15):
            with writing(engine) as connection:
                upsert_adding(connection, rollup, rows=ordered)

    _at_once(lambda: add(rows), lambda: add(rows[::-1]))
    with reading(engine) as connection:
        assert set(connection.execute(select(rollup.c.n)).scalars()) == {30}


def test_a_key_that_is_taken_is_a_conflict(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(backend), [BACKEND])
    with pytest.raises(Conflict), writing(engine) as connection:
        connection.execute(insert(backend), [BACKEND])


def test_a_reference_to_nothing_is_a_conflict(engine: Engine) -> None:
    with pytest.raises(Conflict), writing(engine) as connection:
        connection.execute(insert(stage), [{"rollout": 77, "route": "fraud", "arms": "[]", "opened_at": 0}])


def test_a_number_that_no_column_holds_is_invalid_input(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="does not fit"), writing(engine) as connection:
        connection.execute(insert(backend), [{**BACKEND, "revision": 1 << 63}])


def test_a_nul_character_is_invalid_input_in_postgresql(postgres_url: str) -> None:
    engine = connect(postgres_url)
    with pytest.raises(InvalidInput, match="NUL"), writing(engine) as connection:
        connection.execute(insert(backend), [{**BACKEND, "spec": "\0"}])
    engine.dispose()


def test_a_key_too_long_for_an_index_is_invalid_input_in_postgresql(postgres_url: str) -> None:
    engine = connect(postgres_url)
    long = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(9_000))
    with pytest.raises(InvalidInput, match="index row"), writing(engine) as connection:
        connection.execute(insert(backend), [{**BACKEND, "name": long}])
    engine.dispose()


def test_a_route_has_one_open_rollout_at_most_and_any_number_of_ended_ones(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(backend), [BACKEND])
        connection.execute(insert(route), [ROUTE])
        connection.execute(insert(rollout), [ROLLOUT, {**ROLLOUT, "phase": "promoted"}, {**ROLLOUT, "phase": "rolled-back"}])
    for phase in ("progressing", "paused"):
        with pytest.raises(Conflict), writing(engine) as connection:
            connection.execute(insert(rollout), [{**ROLLOUT, "phase": phase}])


def test_an_address_belongs_to_one_route_until_that_is_removed(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(backend), [BACKEND])
        connection.execute(insert(route), [ROUTE])
    with pytest.raises(Conflict), writing(engine) as connection:
        connection.execute(insert(route), [{**ROUTE, "name": "other"}])
    with writing(engine) as connection:
        connection.execute(update(route).values(removed_at=5))
        connection.execute(insert(route), [{**ROUTE, "name": "other"}])


def test_a_missing_table_says_what_to_run(empty_database_url: str) -> None:
    engine = connect(empty_database_url)
    with pytest.raises(SchemaOutdated, match="modelctl db upgrade"):
        _pivots(engine)
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/a.db", "postgresql://joe:secret@127.0.0.1:1/a"])
def test_a_database_that_does_not_answer_is_a_store_error_without_the_password(url: str) -> None:
    engine = connect(url)
    with pytest.raises(StoreError, match="does not answer") as caught:
        _pivots(engine)
    assert "secret" not in str(caught.value)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://a/b", "SQLite .* or PostgreSQL"),
        ("sqlite://", "a file"),
        ("sqlite:///:memory:", "a file"),
        ("postgresql+asyncpg://a/b", "write postgresql://"),
        ("no URL", "not valid"),
    ],
)
def test_a_url_that_names_no_database_of_ours_is_refused_with_a_reason(url: str, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        connect(url)


def test_without_the_driver_for_postgresql_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from modelctl.store.engine import connect\n"
        "from modelctl.errors import StoreError\n"
        "try: connect('postgresql://a/b')\n"
        "except StoreError as error: sys.exit(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(modelctl.__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert "pip install 'modelctl[postgres]'" in done.stderr


def test_ids_are_never_used_twice(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(backend), [BACKEND])
        connection.execute(insert(route), [ROUTE])
        first = connection.execute(insert(rollout).values(ROLLOUT).returning(rollout.c.id)).scalar_one()
        connection.execute(delete(rollout))
        second = connection.execute(insert(rollout).values(ROLLOUT).returning(rollout.c.id)).scalar_one()
    assert second > first
