"""What two answers say about each other, and what is made of odd bytes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.evidence import SENT, Compared
from modelctl.kinds import Outcome, Value
from modelctl.recorder.readings import Agreement, Judged, compare, judge
from modelctl.recorder.rows import PAIR_COLUMNS, PREDICTION_COLUMNS, pair_row, prediction_row
from modelctl.recorder.texts import storable, text_from
from modelctl.store.tables import pair, prediction
from modelctl.traffic import Backend
from tests.recorder.stream import answer, readings, served, shown_to_new


def _labels(*labels: str) -> Judged:
    return Judged(Outcome.OK, tuple(Value(label=label) for label in labels), "")


def _numbers(*numbers: float) -> Judged:
    return Judged(Outcome.OK, tuple(Value(number=number) for number in numbers), "")


def test_equal_labels_agree_and_others_do_not() -> None:
    assert compare(_labels("cat"), _labels("cat")) == Agreement(True, 1, 1, None)
    assert compare(_labels("cat"), _labels("dog")) == Agreement(False, 1, 0, None)


def test_a_request_of_several_instances_agrees_only_if_each_does() -> None:
    assert compare(_labels("cat", "dog", "cat"), _labels("cat", "dog", "dog")) == Agreement(False, 3, 2, None)


def test_answers_of_different_length_do_not_agree() -> None:
    assert compare(_labels("cat"), _labels("cat", "dog")) == Agreement(False, 2, 1, None)
    assert compare(_numbers(1), _numbers(1, 2)) == Agreement(False, 2, 1, None)


def test_numbers_that_differ_in_the_last_digits_agree() -> None:
    assert compare(_numbers(0.1 + 0.2), _numbers(0.3)).agree is True
    assert compare(_numbers(1.0), _numbers(1.00001)).agree is False


def test_the_difference_is_candidate_minus_baseline_on_average_over_the_instances() -> None:
    assert compare(_numbers(1.0, 2.0), _numbers(2.0, 5.0)).difference == 2.0


def test_a_difference_beyond_all_floats_is_none_instead_of_infinity() -> None:
    assert compare(_numbers(-1.7e308), _numbers(1.7e308)).difference is None


def test_a_number_and_its_label_agree_but_have_no_difference() -> None:
    assert compare(_labels("3"), _numbers(3.0)) == Agreement(True, 1, 1, None)


def test_there_is_no_agreement_without_a_prediction_on_each_side() -> None:
    nothing = Judged(Outcome.BACKEND_ERROR, (), "why")
    assert compare(nothing, _labels("cat")).agree is None
    assert compare(_labels("cat"), nothing).agree is None


def test_an_unknown_backend_still_has_an_outcome_and_says_why_there_is_no_prediction() -> None:
    assert judge(answer("old", status=500), None).outcome is Outcome.BACKEND_ERROR
    assert "'old' is not registered" in judge(answer("old"), None).problem


def test_a_kind_that_is_gone_still_has_an_outcome_and_says_why_there_is_no_prediction() -> None:
    found = judge(answer("old"), Backend(name="old", endpoints=("http://127.0.0.1:9",), kind="oracle"))
    assert found.outcome is Outcome.OK
    assert "'oracle'" in found.problem


def test_bytes_that_are_not_utf_8_are_shown_as_escapes() -> None:
    assert text_from(b"/caf\xe9?q=\xc3\xa9") == "/caf\\xe9?q=é"


@given(st.binary())
def test_every_text_from_the_wire_can_be_stored(raw: bytes) -> None:
    text = text_from(raw)
    assert "\0" not in text
    assert storable(text) == text
    assert text.encode().decode() == text


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "ok", "é"])
def test_every_text_becomes_storable(text: str) -> None:
    assert "\0" not in storable(text).encode().decode()


def test_rows_have_exactly_the_columns_of_their_tables() -> None:
    first, second = readings(shown_to_new(1, "cat", "dog"))
    assert set(PREDICTION_COLUMNS) == set(prediction.c.keys())
    assert len(prediction_row(first)) == len(PREDICTION_COLUMNS)  # type: ignore[arg-type]
    assert set(PAIR_COLUMNS) == set(pair.c.keys())
    assert len(pair_row(second)) == len(PAIR_COLUMNS)  # type: ignore[arg-type]


def test_a_row_tells_how_often_a_request_was_sent_and_when_the_first_event_came() -> None:
    given = msgspec.structs.replace(served(1, answer("old")), attempts=3)
    (one,) = readings([msgspec.structs.replace(given, answer=msgspec.structs.replace(given.answer, first_event=700))])
    row = dict(zip(PREDICTION_COLUMNS, prediction_row(one), strict=True))  # type: ignore[arg-type]
    assert (row["attempts"], row["first_event_us"]) == (3, 700)


def test_a_record_of_an_older_router_was_sent_once_and_held_no_event() -> None:
    (one,) = readings([served(1, answer("old"))])
    row = dict(zip(PREDICTION_COLUMNS, prediction_row(one), strict=True))  # type: ignore[arg-type]
    assert (row["attempts"], row["first_event_us"]) == (1, 0)


@pytest.mark.parametrize("failure", ["connect", "timeout", "reset", "truncated", "invalid", "overload", "client-gone"])
def test_a_pair_tells_which_of_its_answers_was_cut(failure: str) -> None:
    first = served(1, answer("old"), shown={"new": SENT})
    shadow = msgspec.structs.replace(answer("new", failure=failure), first_event=800)
    _, whole = readings(shown_to_new(1, "cat", "cat"))
    (cut,) = readings([Compared(first, shadow)])
    rows = [dict(zip(PAIR_COLUMNS, pair_row(one), strict=True)) for one in (whole, cut)]  # type: ignore[arg-type]
    assert [(row["baseline_ended"], row["candidate_ended"]) for row in rows] == [("clean", "clean"), ("clean", "cut")]
    assert [row["candidate_first_event_us"] for row in rows] == [0, 800]


def test_all_instances_are_kept_when_there_are_several() -> None:
    (one,) = readings([served(1, answer("old", ["cat", "dog"]))])
    row = dict(zip(PREDICTION_COLUMNS, prediction_row(one), strict=True))  # type: ignore[arg-type]
    assert row["label"] == "cat"
    assert row["values_json"] == '[{"label":"cat"},{"label":"dog"}]'
