"""How the bytes of an answer become a JSON document."""

import gzip
import zlib

import pytest

from modelctl.kinds import Extraction, Value, kind_named
from tests.kinds.answers import answer, backend, extract

PLAIN = b'{"label": "cat", "score": 0.5}'
CAT = (Value(label="cat", probability=0.5),)


def coded(body: bytes, encoding: bytes) -> Extraction:
    return kind_named("json").extract(answer(body, encoding=encoding), backend())


def raw_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(body) + engine.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"", PLAIN),
        (b"identity", PLAIN),
        (b"gzip", gzip.compress(PLAIN, mtime=0)),
        (b" GZip ", gzip.compress(PLAIN, mtime=0)),
        (b"x-gzip", gzip.compress(PLAIN, mtime=0)),
        (b"gzip", gzip.compress(PLAIN[:9], mtime=0) + gzip.compress(PLAIN[9:], mtime=0)),
        (b"deflate", zlib.compress(PLAIN)),
        (b"deflate", raw_deflate(PLAIN)),
        (b"deflate, gzip", gzip.compress(zlib.compress(PLAIN), mtime=0)),
    ],
)
def test_every_content_coding_that_servers_use_is_undone(encoding: bytes, body: bytes) -> None:
    assert coded(body, encoding).values == CAT


@pytest.mark.parametrize(
    ("encoding", "body", "says"),
    [
        (b"br", PLAIN, "'br', and only gzip and deflate are read"),
        (b"gzip, gzip, gzip", PLAIN, "only gzip and deflate"),
        (b"gzip", PLAIN, "cannot be read"),
        (b"gzip", b"", "end too early"),
        (b"deflate", b"\xff\xff\xff", "cannot be read"),
        (b"gzip", gzip.compress(PLAIN, mtime=0)[:-9], "end too early"),
        (b"gzip", gzip.compress(b"") * 17, "more than 16 members"),
        (b"gzip", gzip.compress(b" " * 16_777_217), "larger than 16777216 bytes"),
        (b"deflate", zlib.compress(b" " * 16_777_217), "larger than 16777216 bytes"),
        (b"gzip", gzip.compress(b" " * 9_000_000) * 2, "larger than 16777216 bytes"),
    ],
)
def test_a_coding_that_cannot_be_undone_is_a_problem(encoding: bytes, body: bytes, *, says: str) -> None:
    extraction = coded(body, encoding)
    assert extraction.values == ()
    assert says in extraction.problem


def test_a_body_that_was_not_recorded_whole_is_a_problem_that_says_what_to_raise() -> None:
    extraction = kind_named("json").extract(answer(PLAIN, size=len(PLAIN) + 1), backend())
    assert extraction.values == ()
    assert "30 of its 31 bytes" in extraction.problem
    assert "answer_bytes" in extraction.problem


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"p": [NaN, Infinity, 1.5]}', Value(number=1.5)),
        (b'{"p": [-Infinity, 1e999, 1.5]}', Value(number=1.5)),
        (b'{"p": [0, ' + b"9" * 20_000 + b", 1.5]}", Value(number=1.5)),
        (b'{"p": [0, "\\ud800", 1.5]}', Value(number=1.5)),
        (b'\xef\xbb\xbf{"p": [0, 0, 1.5]}', Value(number=1.5)),
        ('{"p": [0, 0, 1.5]}'.encode("utf-16"), Value(number=1.5)),
    ],
)
def test_json_is_read_as_tolerantly_as_servers_write_it(body: bytes, value: Value) -> None:
    assert extract(body, prediction="/p/2").values == (value,)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"Internal Server Error", "not JSON: it starts with 'Internal Server Error'"),
        (b'{"label": 1', "not JSON"),
        (b'{"label": 1} {"label": 2}', "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"data: {}\n\n", "stream of events"),
        (b"[" * 10_000 + b"]" * 10_000, "nested too deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deep"),
    ],
)
def test_what_is_not_one_json_document_is_a_problem(body: bytes, says: str) -> None:
    extraction = extract(body)
    assert extraction.values == ()
    assert says in extraction.problem
