"""Whatever a server sends, outcome and extraction answer; what they answer can be stored."""

import json
import math
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl import evidence
from modelctl.evidence import Answer
from modelctl.kinds import KINDS, Outcome, Value, kind_named, text_of
from modelctl.traffic import PredictionType
from tests.kinds.answers import answer, backend, extract

FAILURES = ["", evidence.TIMEOUT, evidence.CLIENT_GONE, evidence.CONNECT, "something new"]
PLACES = [
    "",
    "/",
    "/0",
    "/predictions",
    "/outputs/0/data",
    "predict",
    "$",
    "$..*",
    "$[*]",
    "$.predictions[*]",
    "$[?@ > 1]",
    "$[?match(@.a, 'x*')]",
]
NAMES = ["predictions", "outputs", "label", "score", "probability", "data", "shape", "datatype", "name", "parameters"]
WORDS = ["predict", "FP32", "INT64", "BYTES", "BOOL", "binary_data_size"]

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS)
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=6),
    max_leaves=25,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(WORDS) | leaves,
        "datatype": st.sampled_from(WORDS) | leaves,
        "shape": st.lists(st.integers(-1, 4)) | leaves,
    },
    optional={
        "data": st.lists(documents, max_size=6) | leaves,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-2, 40)}) | leaves,
    },
)
wanted_types = st.sampled_from([type_.value for type_ in PredictionType])
kinds = st.sampled_from(sorted(KINDS))
places = st.sampled_from(PLACES) | st.text(max_size=12) | st.text(alphabet="$.[]*?@'/~01ab:,()=!&|", max_size=16)

replies = st.builds(
    lambda body, missing, **rest: answer(body, size=len(body) + missing, **rest),
    body=st.binary(max_size=300),
    missing=st.sampled_from([0, 0, 0, 1]),
    encoding=st.sampled_from([b"", b"gzip", b"deflate", b"br", b"deflate, gzip"]) | st.binary(max_size=8),
    status=st.sampled_from([200, 200, 200, 400, 503]) | st.integers(0, 999),
    failure=st.sampled_from(FAILURES),
)


def assert_sound(reply: Answer, kind: str, *, place: str, wanted: str) -> None:
    described = backend(kind, place, wanted=wanted)
    assert isinstance(kind_named(kind).outcome(reply), Outcome)
    extraction = kind_named(kind).extract(reply, described)
    assert bool(extraction.values) != bool(extraction.problem)
    assert "\0" not in extraction.problem
    assert extraction.problem.encode("utf-8").decode() == extraction.problem
    for value in extraction.values:
        assert_storable(value)


def assert_storable(value: Value) -> None:
    assert value.number is None or math.isfinite(value.number)
    assert value.probability is None or 0 <= value.probability <= 1
    assert len(value.label or "") <= 128
    assert len(text_of(value)) <= 16_384
    assert "\0" not in text_of(value)
    assert text_of(value).encode("utf-8").decode() == text_of(value)


@given(reply=replies, kind=kinds, place=places, wanted=wanted_types)
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_a_kind_raise(reply: Answer, kind: str, *, place: str, wanted: str) -> None:
    assert_sound(reply, kind, place=place, wanted=wanted)


@given(document=documents, kind=kinds, place=places, wanted=wanted_types, deflated=st.booleans())
@settings(max_examples=500, deadline=None)
def test_no_json_makes_a_kind_raise(document: object, kind: str, *, place: str, wanted: str, deflated: bool) -> None:
    body = json.dumps(document).encode()
    reply = answer(zlib.compress(body), encoding=b"deflate") if deflated else answer(body)
    assert_sound(reply, kind, place=place, wanted=wanted)


@given(outputs=st.lists(tensors, min_size=1, max_size=3), tail=st.binary(max_size=40), place=st.sampled_from(["", "predict"]))
@settings(max_examples=500, deadline=None)
def test_no_tensor_makes_a_kind_raise(outputs: list[dict[str, object]], tail: bytes, *, place: str) -> None:
    body = json.dumps({"outputs": outputs}).encode() + tail
    assert_sound(answer(body), "v2", place=place, wanted="auto")


@pytest.mark.parametrize("depth", [100, 400, 900, 2000, 100_000])
def test_no_nesting_makes_a_kind_raise(depth: int) -> None:
    for body in (
        b"[" * depth + b"1,2" + b"]" * depth,
        b'{"a":' * depth + b"1" + b"}" * depth,
        b'{"outputs":[{"data":' + b"[" * depth,
    ):
        for kind in KINDS:
            for place in PLACES:
                for wanted in PredictionType:
                    assert_sound(answer(body), kind, place=place, wanted=wanted)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_problem_that_repeats_what_a_server_sent_can_be_stored(kind: str) -> None:
    extraction = kind_named(kind).extract(
        answer(b'{"a\\u0000\\ud800' + b"b" * 9000 + b'": 1}'), backend(kind, "" if kind == "v1" else "/c")
    )
    assert extraction.problem
    assert len(extraction.problem) <= 400
    assert "\0" not in extraction.problem
    assert extraction.problem.encode()


@given(st.lists(st.integers() | st.text(max_size=100), min_size=1, max_size=20))
def test_every_instance_is_read_and_in_its_order(labels: list[int | str]) -> None:
    expected = [str(label) for label in labels]
    for kind in ("json", "v1"):
        values = extract({"predictions": labels}, kind, wanted="label").values
        assert [value.label for value in values] == [text.replace("\0", "�") for text in expected]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_reads_back_as_the_number(number: float) -> None:
    (value,) = extract(number, wanted="number").values
    assert value.number == number
    assert float(text_of(value)) == number
