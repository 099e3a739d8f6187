import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.kinds.fields import MOST_LEAVES, FieldClass, Tolerance, compared, exact_match, flattened

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(10**400), 10**400), st.floats(), st.text(max_size=3))
NAMES = st.one_of(st.sampled_from(["a", "b", "a.b", "[0]", "", "$", '"']), st.text(max_size=2))
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=8
)
MIRROR = {FieldClass.MISSING: FieldClass.EXTRA, FieldClass.EXTRA: FieldClass.MISSING}


@given(DOCUMENTS)
def test_a_document_equals_itself_and_its_copy(document: object) -> None:
    classes = compared(document, json.loads(json.dumps(document)))
    assert exact_match(classes)
    assert set(classes) == set(flattened(document))


@given(DOCUMENTS, DOCUMENTS, st.sampled_from([0.0, 1e-6, 0.5]))
def test_the_comparison_is_symmetric_up_to_missing_and_extra(a: object, b: object, within: float) -> None:
    tolerance = Tolerance(relative=within, absolute=within)
    there, back = compared(a, b, tolerance=tolerance), compared(b, a, tolerance=tolerance)
    assert {path: MIRROR.get(kind, kind) for path, kind in there.items()} == back


@given(DOCUMENTS, DOCUMENTS)
def test_what_both_have_is_compared_and_the_rest_is_missing_or_extra(a: object, b: object) -> None:
    ours, theirs, classes = flattened(a), flattened(b), compared(a, b)
    assert set(ours.keys() & theirs.keys()) <= set(classes) <= set(ours | theirs)
    for path, kind in classes.items():
        assert (kind is FieldClass.MISSING) == (path not in theirs)
        assert (kind is FieldClass.EXTRA) == (path not in ours)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(), max_size=3), max_size=3))
def test_no_two_fields_share_a_path(document: dict[str, dict[str, int]]) -> None:
    leaves = sum(max(len(inner), 1) for inner in document.values())
    assert len(flattened(document)) == (leaves or 1)


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        (1, 1.0, "equal"),
        (0.0, -0.0, "equal"),
        (1, True, "type"),
        (0, False, "type"),
        (1, "1", "type"),
        (None, 0, "type"),
        (None, False, "type"),
        (None, None, "equal"),
        ("a", "A", "value"),
        ({}, [], "type"),
        ({}, {}, "equal"),
        ([], None, "type"),
        (float("nan"), float("nan"), "equal"),
        (float("inf"), 1e308, "value"),
        (2**53 + 1, 2**53, "value"),
        (10**400, 10**400 + 1, "value"),
        (10**400, 1.0, "value"),
    ],
)
def test_two_values_are_equal_or_differ_in_value_or_type(a: object, b: object, kind: str) -> None:
    assert compared({"x": a}, {"x": b}) == {"x": kind}
    assert compared(a, b) == {"$": kind}


def test_null_is_a_value_and_absent_is_not() -> None:
    assert compared({"x": None}, {}) == {"x": "missing"}
    assert compared({}, {"x": None}) == {"x": "extra"}


@pytest.mark.parametrize(
    ("a", "b", "relative", "absolute", "equal"),
    [
        (100.0, 100.1, 1e-3, 0.0, True),
        (100.0, 100.11, 1e-3, 0.0, False),
        (0.0, 1e-9, 1e-3, 0.0, False),
        (0.0, 1e-9, 0.0, 1e-9, True),
        (0, 2, 0.0, 1.0, False),
        (float("inf"), float("-inf"), 1.0, 1.0, False),
    ],
)
def test_numbers_are_equal_within_the_tolerance(a: float, b: float, relative: float, absolute: float, *, equal: bool) -> None:
    classes = compared([a], [b], tolerance=Tolerance(relative=relative, absolute=absolute))
    assert classes == {"[0]": "equal" if equal else "value"}


def test_paths_say_where_a_field_is() -> None:
    document: dict[str, Any] = {"a": {"b": [{"c": 1}, [2]]}, "d.e": {"": 3}, "f[0]": 4, "$": 5, "$ref": 6}
    assert flattened(document) == {"a.b[0].c": 1, "a.b[1][0]": 2, '["d.e"][""]': 3, '["f[0]"]': 4, '["$"]': 5, "$ref": 6}


def test_a_list_that_grew_has_extra_entries_and_one_that_emptied_misses_them() -> None:
    assert compared({"x": [1]}, {"x": [1, 2, {"y": 3}]}) == {"x[0]": "equal", "x[1]": "extra", "x[2].y": "extra"}
    assert compared({"x": [1]}, {"x": []}) == {"x[0]": "missing"}
    assert compared({"x": {"y": 1}}, {"x": [2]}) == {"x.y": "missing", "x[0]": "extra"}
    assert compared({"x": 1}, {"x": {"y": 1}}) == {"x": "missing", "x.y": "extra"}


def test_a_document_may_be_nested_deeper_than_the_stack() -> None:
    deep: object = 1
    for _ in range(20_000):
        deep = [deep]
    assert list(compared(deep, deep).values()) == ["equal"]
    assert list(compared(deep, 2).values()) == ["missing", "extra"] or list(compared(deep, 2).values()) == ["extra", "missing"]


def test_a_document_of_any_size_has_a_bounded_number_of_fields_with_paths_of_a_bounded_length() -> None:
    many = {f"x{number:05}": number for number in range(50_000)}
    assert len(compared(many, many)) == len(flattened(many)) == MOST_LEAVES
    assert len(compared(many, {})) == MOST_LEAVES
    long = {"x" * 100_000: 1, "x" * 100_001: 2}
    assert {len(path) for path in compared(long, long)} == {160}


def test_an_object_that_emptied_misses_its_fields_alone() -> None:
    assert compared({"x": {"y": 1}}, {"x": {}}) == {"x.y": "missing"}
    assert compared([], [{}]) == {"[0]": "extra"}
    assert compared({"x": []}, {"x": {"y": 1}}) == {"x": "missing", "x.y": "extra"}
