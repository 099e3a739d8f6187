"""Exports as Parquet, read back by the library that pandas reads with."""

from collections.abc import Callable
from pathlib import Path

from pyarrow import parquet
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.cli import main
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.fleet import Fleet
from modelctl.settings import Settings
from modelctl.store.tables import pair, prediction
from tests.controlplane.scene import AT, populate, store_pair, store_prediction

Serve = Callable[[Starlette], str]


def test_every_row_and_column_is_in_the_file(engine: Engine, serve: Serve, tmp_path: Path) -> None:
    populate(engine, "a", "b")
    url = serve(create_app(engine, Settings(), fleet=Fleet(unix_microseconds, young_for=-1)))
    for number in range(5):
        body = b"\xff\x00" if number == 2 else b'{"prediction": 1}'
        row = {"answer_body": body, "number": None if number == 3 else 0.5, "headers": '{"x-a":"1"}'}
        store_prediction(engine, f"{number:032x}", at=AT + number, **row)
        store_pair(engine, f"{number:032x}", agree=number % 2)
    files = {what: tmp_path / f"{what}.parquet" for what in ("predictions", "pairs")}
    for what, file in files.items():
        assert main(["export", "fraud", "--format", "parquet", "--what", what, "--output", str(file), "--url", url]) == 0
    found = parquet.read_table(files["predictions"]).to_pylist()
    assert [int(one["at"].timestamp() * 1_000_000) for one in found] == [AT + number for number in range(5)]
    assert [one["answer_body"] for one in found][1:4] == [b'{"prediction": 1}', b"\xff\x00", b'{"prediction": 1}']
    assert [one["number"] for one in found] == [0.5, 0.5, 0.5, None, 0.5]
    assert found[0]["headers"] == '{"x-a":"1"}'
    columns = {"values" if name == "values_json" else name for name in prediction.c.keys()}  # noqa: SIM118
    assert set(found[0]) == columns - {"request_stored", "answer_stored"}
    pairs = parquet.read_table(files["pairs"])
    assert pairs.num_rows == 5
    assert pairs.num_columns == len(pair.c) - 3  # how each of its bodies is stored
    assert pairs["agree"].to_pylist() == [0, 1, 0, 1, 0]


def test_parquet_needs_a_file_and_leaves_none_that_is_not_whole(lite: Engine, serve: Serve, tmp_path: Path) -> None:
    populate(lite, "a")
    url = serve(create_app(lite, Settings(), fleet=Fleet(unix_microseconds, young_for=-1)))
    assert main(["export", "fraud", "--format", "parquet", "--url", url]) == 2
    nowhere = tmp_path / "none" / "x.parquet"
    assert main(["export", "fraud", "--format", "parquet", "--output", str(nowhere), "--url", url]) == 1
    assert list(tmp_path.glob("*.part")) == []
