"""The revisions make exactly the tables of `modelctl.store.tables`, on both databases."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

import modelctl.migrations
from modelctl.errors import ModelctlError, SchemaOutdated
from modelctl.policy import Admission
from modelctl.store import catalog, schema
from modelctl.store import reading as evidence
from modelctl.store.engine import connect, reading, writing
from modelctl.store.partitions import attached_days
from modelctl.store.tables import rollup
from tests.migrations.revisions import upgrade_to


def _differences(url: str) -> list[object]:
    engine = connect(url)
    with reading(engine) as connection:
        partitions = {one.relation for one in attached_days(connection)} | {"prediction_rest", "pair_rest"}
        opts: dict[str, object] = {"compare_type": True, "compare_server_default": True}
        opts["include_name"] = lambda name, kind, _parents: kind != "table" or name not in partitions
        context = MigrationContext.configure(connection, opts=opts)
        found = compare_metadata(context, rollup.metadata)
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
    for table in rollup.metadata.tables.values():
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


PREDICTION = (
    "INSERT INTO prediction (id, request_id, at, route, rollout, stage, table_version, arm, role, reason, probability, method, "
    "target, status, outcome, failure, latency_us, first_byte_us, request_body, answer_body) VALUES "
    "(:id, 'r', 1, 'fraud', 1, 1, 1, 'a', 'baseline', 'split', 9500, 'POST', '/', 200, 'ok', :failure, 5, 4, :none, :none)"
)
PAIR = (
    "INSERT INTO pair (prediction_id, candidate, request_id, at, route, rollout, stage, baseline, candidate_failure, "
    "baseline_outcome, baseline_status, baseline_latency_us, baseline_body, candidate_outcome, candidate_status, "
    "candidate_latency_us, candidate_body, request_body) VALUES "
    "(:id, 'b', 'r', 1, 'fraud', 1, 1, 'a', :candidate, 'ok', 200, 5, :none, 'ok', 200, 5, :none, :none)"
)


def test_what_the_first_schema_held_is_still_there_and_tells_how_its_answers_ended(empty_database_url: str) -> None:
    engine = connect(empty_database_url)
    with writing(engine) as connection:
        upgrade_to(connection, "0001")
        backend = "INSERT INTO backend (name, spec, revision, created_at) VALUES ('a', :spec, 1, 1)"
        connection.execute(text(backend), {"spec": '{"name":"a","endpoints":["http://a.test"]}'})
        route = "INSERT INTO route (name, path, unit, capture, baseline, revision, created_at)"
        connection.execute(text(f"{route} VALUES ('fraud', '/fraud', 'request', '{{}}', 'a', 3, 1)"))
        for name, baseline, candidate in (("p1", "", ""), ("p2", "truncated", ""), ("p3", "", "reset")):
            connection.execute(text(PREDICTION), {"id": name, "failure": baseline, "none": b""})
            connection.execute(text(PAIR), {"id": name, "candidate": candidate, "none": b""})
    assert schema.upgrade(empty_database_url) == schema.head()
    with reading(engine) as connection:
        (entry,) = catalog.load(connection).routes
        page = evidence.pairs(connection, {})
        first, *_ = evidence.predictions(connection, {}).items
    engine.dispose()
    assert (entry.revision, entry.admission, entry.breaker) == (3, Admission(), None)
    ends = [(one.prediction_id, one.baseline.ended, one.candidate.ended) for one in page.items]
    assert ends == [("p3", "clean", "cut"), ("p2", "cut", "clean"), ("p1", "clean", "clean")]
    assert (first.attempts, first.first_event_us) == (1, 0)


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
