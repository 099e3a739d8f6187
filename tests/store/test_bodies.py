"""Large bodies are stored compressed, and everybody who reads them sees what was on the wire."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, literal, select, text

from modelctl.controlplane.backfill.replay_records import reason_against, served_again
from modelctl.errors import Corrupt
from modelctl.evidence import Served
from modelctl.rollout import Rollout, Step
from modelctl.store import bodies, export, tables
from modelctl.store import reading as evidence
from modelctl.store.engine import connect, reading, writing
from tests.recorder.stream import ARMS, START, Recording, answer, register, rows, shown_to_new

LARGE = json.dumps({"features": {f"amount_{n}": n * 1.25 for n in range(200)}}).encode()


def _large(number: int) -> list[Any]:
    first, compared = shown_to_new(number, "cat", "dog")
    assert isinstance(first, Served)
    asked = msgspec.structs.replace(first.request, body=LARGE, size=len(LARGE))
    padded = json.dumps({"prediction": "dog", "why": ["amount"] * 400}).encode()
    said = msgspec.structs.replace(answer("new", "dog"), body=padded, size=len(padded))
    served = msgspec.structs.replace(first, request=asked)
    return [served, msgspec.structs.replace(compared, served=served, shadow=said)]


@pytest.fixture
def url(database_url: str) -> str:
    register(database_url)
    recording = Recording(database_url)
    recording.take(_large(1))
    recording.engine.dispose()
    return database_url


def _body(how: str, data: bytes) -> bytes:
    """What is read from a row that holds these."""
    return bodies.body_of(_Row({"request_stored": how, "request_body": data}), "request")  # type: ignore[arg-type]


class _Row:
    def __init__(self, columns: dict[str, Any]) -> None:
        self._mapping = columns


@given(st.binary(max_size=5_000), st.integers(1, 40))
def test_what_is_stored_is_read_as_it_was(piece: bytes, times: int) -> None:
    body = piece * times
    how, data = bodies.stored(body)
    assert _body(how, data) == body
    assert len(data) <= len(body)


def test_small_bodies_and_those_that_do_not_get_smaller_stay_as_they_are() -> None:
    small, hard = b"x" * (bodies.WORTH - 1), random.Random(1).randbytes(10_000)
    assert bodies.stored(small) == (bodies.AS_IT_IS, small)
    assert bodies.stored(hard) == (bodies.AS_IT_IS, hard)
    how, data = bodies.stored(LARGE)
    assert how == bodies.ZSTD
    assert len(data) * 2 < len(LARGE)


def test_bodies_are_packed_and_read_in_many_threads_at_once() -> None:
    large = [json.dumps([random.Random(seed).random() for _ in range(20_000)]).encode() for seed in range(4)]
    with ThreadPoolExecutor(8) as threads:
        packed = list(threads.map(bodies.stored, large * 20))
        assert {how for how, _ in packed} == {bodies.ZSTD}
        assert list(threads.map(lambda one: _body(*one), packed)) == large * 20


def test_a_body_that_this_program_cannot_read_is_an_error_and_not_an_empty_body() -> None:
    with pytest.raises(Corrupt, match="cannot be read"):
        _body(bodies.ZSTD, b"no frame")
    with pytest.raises(Corrupt, match="written by a newer modelctl"):
        _body("brotli", b"x")


def test_rows_say_how_their_bodies_are_stored_and_hold_fewer_bytes(url: str) -> None:
    (prediction,), (pair,) = rows(url, "prediction"), rows(url, "pair")
    assert (prediction["request_stored"], prediction["answer_stored"]) == ("zstd", "")
    assert (pair["request_stored"], pair["baseline_stored"], pair["candidate_stored"]) == ("zstd", "", "zstd")
    assert len(prediction["request_body"]) * 2 < prediction["request_size"] == len(LARGE)


def test_details_pairs_and_exports_show_bodies_as_they_were(url: str) -> None:
    engine = connect(url)
    with reading(engine) as connection:
        (one,) = evidence.predictions(connection, {}).items
        assert evidence.prediction_detail(connection, one.id).request.body == LARGE
        (pair,) = evidence.pairs(connection, {}).items
        assert pair.request.body == LARGE
        assert json.loads(pair.candidate.answer.body)["prediction"] == "dog"
        for table in (tables.prediction, tables.pair):
            (row,) = export.rows(connection, table, span=export.Span(route="fraud", since=0, until=START * 2))
            line = json.loads(export.line_of(table, row))
            assert line["request_body"] == LARGE.decode()
            assert not [name for name in line if name.endswith("_stored")]
    engine.dispose()


def test_a_replay_sends_the_body_that_was_recorded(url: str) -> None:
    engine = connect(url)
    with reading(engine) as connection:
        row = connection.execute(select(tables.prediction)).one()
    engine.dispose()
    replay = Rollout(
        id=9, route="fraud", strategy="replay", baseline="old", candidates=("new",), steps=(Step(title="all", arms=ARMS),),
        salt="00" * 16, opened_at=1,
    )  # fmt: skip
    assert reason_against(row) == ""
    assert served_again(row, replay).request.body == LARGE


def test_rows_of_before_are_read_as_they_are(url: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE prediction SET request_stored = '', request_body = :body"), {"body": LARGE})
        (one,) = evidence.predictions(connection, {}).items
        assert evidence.prediction_detail(connection, one.id).request.body == LARGE
        assert connection.execute(select(func.length(tables.prediction.c.request_body) == literal(len(LARGE)))).scalar_one()
    engine.dispose()


def test_the_same_body_is_compressed_once_for_a_prediction_and_its_pair() -> None:
    bodies._repeated.cache_clear()
    served = _large(1)[0]
    assert isinstance(served, Served)
    assert bodies.stored(served.request.body) is bodies.stored(bytes(bytearray(served.request.body)))
