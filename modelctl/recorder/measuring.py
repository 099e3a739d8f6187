"""A route's own metrics, read from an answer. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from modelctl.errors import ModelctlError
from modelctl.kinds.document import ABSENT
from modelctl.kinds.place import values_at
from modelctl.metric import Field, FieldType, Worse

# The square of a larger number is no finite float.
SUMMABLE = 1e150


class Measured(NamedTuple):
    """What one answer says of the metric `name`: a value, or none; `invalid` when something else stood in its place.

    `harm` is 1 when more of it is worse, else -1.
    """

    name: str
    flag: bool
    harm: int = 1
    value: float | None = None
    invalid: bool = False


def measured(document: object, fields: Sequence[Field]) -> tuple[Measured, ...]:
    """Every declared metric, in the order of `fields`."""
    return tuple([_measured(document, field) for field in fields])


def _measured(document: object, field: Field) -> Measured:
    name, flag = f"field:{field.name}", field.type is FieldType.FLAG
    harm = -1 if field.worse is Worse.LOWER else 1
    try:
        found = [] if document is ABSENT else values_at(field.path, document)
    except ModelctlError:
        found = []
    if not found:
        return Measured(name, flag, harm)
    value = _flag(found) if flag else _number(found, field)
    return Measured(name, flag, harm, value, invalid=value is None)


def _flag(found: Sequence[object]) -> float | None:
    """Yes or no; several instances have none of their own."""
    first = found[0]
    return float(first) if len(found) == 1 and isinstance(first, bool | int | float) and first in (0, 1) else None


def _number(found: Sequence[object], field: Field) -> float | None:
    """The mean of the instances, each within the declared bounds: a request counts once."""
    numbers = [_bounded(value, field) for value in found]
    if any(number is None for number in numbers):
        return None
    mean = math.fsum(number / len(numbers) for number in numbers if number is not None)
    return mean if abs(mean) < SUMMABLE else None


def _bounded(value: object, field: Field) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    if field.low is not None and number < field.low:
        return field.low
    return field.high if field.high is not None and number > field.high else number
