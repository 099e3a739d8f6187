"""In which slices of the traffic a request lies: one value for each declared dimension. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from modelctl.errors import ModelctlError
from modelctl.kinds.document import ABSENT
from modelctl.kinds.place import values_at
from modelctl.kinds.value import bounded, number_text
from modelctl.metric import Dimension, DimensionSource

NONE = "(none)"
_LONGEST = 64
_HOUR = 3_600_000_000


class Asked(NamedTuple):
    """What a request can be sliced by: its captured header fields by lower-case name, its JSON document, its Unix microsecond."""

    headers: Mapping[str, str]
    document: object
    at: int


def slices_of(dimensions: Sequence[Dimension], asked: Asked) -> tuple[tuple[str, str], ...]:
    """The name of each dimension with the request's value in it; NONE where it has none."""
    return tuple([(dimension.name, _value(dimension, asked)) for dimension in dimensions])


def wants_document(dimensions: Sequence[Dimension]) -> bool:
    """Whether a request's body has to be read for its slices."""
    return any(dimension.source is DimensionSource.REQUEST for dimension in dimensions)


def _value(dimension: Dimension, asked: Asked) -> str:
    if dimension.source is DimensionSource.HOUR:
        return f"{asked.at // _HOUR % 24:02}"
    if dimension.source is DimensionSource.HEADER:
        found: object = asked.headers.get(dimension.place.lower())
    else:
        found = _at(dimension.place, asked.document)
    return NONE if found is None else bounded(_range(found, dimension.cuts), _LONGEST)


def _at(path: str, document: object) -> object:
    """What stands at `path`; None for nothing, or for more than one value."""
    if document is ABSENT:
        return None
    try:
        found = values_at(path, document)
    except ModelctlError:
        return None
    return found[0] if len(found) == 1 else None


def _range(value: object, cuts: Sequence[float]) -> str:
    """A value as text; with `cuts`, a number as the range it lies in, its lower end included."""
    if not cuts:
        return _text(value)
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or number != number:
        return NONE
    place = bisect_right(cuts, number)
    if place == 0:
        return f"<{number_text(cuts[0])}"
    return f">={number_text(cuts[-1])}" if place == len(cuts) else f"{number_text(cuts[place - 1])}..{number_text(cuts[place])}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return number_text(value)
    return msgspec.json.encode(value, order="sorted").decode()
