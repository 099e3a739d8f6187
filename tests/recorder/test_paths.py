"""Documents compared place by place, values of declared metrics, and slices: all pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.evidence import Request
from modelctl.kinds.document import ABSENT, document_of
from modelctl.kinds.fields import flattened
from modelctl.kinds.slicing import NONE, Asked, slices_of
from modelctl.metric import Dimension, DimensionSource, Field, FieldType, Worse
from modelctl.recorder.measuring import Measured, measured
from modelctl.recorder.paths import MOST_PATHS, OTHER, differences
from modelctl.recorder.readings import digest_of

HOUR = 3_600_000_000
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.text(max_size=3)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.[", max_size=2), inner, max_size=3)
)
MIRRORED = {"missing": "extra", "extra": "missing"}


def test_a_document_is_flattened_to_dotted_paths_and_places_in_lists() -> None:
    document = {"a": {"b": 1, "c-d": [True, {"e": None}]}, "odd.name": "x", "none": []}
    assert flattened(document) == {"a.b": 1, "a.c-d[0]": True, "a.c-d[1].e": None, '["odd.name"]': "x", "none": []}
    assert flattened(0.5) == {"$": 0.5}


@pytest.mark.parametrize(
    ("baseline", "candidate", "found"),
    [
        (1, 1.0, "equal"),
        (0.1 + 0.2, 0.3, "equal"),
        (1, 2, "value"),
        (1, True, "type"),
        (0, False, "type"),
        (None, 0, "type"),
        ("1", 1, "type"),
        ([], {}, "type"),
        ("a", "b", "value"),
    ],
)
def test_a_yes_or_no_is_no_number_and_1_equals_1_point_0(baseline: object, candidate: object, found: str) -> None:
    assert differences({"x": baseline}, {"x": candidate}) == (("x", found),)


def test_a_place_that_one_answer_lacks_is_missing_or_extra() -> None:
    assert set(differences({"a": 1, "b": 1}, {"b": 1, "c": 1})) == {("a", "missing"), ("b", "equal"), ("c", "extra")}


@given(DOCUMENTS, DOCUMENTS)
def test_a_comparison_the_other_way_round_says_the_same_but_for_missing_and_extra(a: object, b: object) -> None:
    mirrored = {(path, MIRRORED.get(found, found)) for path, found in differences(a, b)}
    assert set(differences(b, a)) == mirrored


@given(DOCUMENTS)
def test_a_document_equals_itself_at_every_path(document: object) -> None:
    assert {found for _, found in differences(document, document)} == {"equal"}


def test_an_answer_with_many_places_has_a_bounded_number_of_paths() -> None:
    many = {f"x{number:04}": number for number in range(5_000)}
    found = differences(many, {name: -number for name, number in many.items()})
    assert len(found) == MOST_PATHS + 1
    assert found[-1] == (OTHER, "value")


def field(path: str = "/x", type_: FieldType = FieldType.NUMBER, **more: object) -> Field:
    return Field(name="mine", path=path, type=type_, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "value", "invalid"),
    [
        ({"x": 2}, 2.0, False),
        ({"x": [1, 5]}, 3.0, False),
        ({}, None, False),
        ({"x": []}, None, False),
        (ABSENT, None, False),
        ({"x": "2"}, None, True),
        ({"x": True}, None, True),
        ({"x": None}, None, True),
        ({"x": float("nan")}, None, True),
        ({"x": float("inf")}, None, True),
        ({"x": [1, float("inf")]}, None, True),
        ({"x": 10**400}, None, True),
        ({"x": 1e200}, None, True),
    ],
)
def test_a_declared_number_is_a_value_or_missing_or_invalid(document: object, value: float | None, invalid: bool) -> None:
    assert measured(document, [field()]) == (Measured("field:mine", False, 1, value, invalid),)


def test_a_number_beyond_its_bounds_counts_as_the_bound() -> None:
    bounds = field(low=-1.0, high=10.0)
    assert [measured({"x": x}, [bounds])[0].value for x in (-5, 3, 1e300)] == [-1.0, 3.0, 10.0]


@pytest.mark.parametrize(
    ("found", "value", "invalid"),
    [(True, 1.0, False), (False, 0.0, False), (1, 1.0, False), (0.0, 0.0, False), (2, None, True), ("true", None, True)],
)
def test_a_flag_is_a_yes_or_no_or_1_or_0(found: object, value: float | None, invalid: bool) -> None:
    flag = field("$.x", FieldType.FLAG, worse=Worse.LOWER)
    assert measured({"x": found}, [flag]) == (Measured("field:mine", True, -1, value, invalid),)


ASKED = Asked({"x-country": "de"}, {"amount": 120, "user": {"kind": "new"}}, 7 * HOUR + 5)


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (Dimension(name="d", source=DimensionSource.HEADER, place="X-Country"), "de"),
        (Dimension(name="d", source=DimensionSource.HEADER, place="x-other"), NONE),
        (Dimension(name="d", source=DimensionSource.REQUEST, place="/user/kind"), "new"),
        (Dimension(name="d", source=DimensionSource.REQUEST, place="$.user"), '{"kind":"new"}'),
        (Dimension(name="d", source=DimensionSource.REQUEST, place="/nowhere"), NONE),
        (Dimension(name="d", source=DimensionSource.HOUR), "07"),
        (Dimension(name="d", source=DimensionSource.REQUEST, place="/amount", cuts=(10, 100.5)), ">=100.5"),
        (Dimension(name="d", source=DimensionSource.REQUEST, place="/amount", cuts=(120, 500)), "120..500"),
        (Dimension(name="d", source=DimensionSource.REQUEST, place="/amount", cuts=(121,)), "<121"),
        (Dimension(name="d", source=DimensionSource.HEADER, place="x-country", cuts=(121,)), NONE),
    ],
)
def test_a_request_has_one_value_in_each_dimension(dimension: Dimension, value: str) -> None:
    assert slices_of([dimension], ASKED) == (("d", value),)


def question(method: bytes = b"POST", target: bytes = b"/a", body: bytes = b"{}", size: int = 2) -> Request:
    return Request(method, target, b"application/json", b"", body, size)


def test_two_questions_are_the_same_only_if_method_target_and_body_are() -> None:
    asked = [question(), question(b"PUT"), question(target=b"/b"), question(body=b"[]"), question(b"POS", b"T/a")]
    assert len({digest_of(one) for one in asked}) == len(asked)
    assert digest_of(question()) == digest_of(question())


def test_a_question_that_was_not_recorded_whole_is_like_no_other() -> None:
    assert digest_of(question(size=3)) == ""
    assert document_of(question(size=3)) is ABSENT
