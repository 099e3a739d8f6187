"""What a filter's words mean, and that any other words are refused with what to write."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.controlplane.filtering import NAMES, Filter, Slicing, parse_filter
from modelctl.errors import InvalidInput
from modelctl.store.searching import Term


def test_conditions_are_of_columns_or_of_the_routes_dimensions() -> None:
    found = parse_filter(
        'arm=fraud-v7 and latency >= 250ms AND device="smart tv" and agree!=yes and clinic!=north', ["device", "clinic"]
    )
    assert found == Filter(
        (Term("arm", "=", "fraud-v7"), Term("latency_us", ">=", 250_000), Term("agree", "=", 0.0)),
        (Slicing("device", "smart tv"), Slicing("clinic", "north", equal=False)),
    )
    assert parse_filter(" ", []) == Filter()
    assert parse_filter("number<-1.5 and request=r-1", []).terms == (Term("number", "<", -1.5), Term("request_id", "=", "r-1"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("armed=a", "there are arm, outcome"),
        ("device=tv", "nothing is named 'device'"),
        ("arm<a", "by = and != alone"),
        ("status=ok", "status is a number"),
        ("latency>250", "latency is a time such as 250ms"),
        ("agree=maybe", "agree=yes or agree=no"),
        ("arm=a or arm=b", "join conditions by `and`"),
        ("arm=a outcome=ok", "join conditions by `and`"),
        ("just words", "no condition"),
        ("arm=a and ", "no condition"),
        ("; drop table", "no condition"),
        (" and ".join(["status=1"] * 21), "at most 20"),
        ("x" * 2_001, "at most 2000"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_filter(text, ["clinic"])


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_sentence(text: str) -> None:
    with suppress(InvalidInput):
        assert len(parse_filter(text, ["device"]).terms) < 21


@given(st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), max_size=30))
def test_a_quoted_value_is_taken_as_it_is(value: str) -> None:
    assert parse_filter(f'label="{value}"', []).terms == (Term("label", "=", value),)


def test_every_name_is_understood() -> None:
    values = {"latency": "1s", "agree": "no"}
    for name in NAMES:
        assert parse_filter(f"{name}={values.get(name, '1')}", []).terms
