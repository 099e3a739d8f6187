"""Exported predictions come into another store as a recorder would have written them, once."""

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.cli import main
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.backfill.importing import FIRST
from modelctl.controlplane.fleet import Fleet
from modelctl.evidence import Context, Served
from modelctl.recorder.recorder import Recorder
from modelctl.settings import Settings
from modelctl.store import schema
from modelctl.store.engine import connect
from tests.controlplane.scene import AT, populate
from tests.recorder.stream import Worker, answer, drain, rows, served, sums

Serve = Callable[[Starlette], str]


@pytest.fixture
def plane(engine: Engine, serve: Serve, tmp_path: Path) -> str:
    """A control plane on a store of either kind, with the route `fraud`."""
    populate(engine, "old", "new")
    return serve(create_app(engine, Settings(data_dir=tmp_path), fleet=Fleet(unix_microseconds, young_for=-1)))


@pytest.fixture
def recording(database_url: str, tmp_path: Path) -> Iterator[None]:
    """A recorder that reads what the control plane spools."""
    (tmp_path / "spool").mkdir()
    over = threading.Event()
    engine = connect(database_url)
    recorder = Recorder(engine, tmp_path / "spool", log=lambda *_, **__: None)

    def run() -> None:
        while not over.wait(0.02):
            recorder.pass_once()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    over.set()
    thread.join()
    engine.dispose()


def record(number: int, *, rollout: int = 0) -> Served:
    """An answered request with text that is no ASCII, a header, and for every third a body that is no text."""
    found = served(number, answer("old" if number % 2 else "new", "chat\u00e9" if number % 5 else 0.25))
    context = Context("fraud", rollout, rollout, 3, "baseline", "only", 10_000, "us\u00e9r".encode())
    asked = found.request
    body = b"\xff\x00\xfe" if number % 3 == 0 else asked.body
    request = type(asked)(asked.method, b"/fraud/\xe9", asked.content_type, b"", body, len(body) + number % 2, ((b"x-a", b"1"),))
    return Served(found.id, found.request_id, found.at, context, request, found.answer, (), 2, number % 7)


def other_store(folder: Path, count: int, *, rollout: int = 0) -> tuple[Engine, str]:
    """A SQLite store with `count` recorded predictions."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'other.db'}"
    schema.upgrade(url)
    engine = connect(url)
    populate(engine, "old", "new")
    Worker(folder / "spool").write([record(number, rollout=rollout) for number in range(1, count + 1)])
    drain(url, folder / "spool")
    return engine, url


def line(number: int, **changes: object) -> dict[str, Any]:
    """The least a line says."""
    row = {"id": f"{number:032x}", "at": AT + number, "route": "fraud", "arm": "old", "status": 200, "latency_us": 5}
    return row | {"request_id": f"r{number}", "answer_body": '{"prediction": "x"}'} | changes


def send(plane: str, lines: list[dict[str, Any]], **query: object) -> httpx.Response:
    content = "".join(json.dumps(one) + "\n" for one in lines).encode()
    headers = {"content-type": "application/x-ndjson"}
    return httpx.post(f"{plane}/v1/predictions:import", content=content, headers=headers, params=query, timeout=30)  # type: ignore[arg-type]


@pytest.mark.usefixtures("recording")
def test_what_was_exported_imported_and_exported_again_is_the_same(
    plane: str, serve: Serve, database_url: str, *, tmp_path: Path
) -> None:
    source, url = other_store(tmp_path / "other", 30)
    other = serve(create_app(source, Settings(data_dir=tmp_path / "other"), fleet=Fleet(unix_microseconds, young_for=-1)))
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["export", "fraud", "--output", str(first), "--url", other]) == 0
    assert main(["import", str(first), "--url", plane]) == 0
    assert main(["export", "fraud", "--output", str(second), "--url", plane]) == 0
    assert len(first.read_bytes().splitlines()) == 30
    assert second.read_bytes() == first.read_bytes()
    for metric in ("requests", "latency", "number", "error"):
        assert sums(database_url, metric) == sums(url, metric)
    source.dispose()


@pytest.mark.usefixtures("recording")
def test_a_file_that_is_imported_twice_counts_once(
    plane: str, database_url: str, tmp_path: Path, *, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.ndjson"
    file.write_text("".join(json.dumps(line(number)) + "\n\n" for number in range(25)))
    assert main(["import", str(file), "--url", plane]) == 0
    assert "25 recorded · 0 known before" in capsys.readouterr().out
    before = sums(database_url, "requests")
    assert main(["import", str(file), "--url", plane]) == 0
    assert "0 recorded · 25 known before" in capsys.readouterr().out
    assert sums(database_url, "requests") == before
    marks = [json.loads(one["detail"]) for one in rows(database_url, "event") if one["action"] == "import"]
    assert [(one["source"], one["taken"]) for one in marks] == [("rows.ndjson", 25)] * 2


def test_all_faults_of_the_first_lines_are_told_at_once_and_nothing_is_taken(plane: str, tmp_path: Path) -> None:
    wrong: list[dict[str, object]] = [
        {"id": "x"},
        {"route": "none"},
        {"arm": "none"},
        {"rollout": 4},
        {"answer_body_base64": "***"},
        {"status": 5_000},
        {"at": -1},
        {"latency_us": "slow"},
        {"answer_size": 3},
    ]
    said = send(plane, [line(0), *(line(number, **changes) for number, changes in enumerate(wrong, 1))])
    assert said.status_code == 422
    detail = said.json()["detail"]
    assert [place for place in range(1, 12) if f"line {place} " in detail] == list(range(2, 11))
    assert not (tmp_path / "spool").exists()


def test_a_fault_behind_the_first_lines_keeps_what_stands_before_it(plane: str, database_url: str, tmp_path: Path) -> None:
    lines = [line(number) for number in range(FIRST + 5)]
    said = send(plane, [*lines, {"id": "x"}, line(999)])
    assert said.status_code == 422
    assert f"line {FIRST + 6} is no exported prediction" in said.json()["detail"]
    drain(database_url, tmp_path / "spool")
    assert len(rows(database_url, "prediction")) == FIRST + 5


def test_what_fell_under_a_rollout_is_taken_outside_of_rollouts(plane: str, database_url: str, tmp_path: Path) -> None:
    raw = {"request_body_base64": b64encode(b"\xff").decode(), "request_size": 1}
    said = send(plane, [line(1, rollout=4, stage=9, reason="split", **raw)], apart=1)
    assert (said.status_code, said.json()["taken"]) == (202, 1)
    drain(database_url, tmp_path / "spool")
    (row,) = rows(database_url, "prediction")
    assert (row["rollout"], row["stage"], row["label"], row["request_body"]) == (0, 0, "x", b"\xff")
    assert {one["rollout"] for one in rows(database_url, "rollup")} == {0}
    shown = httpx.get(f"{plane}/v1/imports/{said.json()['name']}").json()
    assert (shown["recorded"], shown["known"]) == (1, 0)


def test_a_form_of_another_site_is_no_import(plane: str) -> None:
    said = httpx.post(f"{plane}/v1/predictions:import", content=b"{}", headers={"content-type": "text/plain"})
    assert said.status_code == 415


def test_a_file_that_is_not_there_is_said(plane: str, tmp_path: Path, *, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none"), "--url", plane]) == 2
    assert "cannot read" in capsys.readouterr().err
