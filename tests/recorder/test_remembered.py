"""Answers that come again are not read again, unless they would be read otherwise."""

import msgspec
from sqlalchemy import update

from modelctl.evidence import Served
from modelctl.store import tables
from modelctl.store.engine import connect, writing
from modelctl.traffic import Backend
from tests.recorder.stream import Recording, answer, register, rows, served


def _under(table: int, record: Served) -> Served:
    return msgspec.structs.replace(record, context=msgspec.structs.replace(record.context, table=table))


def _replace(url: str, backend: Backend) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        spec = msgspec.json.encode(backend).decode()
        connection.execute(update(tables.backend).where(tables.backend.c.name == backend.name).values(spec=spec))
    engine.dispose()


def test_the_same_answer_is_read_anew_when_its_backend_was_replaced(sqlite_url: str) -> None:
    register(sqlite_url)
    recording = Recording(sqlite_url)
    recording.take([_under(7, served(1, answer("old", {"a": "cat", "b": "dog"})))])
    _replace(sqlite_url, Backend(name="old", endpoints=("http://127.0.0.1:9",), prediction="/prediction/b"))
    recording.take([_under(8, served(2, answer("old", {"a": "cat", "b": "dog"})))])
    recording.engine.dispose()
    first, second = rows(sqlite_url, "prediction")
    assert (first["label"], second["label"]) == (None, "dog")


def test_equal_bytes_of_two_backends_and_of_two_statuses_are_different_answers(sqlite_url: str) -> None:
    register(sqlite_url)
    _replace(sqlite_url, Backend(name="new", endpoints=("http://127.0.0.1:9",), prediction="/missing"))
    recording = Recording(sqlite_url)
    given = [answer("old"), answer("new"), answer("old", status=500), answer("old")]
    recording.take([served(number, one) for number, one in enumerate(given)])
    recording.engine.dispose()
    assert [row["label"] for row in rows(sqlite_url, "prediction")] == ["cat", None, None, "cat"]
    assert [row["outcome"] for row in rows(sqlite_url, "prediction")] == ["ok", "ok", "backend_error", "ok"]
