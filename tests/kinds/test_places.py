"""Where each kind looks for the prediction."""

import struct

import pytest

from modelctl.errors import InvalidInput
from modelctl.kinds import KINDS, Value, kind_named
from tests.kinds.answers import extract

DOCUMENT = {"a/b": {"~": ["zero", "one"]}, "": "empty name", "rows": [{"y": 1, "score": 0.5}, {"y": 0, "score": 0.25}]}


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/a~1b/~0/1", ["one"]),
        ("/", ["empty name"]),
        ("/a~1b/~0", ["zero", "one"]),
        ("$['a/b']['~'][-1]", ["one"]),
        ("$['a/b']['~']", ["zero", "one"]),
        ("$.rows[*].y", ["1", "0"]),
        ("$.rows[?@.score > 0.3].y", ["1"]),
        ("$..y", ["1", "0"]),
    ],
)
def test_a_pointer_or_a_jsonpath_leads_to_the_prediction(path: str, labels: list[str]) -> None:
    assert [value.label for value in extract(DOCUMENT, prediction=path).values] == labels


def test_a_jsonpath_that_selects_many_takes_the_score_beside_each() -> None:
    assert extract(DOCUMENT, prediction="$.rows[*].y").values[1] == Value(label="0", probability=0.25)


def test_a_jsonpath_that_selects_many_gives_one_instance_even_for_one() -> None:
    assert extract({"predictions": [[1, 2]]}, prediction="$.predictions[*]").values == (Value(text="[1,2]"),)


def test_a_filter_that_ends_in_a_name_leads_to_a_list_of_instances() -> None:
    document = {"outputs": [{"name": "other", "data": [9]}, {"name": "predict", "data": [1, 0]}]}
    path = "$.outputs[?@.name=='predict'].data"
    assert extract(document, prediction=path).values == (Value(label="1"), Value(label="0"))


@pytest.mark.parametrize("path", ["/nothing", "/a~1b/~0/2", "/a~1b/~0/-", "/a~1b/~0/01", "/rows/y", "$.nothing", "$.rows[7]"])
def test_a_path_that_leads_nowhere_is_a_problem_that_says_what_is_there(path: str) -> None:
    extraction = extract(DOCUMENT, prediction=path)
    assert extraction.values == ()
    assert f"nothing at {path}" in extraction.problem
    assert "rows" in extraction.problem


@pytest.mark.parametrize("path", ["label", "/a~2", "$[", "$.a[?", "$." + "a[" * 2000])
def test_a_place_that_is_none_is_refused_and_is_a_problem_when_used(path: str) -> None:
    with pytest.raises(InvalidInput):
        kind_named("json").check(path)
    assert extract({"label": 1}, prediction=path).values == ()


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_accepts_no_place_a_pointer_and_a_jsonpath(name: str) -> None:
    kind = kind_named(name)
    for place in ("", "/predictions", "$.predictions[*]", kind.default_prediction):
        kind.check(place)
    with pytest.raises(InvalidInput):
        kind.check("$[")


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="use one of json, v1, v2"):
        kind_named("v3")


@pytest.mark.parametrize("name", ["predictions", "prediction", "label", "outputs", "output", "result", "score", "predicted_class"])
def test_kind_json_without_a_path_looks_at_the_usual_places(name: str) -> None:
    assert extract({"id": 5, name: "cat"}).values == (Value(label="cat"),)


@pytest.mark.parametrize("name", ["predictions", "outputs", "results", "result"])
def test_kind_v1_reads_one_value_per_instance_under_every_name_its_servers_use(name: str) -> None:
    assert extract({name: [0.25, 0.75]}, "v1").values == (Value(number=0.25), Value(number=0.75))
    assert extract({name: [[0.25, 0.75]]}, "v1").values == (Value(label="1", probability=0.75),)


def test_kind_v1_takes_a_list_at_a_path_for_one_entry_per_instance() -> None:
    assert extract({"predictions": [0.25, 0.75]}, "v1", prediction="/predictions").values == (
        Value(number=0.25),
        Value(number=0.75),
    )


@pytest.mark.parametrize(
    "document",
    [
        {"predictions": [{"classes": "a", "score": 0.5}, {"classes": "b", "score": 0.25}]},
        {"outputs": {"classes": ["a", "b"], "logits": [1.5, 2.5]}},
    ],
)
def test_kind_v1_picks_a_named_output_by_rows_and_by_columns(document: object) -> None:
    assert [value.label for value in extract(document, "v1", prediction="classes").values] == ["a", "b"]


@pytest.mark.parametrize(
    ("document", "prediction", "says"),
    [
        ([1], "", "its kind may be json"),
        ({"label": 1}, "", "label"),
        ({"outputs": {"a": [1], "b": [2]}}, "", "name of one of these: a, b"),
        ({"outputs": {"a": [1]}}, "c", "no output 'c'"),
        ({"predictions": [{"a": 1}, 2]}, "a", "no output 'a'"),
    ],
)
def test_kind_v1_says_what_is_missing(document: object, prediction: str, *, says: str) -> None:
    extraction = extract(document, "v1", prediction=prediction)
    assert extraction.values == ()
    assert says in extraction.problem


