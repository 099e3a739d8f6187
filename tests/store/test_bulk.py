"""Many rows at once, into both databases."""

import pytest
from sqlalchemy import select

from modelctl.errors import Conflict, InvalidInput, ModelctlError
from modelctl.store.bulk import insert_rows
from modelctl.store.engine import connect, reading, writing
from modelctl.store.tables import pivot

COLUMNS = ("route", "rollout", "metric", "value")


def _insert(url: str, *rows: tuple[object, ...]) -> None:
    engine = connect(url)
    try:
        with writing(engine) as connection:
            insert_rows(connection, pivot, columns=COLUMNS, rows=rows)
    finally:
        engine.dispose()


def _stored(url: str) -> list[tuple[object, ...]]:
    engine = connect(url)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(select(*(pivot.c[name] for name in COLUMNS)).order_by(pivot.c.route))]
    engine.dispose()
    return found


def test_rows_are_stored_as_they_are(database_url: str) -> None:
    rows = [("a\tb\\N\n", 1, "ü", 0.1), ("b", 2**62, "", -1e300)]
    _insert(database_url, *rows)
    assert _stored(database_url) == rows


def test_no_rows_are_no_statement(database_url: str) -> None:
    _insert(database_url)
    assert _stored(database_url) == []


@pytest.mark.parametrize(
    ("wrong", "error"),
    [(("a", 1, "m", 2.0), Conflict), (("b", None, "m", 2.0), Conflict), (("b", 1 << 70, "m", 2.0), InvalidInput)],
)
def test_one_row_that_is_refused_refuses_all(database_url: str, wrong: tuple[object, ...], error: type[ModelctlError]) -> None:
    _insert(database_url, ("a", 1, "m", 1.0))
    with pytest.raises(error):
        _insert(database_url, ("c", 1, "m", 1.0), wrong)
    assert _stored(database_url) == [("a", 1, "m", 1.0)]


def test_a_nul_character_is_invalid_input_in_postgresql(postgres_url: str) -> None:
    with pytest.raises(InvalidInput):
        _insert(postgres_url, ("a", 1, "\0", 1.0))
    assert _stored(postgres_url) == []
