"""The revisions make exactly the tables of `modelctl.store.tables`, on both databases."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

import modelctl.migrations
from modelctl.errors import ModelctlError, SchemaOutdated
from modelctl.store import schema
from modelctl.store.engine import connect, reading, writing
from modelctl.store.tables import metadata


def _differences(url: str) -> list[object]:
    engine = connect(url)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found = compare_metadata(context, metadata)
    engine.dispose()
    return list(found)


def test_the_head_of_the_history_makes_exactly_the_tables_of_the_program(empty_database_url: str) -> None:
    schema.upgrade(empty_database_url)
    assert _differences(empty_database_url) == []


def test_the_comparison_sees_a_column_that_the_history_lacks(sqlite_url: str) -> None:
    engine = connect(sqlite_url)
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE spool DROP COLUMN committed"))
    engine.dispose()
    assert _differences(sqlite_url) != []


def test_primary_keys_and_foreign_keys_are_those_of_the_program(database_url: str) -> None:
    engine = connect(database_url)
    found = inspect(engine)
    for table in metadata.tables.values():
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [column.name for column in table.primary_key]
        references = {(key["constrained_columns"][0], key["referred_table"]) for key in found.get_foreign_keys(table.name)}
        assert references == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}
    engine.dispose()


def test_upgrading_takes_an_empty_database_to_the_head_and_once_more_changes_nothing(empty_database_url: str) -> None:
    assert schema.current(empty_database_url) == ""
    assert schema.upgrade(empty_database_url) == schema.head()
    assert schema.current(empty_database_url) == schema.head()
    assert schema.upgrade(empty_database_url) == schema.head()
    schema.check(empty_database_url)


def test_two_upgrades_at_once_both_succeed(empty_database_url: str) -> None:
    answers: list[str | ModelctlError] = []

    def run() -> None:
        try:
            answers.append(schema.upgrade(empty_database_url))
        except ModelctlError as error:
            answers.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [schema.head()] * 3


def test_a_database_without_a_schema_is_refused_with_the_command_to_run(empty_database_url: str) -> None:
    with pytest.raises(SchemaOutdated, match=r"has no schema yet.*run `modelctl db upgrade --database"):
        schema.check(empty_database_url)


def test_a_database_of_a_newer_program_is_refused_and_left_alone(database_url: str) -> None:
    engine = connect(database_url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for attempt in (schema.check, schema.upgrade):
        with pytest.raises(SchemaOutdated, match=r"9999.*newer"):
            attempt(database_url)
    assert schema.current(database_url) == "9999"


def test_no_revision_offers_a_way_back() -> None:
    for revision in Path(modelctl.migrations.__file__).parent.glob("versions/*.py"):
        assert "def downgrade" not in revision.read_text()


def test_upgrading_prints_nothing(empty_database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    schema.upgrade(empty_database_url)
    assert capfd.readouterr() == ("", "")


def test_the_program_behind_modelctl_db_prints_the_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert schema.main(["current", "--database", url]) == 0
    assert schema.main(["upgrade", "--database", url]) == 0
    assert schema.main(["current", "--database", url]) == 0
    assert capsys.readouterr().out.split("\n") == ["no schema", schema.head(), schema.head(), ""]


def test_the_program_behind_modelctl_db_says_in_one_line_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.main(["upgrade", "--database", "mysql://somewhere/db"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