def output(name: str, datatype: str, *, shape: object, data: object) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "values"),
    [
        ("INT64", [2, 1], [1, 0], (Value(label="1"), Value(label="0"))),
        ("UINT8", [1], [3.0], (Value(label="3"),)),
        ("BOOL", [2], [True, 0], (Value(label="true"), Value(label="false"))),
        ("BYTES", [1, 1], ["cat"], (Value(label="cat"),)),
        ("FP32", [2, 1], [1, 0.5], (Value(number=1.0), Value(number=0.5))),
        ("FP64", [2, 2], [0.25, 0.75, 1, 0], (Value(label="1", probability=0.75), Value(label="0", probability=1.0))),
        ("FP64", [1, 2, 1], [[[3.5], [4.5]]], (Value(text="[3.5,4.5]"),)),
        ("INT32", [1, 2], [0, 1], (Value(text="[0,1]"),)),
        ("FP32", [], [0.5], (Value(number=0.5),)),
        ("FP32", None, [0.5, 1.5], (Value(number=0.5), Value(number=1.5))),
    ],
)
def test_kind_v2_reads_a_tensor_by_its_datatype_and_shape(
    datatype: str, shape: object, *, data: object, values: tuple[Value, ...]
) -> None:
    assert extract({"outputs": [output("y", datatype, shape=shape, data=data)]}, "v2").values == values


def test_kind_v2_prefers_outputs_named_like_predictions_and_then_the_first() -> None:
    first, label, predict = (output(name, "INT64", shape=[1], data=[n]) for n, name in enumerate(["first", "label", "predict"]))
    assert extract({"outputs": [first, label, predict]}, "v2").values == (Value(label="2"),)
    assert extract({"outputs": [first, label]}, "v2").values == (Value(label="1"),)
    assert extract({"outputs": [first]}, "v2").values == (Value(label="0"),)
    assert extract({"outputs": [first, label]}, "v2", prediction="first").values == (Value(label="0"),)


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (output("y", "FP32", shape=[3], data=[1.5]), "its shape is for another number"),
        (output("y", "FP32", shape=[-1], data=[1.5]), "not a list of at most 8 whole numbers"),
        (output("y", "FP32", shape="1", data=[1.5]), "not a list of at most 8 whole numbers"),
        (output("y", "FP32", shape=[1], data=None), "no `data`"),
        (output("y", "FP32", shape=[0, 2], data=[]), "empty"),
        (output("y", "FP64", shape=[1], data=[None]), "not a number"),
        (output("y", "FP64", shape=[1], data=[[[[[[[[[1.5]]]]]]]]]), "nested deeper"),
        ({"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}, "4 bytes of binary data, and 0"),
    ],
)
def test_kind_v2_refuses_a_tensor_that_contradicts_itself(tensor: dict[str, object], says: str) -> None:
    extraction = extract({"outputs": [tensor]}, "v2")
    assert extraction.values == ()
    assert says in extraction.problem


@pytest.mark.parametrize(
    ("document", "says"), [({"outputs": []}, "its kind may be"), ([1], "its kind may be"), ({"outputs": [1]}, "its kind")]
)
def test_kind_v2_says_when_the_server_speaks_something_else(document: object, says: str) -> None:
    assert says in extract(document, "v2").problem


def test_kind_v2_names_the_outputs_there_are() -> None:
    assert "one of these: y" in extract({"outputs": [output("y", "FP32", shape=[1], data=[1.5])]}, "v2", prediction="z").problem


def binary(datatype: str, blob: bytes, *, shape: list[int]) -> bytes:
    """A body with a decoy in front, so that the part of the tail that counts does not begin at its start."""
    decoy = '{"name":"ü","datatype":"INT8","shape":[3],"parameters":{"binary_data_size":3}}'.encode()
    head = b'{"name":"label","datatype":"%s","shape":%s,"parameters":{"binary_data_size":%d}}'
    wanted = head % (datatype.encode(), str(shape).encode(), len(blob))
    return b' {"outputs":[' + decoy + b"," + wanted + b"]}" + b"\x00}\xff" + blob


@pytest.mark.parametrize(
    ("datatype", "blob", "values"),
    [
        ("INT8", struct.pack("<bb", -1, 5), (Value(label="-1"), Value(label="5"))),
        ("UINT64", struct.pack("<QQ", 2**63, 5), (Value(label=str(2**63)), Value(label="5"))),
        ("BOOL", b"\x01\x00", (Value(label="true"), Value(label="false"))),
        ("FP16", struct.pack("<ee", 0.5, 2), (Value(number=0.5), Value(number=2.0))),
        ("FP32", struct.pack("<ff", 0.5, 2), (Value(number=0.5), Value(number=2.0))),
        ("FP64", struct.pack("<dd", 0.1, 2), (Value(number=0.1), Value(number=2.0))),
        ("BYTES", b"\x03\0\0\0cat\x02\0\0\0\xc3\xbc", (Value(label="cat"), Value(label="ü"))),
    ],
)
def test_kind_v2_reads_tritons_binary_tail(datatype: str, blob: bytes, *, values: tuple[Value, ...]) -> None:
    assert extract(binary(datatype, blob, shape=[2, 1]), "v2").values == values


@pytest.mark.parametrize(
    ("datatype", "blob", "says"),
    [
        ("BF16", b"\0\0", "datatype 'BF16' are not read"),
        ("FP64", b"\0" * 15, "not whole FP64 elements"),
        ("BYTES", b"\x09\0\0\0cat", "end too early"),
        ("FP32", struct.pack("<f", float("nan")), "not a number"),
    ],
)
def test_a_binary_tail_that_cannot_be_read_is_a_problem(datatype: str, blob: bytes, *, says: str) -> None:
    extraction = extract(binary(datatype, blob, shape=[1]), "v2")
    assert extraction.values == ()
    assert says in extraction.problem
