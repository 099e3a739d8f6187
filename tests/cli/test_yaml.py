"""YAML is written so that every reader gets back exactly the JSON value."""

import json

from hypothesis import given
from hypothesis import strategies as st

from modelctl.cli.yaml_text import yaml_text

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def test_nested_values_are_blocks() -> None:
    value = {"items": [{"name": "a", "shares": [1, 2], "none": []}, "x"], "next": None}
    assert yaml_text(value) == (
        '"items":\n  - "name": "a"\n    "shares":\n      - 1\n      - 2\n    "none": []\n  - "x"\n"next": null\n'
    )


@given(SCALARS)
def test_a_scalar_is_its_json_which_is_yaml(value: object) -> None:
    assert json.loads(yaml_text(value)) == value


@given(VALUES)
def test_every_line_is_indentation_markers_and_json_scalars(value: object) -> None:
    for line in yaml_text(value).split("\n")[:-1]:
        rest = line.lstrip(" ")
        while rest.startswith("- "):
            rest = rest[2:].lstrip(" ")
        if rest.endswith(":"):
            assert isinstance(json.loads(rest[:-1]), str)
            continue
        decoded, end = json.JSONDecoder().raw_decode(rest)
        if rest[end:]:
            assert isinstance(decoded, str)
            assert rest[end : end + 2] == ": "
            json.loads(rest[end + 2 :])
