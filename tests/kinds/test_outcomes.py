"""What an answer says about its backend."""

import gzip

import pytest

from modelctl import evidence
from modelctl.kinds import KINDS, Outcome, kind_named
from tests.kinds.answers import answer, backend


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (evidence.TIMEOUT, "timeout"),
        (evidence.CLIENT_GONE, "cancelled"),
        (evidence.CONNECT, "backend_error"),
        (evidence.RESET, "backend_error"),
        (evidence.TRUNCATED, "backend_error"),
        (evidence.INVALID, "backend_error"),
        (evidence.OVERLOAD, "backend_error"),
    ],
)
def test_a_failed_exchange_counts_whatever_arrived_of_it(failure: str, outcome: str) -> None:
    for name in KINDS:
        for status in (0, 200, 404):
            assert kind_named(name).outcome(answer(b'{"label":1}', status=status, failure=failure)) == outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0, "backend_error"),
        (100, "backend_error"),
        (101, "switched"),
        (200, "ok"),
        (204, "ok"),
        (304, "ok"),
        (307, "backend_error"),
        (400, "client_error"),
        (404, "client_error"),
        (408, "timeout"),
        (413, "client_error"),
        (422, "client_error"),
        (429, "backend_error"),
        (499, "client_error"),
        (500, "backend_error"),
        (501, "backend_error"),
        (503, "backend_error"),
        (504, "timeout"),
        (599, "backend_error"),
        (700, "backend_error"),
    ],
)
def test_the_status_decides_when_the_exchange_was_whole(status: int, outcome: str) -> None:
    for name in KINDS:
        assert kind_named(name).outcome(answer(b"{}", status=status)) == outcome


@pytest.mark.parametrize("failure", ["", evidence.TRUNCATED, evidence.CLIENT_GONE])
def test_a_tunnel_is_no_prediction_however_it_ends(failure: str) -> None:
    for name in KINDS:
        kind = kind_named(name)
        tunnel = answer(b"", status=101, failure=failure)
        assert kind.outcome(tunnel) is Outcome.SWITCHED
        assert kind.extract(tunnel, backend(name)).values == ()


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "boom"}',
        b' \n{ "error" : {"message": "boom"}, "id": 1}',
        b'{"error": [1]}',
        b'{"error": true}',
        b'{"error": "' + b"x" * 100_000,
        b'data: {"text_output":"a"}\n\ndata: {"error":"boom"}\n\n',
        b'event: message\ndata: {"error": {"code": 500}}',
    ],
)
def test_a_200_that_tells_of_an_error_is_a_backend_error(body: bytes) -> None:
    for name in KINDS:
        assert kind_named(name).outcome(answer(body)) is Outcome.BACKEND_ERROR


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"error": null, "label": 1}',
        b'{"error": false, "label": 1}',
        b'{"error": "", "label": 1}',
        b'{"error": {}, "label": 1}',
        b'{"error": [ ], "label": 1}',
        b'{"error": 0.13, "label": 1}',
        b'{"label": 1, "error": "ignored"}',
        b'[{"error": "one of several"}]',
        b'{"errors": "x"}',
        b'{"text": "data: {\\"error\\": \\"quoted\\"}"}',
        b'data: {"text_output": "the word {\\"error\\": \\"x\\"}"}\n\n',
    ],
)
def test_a_200_that_merely_mentions_an_error_is_ok(body: bytes) -> None:
    for name in KINDS:
        assert kind_named(name).outcome(answer(body)) is Outcome.OK


def test_an_error_in_a_compressed_body_is_seen() -> None:
    body = gzip.compress(b'{"error": "boom"}')
    assert kind_named("v2").outcome(answer(body, encoding=b"gzip")) is Outcome.BACKEND_ERROR
    assert kind_named("v2").outcome(answer(body[:20], encoding=b"gzip", size=len(body))) is Outcome.OK


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate"])
def test_a_body_that_is_not_what_its_encoding_says_is_judged_as_it_is(encoding: bytes) -> None:
    assert kind_named("json").outcome(answer(b'{"error": "boom"}', encoding=encoding)) is Outcome.BACKEND_ERROR


@pytest.mark.parametrize(
    ("status", "failure", "says"),
    [(500, "", "backend_error (status 500)"), (422, "", "client_error (status 422)"), (200, evidence.TRUNCATED, "(truncated)")],
)
def test_nothing_is_extracted_from_an_answer_that_is_not_ok(status: int, failure: str, *, says: str) -> None:
    for name in KINDS:
        extraction = kind_named(name).extract(
            answer(b'{"label": 1, "predictions": [1]}', status=status, failure=failure), backend(name)
        )
        assert extraction.values == ()
        assert says in extraction.problem
