"""Tensors of the Open Inference Protocol: their elements from JSON, or from the binary tail that Triton writes.

A binary tail stands behind the JSON document in the same body: the elements of every output that has a `binary_data_size`,
one output after the other, row by row, little-endian (Triton's binary tensor data extension). The header field that tells
where it begins is not needed, since the document itself tells where it ends.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from modelctl.errors import Corrupt
from modelctl.kinds.answer_body import decoder, parsed

_FORMATS: Mapping[str, str] = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
_TAIL_MARK = b'"binary_data_size"'
_RANK_LIMIT = 8


class Tensor(NamedTuple):
    """One output. `rows` holds the elements of each instance, row-major."""

    name: str
    datatype: str
    rows: Sequence[Sequence[object]]


def split_tail(body: bytes) -> tuple[object, bytes]:
    """The JSON document of a body and the bytes behind it. Raises Corrupt."""
    if _TAIL_MARK not in body:
        return parsed(body), b""
    text = body.decode("latin-1")
    start = len(text) - len(text.lstrip())
    try:
        _, end = decoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return parsed(body), b""
    return parsed(body[:end]), body[end:]


def tail_parts(outputs: Sequence[Mapping[str, object]], tail: bytes) -> list[bytes | None]:
    """The part of the tail that belongs to each output, or None for one whose elements are in the JSON. Raises Corrupt."""
    parts: list[bytes | None] = []
    offset = 0
    for output in outputs:
        parameters = output.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if type(size) is not int or "data" in output:
            parts.append(None)
            continue
        if size < 0 or offset + size > len(tail):
            raise Corrupt(f"the answer announces {size} bytes of binary data, and {len(tail) - offset} are left")
        parts.append(tail[offset : offset + size])
        offset += size
    return parts


def tensor(output: Mapping[str, object], binary: bytes | None) -> Tensor:
    """The tensor of one entry of `outputs`. Raises Corrupt when its shape, type and elements do not fit each other."""
    name, datatype = str(output.get("name", ""))[:80], str(output.get("datatype", ""))[:20]
    data = output.get("data")
    if binary is not None:
        elements: list[object] = _unpacked(binary, datatype)
    elif isinstance(data, list):
        elements = _flat(data)
    else:
        raise Corrupt(f"the output {name!r} has no `data`")
    if datatype == "BOOL":
        elements = [bool(element) if element in (0, 1) else element for element in elements]
    return Tensor(name, datatype, _rows(elements, output.get("shape"), name=name))


def _rows(elements: list[object], shape: object, *, name: str) -> list[list[object]]:
    if shape is None:
        shape = [len(elements)]
    if not isinstance(shape, list) or len(shape) > _RANK_LIMIT or not all(type(side) is int and side >= 0 for side in shape):
        raise Corrupt(f"the shape of output {name!r} is not a list of at most {_RANK_LIMIT} whole numbers")
    if math.prod(shape) != len(elements):
        raise Corrupt(f"the output {name!r} has {len(elements)} elements, and its shape is for another number of them")
    width = math.prod(shape[1:])
    return [elements[start : start + width] for start in range(0, len(elements), max(width, 1))]


def _flat(data: list[object]) -> list[object]:
    """The protocol wants a flat list and allows a nested one."""
    for _ in range(_RANK_LIMIT):
        if not data or not isinstance(data[0], list):
            return data
        data = [element for row in data for element in (row if isinstance(row, list) else [row])]
    raise Corrupt(f"the data of an output is nested deeper than {_RANK_LIMIT} lists")


def _unpacked(binary: bytes, datatype: str) -> list[object]:
    if datatype == "BYTES":
        return _strings(binary)
    if datatype not in _FORMATS:
        raise Corrupt(f"binary elements of the datatype {datatype!r} are not read: ask the server for JSON (binary_data: false)")
    try:
        return [element for (element,) in struct.iter_unpack(f"<{_FORMATS[datatype]}", binary)]
    except struct.error as error:
        raise Corrupt(f"the binary data of an output is not whole {datatype} elements: {error}") from None


def _strings(binary: bytes) -> list[object]:
    """Each string is preceded by its length, four bytes."""
    strings: list[object] = []
    offset = 0
    while offset < len(binary):
        start = offset + 4
        offset = start + int.from_bytes(binary[offset:start], "little")
        if offset > len(binary):
            raise Corrupt("the binary strings of an output end too early")
        strings.append(binary[start:offset].decode("utf-8", "replace"))
    return strings
