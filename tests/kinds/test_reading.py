"""How a JSON value becomes a label, a number or a text."""

from typing import Any

import pytest

from modelctl.errors import InvalidInput
from modelctl.kinds import Value, text_of
from tests.kinds.answers import extract

LONG = "word " * 40


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ("cat", Value(label="cat")),
        ("", Value(label="")),
        (True, Value(label="true")),
        (False, Value(label="false")),
        (7, Value(label="7")),
        (-0, Value(label="0")),
        (10**30, Value(label=str(10**30))),
        (0.25, Value(number=0.25)),
        (1.0, Value(number=1.0)),
        (LONG, Value(text=LONG)),
        ([0.1, 0.7, 0.2], Value(label="1", probability=0.7)),
        ([0.3333, 0.3333, 0.3333], Value(label="0", probability=0.3333)),
        ([1.0, 0], Value(label="0", probability=1.0)),
        ([[0.1, 0.9]], Value(label="1", probability=0.9)),
        ([[[["deep"]]]], Value(label="deep")),
        ([[2.5, 3.5]], Value(text="[2.5,3.5]")),
        ([[0, 1]], Value(label="1", probability=1.0)),
        ({"b": 1, "a": [1, {}]}, Value(text='{"a":[1,{}],"b":1}')),
    ],
)
def test_the_type_of_a_prediction_is_taken_from_its_json(document: object, value: Value) -> None:
    extraction = extract(document)
    assert extraction.values == (value,)
    assert extraction.problem == ""


@pytest.mark.parametrize("body", [b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 5000 + b".5", b'{"label": null}'])
def test_what_is_not_a_number_is_a_problem_and_not_a_value(body: bytes) -> None:
    extraction = extract(body)
    assert extraction.values == ()
    assert "not a number" in extraction.problem


@pytest.mark.parametrize(
    ("wanted", "document", "value"),
    [
        ("label", 3.0, Value(label="3")),
        ("label", 0.1, Value(label="0.1")),
        ("label", -0.0, Value(label="0")),
        ("label", 7, Value(label="7")),
        ("label", True, Value(label="true")),
        ("label", [0.2, 0.8], Value(label="1", probability=0.8)),
        ("label", [[2.5, 3.5]], Value(label="[2.5,3.5]")),
        ("label", {"a": None}, Value(label='{"a":null}')),
        ("number", 7, Value(number=7.0)),
        ("number", True, Value(number=1.0)),
        ("number", " -1.5e3 ", Value(number=-1500.0)),
        ("number", [0.75], Value(number=0.75)),
        ("number", {"score": 0.75}, Value(number=0.75)),
        ("text", "cat", Value(text="cat")),
        ("text", 7, Value(text="7")),
        ("text", [0.2, 0.8], Value(text="[0.2,0.8]")),
        ("text", {"z": 1, "a": "ü"}, Value(text='{"a":"ü","z":1}')),
        ("text", None, Value(text="null")),
        ("text", b"no JSON at all", Value(text="no JSON at all")),
    ],
)
def test_a_prediction_type_forces_the_reading(wanted: str, document: object, *, value: Value) -> None:
    assert extract(document, wanted=wanted).values == (value,)


@pytest.mark.parametrize(
    ("wanted", "document", "says"),
    [
        ("number", "cat", "the text 'cat'"),
        ("number", "1_000", "the text '1_000'"),
        ("number", "nan", "the text 'nan'"),
        ("number", [[1, 2]], "a list of 2"),
        ("number", {"a": 1}, "an object"),
        ("number", None, "null"),
        ("number", 10**400, "inf"),
        ("label", None, "null"),
    ],
)
def test_a_reading_that_cannot_be_forced_is_a_problem(wanted: str, document: object, *, says: str) -> None:
    extraction = extract(document, wanted=wanted)
    assert extraction.values == ()
    assert says in extraction.problem


@pytest.mark.parametrize("name", ["probability", "score", "confidence"])
def test_a_score_beside_a_label_is_kept_with_it(name: str) -> None:
    document = {"label": "fraud", name: 0.93, "model": "v7"}
    for prediction in ("", "/label", "$.label"):
        assert extract(document, prediction=prediction).values == (Value(label="fraud", probability=0.93),)


@pytest.mark.parametrize("score", [True, "0.9", 93.0, -1, None, [0.9]])
def test_what_is_no_probability_is_not_taken_for_one(score: object) -> None:
    assert extract({"label": "fraud", "score": score}).values == (Value(label="fraud"),)


def test_an_entry_with_a_usual_name_is_read_at_that_name() -> None:
    document = [{"label": "POSITIVE", "score": 0.99}, {"label": "NEGATIVE", "score": 0.75}]
    expected = (Value(label="POSITIVE", probability=0.99), Value(label="NEGATIVE", probability=0.75))
    assert extract(document).values == expected


def test_every_instance_of_a_batch_has_a_value() -> None:
    assert extract({"predictions": [1, 0, 1]}).values == (Value(label="1"), Value(label="0"), Value(label="1"))
    assert extract([0.5, 2.5]).values == (Value(number=0.5), Value(number=2.5))


def test_two_whole_numbers_are_two_labels_even_when_they_sum_to_one() -> None:
    assert extract([0, 1]).values == (Value(label="0"), Value(label="1"))


def test_a_list_of_probabilities_is_a_batch_when_numbers_are_wanted() -> None:
    assert extract([0.25, 0.75], wanted="number").values == (Value(number=0.25), Value(number=0.75))


def test_one_unreadable_instance_makes_the_whole_answer_unreadable() -> None:
    extraction = extract(b'{"predictions": [1.5, NaN]}')
    assert extraction.values == ()
    assert "not a number" in extraction.problem


@pytest.mark.parametrize(("document", "says"), [([], "empty"), ([1] * 10_001, "at most 10000")])
def test_no_instances_and_far_too_many_are_problems(document: object, says: str) -> None:
    assert says in extract(document).problem


def test_long_labels_are_cut_and_stay_distinct() -> None:
    one, other = (extract("x" * 5000 + end, wanted="label").values[0].label for end in "ab")
    assert one is not None
    assert other is not None
    assert len(one) == len(other) == 128
    assert one != other


def test_text_that_a_database_cannot_store_is_replaced() -> None:
    (value,) = extract(b'"a\\u0000b\\ud800c"').values
    assert value == Value(label="a�b?c")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(label="cat", probability=0.5), "cat"),
        (Value(label=""), ""),
        (Value(text="a b"), "a b"),
        (Value(number=3.0), "3"),
        (Value(number=-0.0), "0"),
        (Value(number=0.1), "0.1"),
        (Value(number=1e22), "1e+22"),
    ],
)
def test_a_value_has_one_canonical_text(value: Value, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("parts", [{}, {"label": "a", "number": 1.0}, {"text": "a", "label": "a"}, {"number": float("nan")}])
def test_a_value_that_is_not_exactly_one_thing_cannot_be_made(parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Value(**parts)
