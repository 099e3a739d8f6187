"""What a route redacts is nowhere: not in the spool, not in the database, not in a log. What it leaves is as it was."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.evidence import ANSWER_LEFT_OUT, ANSWER_REDACTED, REQUEST_LEFT_OUT, REQUEST_REDACTED, Answer, Compared, Served
from modelctl.recorder.readings import ComparedReading
from modelctl.router.redaction import Redaction
from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.recorder.stream import Worker, answer, drain, readings, register, rows, served, shown_to_new
from tests.router.conftest import baseline, candidate
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess
from tests.router.wire import ok, post

NUMBER = "4111-1111-1111-1111"
RULES = ("/card/number", "/items/*/name", "header:x-user-name", "query:token")
KEPT = Capture(redact=RULES, headers=("x-user-name", "x-country"), request_bytes=2_000)


def _table(old: ModelServer, new: ModelServer) -> RoutingTable:
    backends = (Backend(name="old", endpoints=(old.url,)), Backend(name="new", endpoints=(new.url,)))
    arms = (baseline("old"), candidate("new", shown=10_000))
    return RoutingTable(version=1, backends=backends, routes=(Route(name="fraud", arms=arms, rollout=1, stage=1, capture=KEPT),))


def _redacted(body: bytes, *rules: str, encoding: bytes = b"", size: int = -1) -> tuple[bytes, int]:
    given_answer = Answer("old", 200, "", 1, 1, b"application/json", encoding, body, len(body) if size < 0 else size)
    answer, how = Redaction(rules).answer(given_answer)
    return answer.body, how


def test_nothing_of_it_is_in_spool_database_or_log(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer, tmp_path: Path, sqlite_url: str
) -> None:
    said = json.dumps({"prediction": "yes", "items": [{"name": NUMBER, "n": 1}]}).encode()
    old.on("/fraud", ok(said, "Content-Type: application/json"))
    new.on("/fraud", ok(said, "Content-Type: application/json"))
    router = start(_table(old, new))
    body = json.dumps({"card": {"number": NUMBER, "year": 2030}, "amount": 5}).encode()
    fields = ("Content-Type: application/json", f"X-User-Name: {NUMBER}", "X-Country: de")
    bodies = (body, NUMBER.encode(), gzip.compress(body), b'{"card": {"number": "' + NUMBER.encode() * 200 + b'"}}')
    for number, one in enumerate(bodies):
        reply = router.ask(post(f"/fraud?token={NUMBER}&a=1", one, *fields, f"X-Request-Id: r{number}"))
        assert reply.body == said  # the client and the models get everything
        router.compared(f"r{number}")
    first = router.served("r0")
    assert router.stop() == 0
    kept = [path.read_bytes() for path in router.folder.rglob("*") if path.is_file()]
    assert kept
    assert not any(NUMBER.encode() in data for data in kept)
    assert NUMBER not in router.events()
    assert json.loads(first.request.body) == {"card": {"number": "[redacted]", "year": 2030}, "amount": 5}
    assert first.request.target == b"/fraud?token=[redacted]&a=1"
    assert first.request.headers == ((b"x-user-name", b"[redacted]"), (b"x-country", b"de"))
    assert first.redacted == REQUEST_REDACTED | ANSWER_REDACTED
    _recorded(router, tmp_path / "spool", sqlite_url)


def _recorded(router: RouterProcess, spool: Path, url: str) -> None:
    """What the database has of it."""
    register(url)
    Worker(spool).write([record for record in router.records() if isinstance(record, Served | Compared)])
    drain(url, spool)
    predictions, pairs = rows(url, "prediction"), rows(url, "pair")
    assert [row["redacted"] for row in predictions] == [5, 6, 6, 6]
    assert [(row["redacted"], row["duplicate"], row["agree"]) for row in pairs] == [(5, 0, 1), (6, 0, 1), (6, 0, 1), (6, 0, 1)]
    assert [row["request_body"] for row in predictions[1:]] == [b""] * 3
    assert all(row["label"] == "yes" for row in predictions)
    assert NUMBER.encode() not in Path(url.removeprefix("sqlite:///")).read_bytes()
    wal = Path(url.removeprefix("sqlite:///") + "-wal")
    assert not wal.exists() or NUMBER.encode() not in wal.read_bytes()


def test_values_go_whole_whatever_they_are_and_the_rest_stays_byte_for_byte() -> None:
    body = b'{"a": {"b": [1, {"c": 2}], "d": 1.0e5}, "e": "x"}'
    assert _redacted(body, "/a/b") == (b'{"a":{"b":"[redacted]","d":1.0e5},"e":"x"}', ANSWER_REDACTED)
    assert _redacted(body, "/a") == (b'{"a":"[redacted]","e":"x"}', ANSWER_REDACTED)
    assert _redacted(body, "/a", "/a/b/0") == (b'{"a":"[redacted]","e":"x"}', ANSWER_REDACTED)
    assert _redacted(body, "/a/b/1/c") == (b'{"a":{"b":[1,{"c":"[redacted]"}],"d":1.0e5},"e":"x"}', ANSWER_REDACTED)
    assert _redacted(b'[{"x": 1}, {"x": 2}]', "/*/x", "/0/y") == (b'[{"x":"[redacted]"},{"x":"[redacted]"}]', ANSWER_REDACTED)
    assert _redacted(b'{"a/b": 1, "m~n": 2}', "/a~1b", "/m~0n") == (b'{"a/b":"[redacted]","m~n":"[redacted]"}', ANSWER_REDACTED)
    assert _redacted(b'{"x": 1}', "/y")[1] == 0


def test_names_that_stand_twice_or_are_written_otherwise_hide_nothing() -> None:
    assert _redacted(b'{"card": {"n": "secret"}, "card": {}}', "/card/n") == (b'{"card":{}}', 0)
    assert _redacted(b'{"c\\u0061rd": "secret"}', "/card") == (b'{"card":"[redacted]"}', ANSWER_REDACTED)


@pytest.mark.parametrize(
    "body", [b"secret", b'{"card": "secret"} more', b'{"card": "secret"', b"data: {}\n\n", b'{"x": NaN}', b"[" * 100_000, b"\xff{}"]
)
def test_what_is_no_json_is_left_out(body: bytes) -> None:
    assert _redacted(body, "/card") == (b"", ANSWER_LEFT_OUT)


def test_what_cannot_be_searched_is_left_out_and_headers_alone_touch_no_body() -> None:
    assert _redacted(b"{}", "/card", encoding=b"gzip") == (b"", ANSWER_LEFT_OUT)
    assert _redacted(b"{}", "/card", size=3) == (b"", ANSWER_LEFT_OUT)
    assert _redacted(b"", "/card") == (b"", 0)
    assert _redacted(b"any thing", "header:x-a") == (b"any thing", 0)
    record = Redaction(("/card",)).served(served(1, answer("old")))
    assert record.redacted & (REQUEST_REDACTED | REQUEST_LEFT_OUT) == 0


_documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("ab/~*", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "0", "*"]), inner, max_size=3),
    max_leaves=8,
)


def _without(document: object, path: list[str]) -> object:
    """What is left, by the plainest of programs."""
    key, *rest = path
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else None
    if items is None:
        return document
    done = {name: _left(value, rest) if key in (str(name), "*") else value for name, value in items}
    return done if isinstance(document, dict) else list(done.values())


def _left(value: object, rest: list[str]) -> object:
    return _without(value, rest) if rest else "[redacted]"


@given(_documents, st.lists(st.sampled_from(["a", "b", "0", "*"]), min_size=1, max_size=3))
def test_any_document_loses_what_the_path_names_and_nothing_else(document: object, path: list[str]) -> None:
    body, _ = _redacted(json.dumps(document).encode(), "/" + "/".join(path))
    assert json.loads(body) == _without(document, path)


@pytest.mark.parametrize("rule", ["card", "/", "", "header:", "header:X-User", "query:", "cookie:a", "header:x-request-id"])
def test_a_rule_that_names_nothing_is_refused(rule: str) -> None:
    with pytest.raises(InvalidInput):
        Capture(redact=(rule,))


def test_the_unit_of_a_route_cannot_be_redacted() -> None:
    with pytest.raises(InvalidInput, match="choose another unit"):
        Route(name="a", arms=(baseline("old"),), unit="header:x-user", capture=Capture(redact=("header:x-user",)))


def test_questions_that_differ_in_what_was_taken_out_are_not_the_same_question() -> None:
    redaction = Redaction(("/x",))
    pair = shown_to_new(1, "a", "a")[1]
    assert isinstance(pair, Compared)
    found = readings([pair, Compared(redaction.served(pair.served), pair.shadow)])
    assert [bool(one.digest) for one in found if isinstance(one, ComparedReading)] == [True, False]
