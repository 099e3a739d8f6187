"""Two JSON documents, field by field: what is equal, and how the rest differs.

A field is a leaf, named by its path: `meta.tags[0].name`. A name that holds one of `.[]"` or is empty stands as `["a.b"]`, so that
no two fields have one path; a document that is a single value has the path `$`. An empty object or list is a leaf.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

ROOT = "$"
"""The path of a document that is a single value."""

_PLAIN = re.compile(r'(?!\$$)[^.\[\]"]+')


class FieldClass(StrEnum):
    """How the candidate's field compares: `missing` is absent from the candidate, `extra` from the baseline."""

    EQUAL = "equal"
    VALUE = "value"
    TYPE = "type"
    MISSING = "missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Numbers are equal when |a - b| <= absolute + relative max(|a|, |b|)."""

    relative: float = 0.0
    absolute: float = 0.0


EXACT = Tolerance()


class _Absent:
    """Stands where a document has nothing: null is a value."""


_ABSENT = _Absent()


def compared(baseline: object, candidate: object, *, tolerance: Tolerance = EXACT) -> dict[str, FieldClass]:
    """The class of every field that either document has, by path, in the order of the paths.

    Null is a value, absent is not. Whole numbers and others are one type: 1 equals 1.0; true is no number.
    """
    found: dict[str, FieldClass] = {}
    waiting: list[tuple[str, object, object]] = [("", baseline, candidate)]
    while waiting:
        path, a, b = waiting.pop()
        if _both_of(dict, a, b=b) or _both_of(list, a, b=b):
            ours, theirs = _parts(path, a), _parts(path, b)
            waiting += [(at, ours.get(at, _ABSENT), theirs.get(at, _ABSENT)) for at in ours | theirs]
        elif _is_leaf(a) and _is_leaf(b):
            found[path or ROOT] = _leaf_class(a, b, tolerance=tolerance)
        else:
            found |= {at: FieldClass.MISSING for at, _ in _leaves(path, a)} | {at: FieldClass.EXTRA for at, _ in _leaves(path, b)}
    return dict(sorted(found.items()))


def flattened(document: object) -> dict[str, object]:
    """The leaves of a document, by path: strings, numbers, true, false, null, empty objects and empty lists."""
    return dict(_leaves("", document))


def exact_match(classes: dict[str, FieldClass]) -> bool:
    """Whether every field is equal."""
    return all(kind is FieldClass.EQUAL for kind in classes.values())


def _both_of(kind: type, a: object, *, b: object) -> bool:
    """Whether both are of this kind of container, and at least one has something in it."""
    return isinstance(a, kind) and isinstance(b, kind) and bool(a or b)


def _is_leaf(value: object) -> bool:
    return value is not _ABSENT and not (isinstance(value, dict | list) and value)


def _leaves(path: str, document: object) -> Iterator[tuple[str, object]]:
    waiting = [] if document is _ABSENT else [(path, document)]
    while waiting:
        at, value = waiting.pop()
        if _is_leaf(value):
            yield at or ROOT, value
        else:
            waiting += _parts(at, value).items()


def _parts(path: str, container: object) -> dict[str, object]:
    """The direct parts of an object or a list, by path."""
    if isinstance(container, dict):
        return {_member(path, str(name)): value for name, value in container.items()}
    return {f"{path}[{index}]": value for index, value in enumerate(container)} if isinstance(container, list) else {}


def _member(path: str, name: str) -> str:
    if not _PLAIN.fullmatch(name):
        return f"{path}[{json.dumps(name, ensure_ascii=False)}]"
    return f"{path}.{name}" if path else name


def _leaf_class(a: object, b: object, *, tolerance: Tolerance) -> FieldClass:
    if _type_name(a) != _type_name(b):
        return FieldClass.TYPE
    if isinstance(a, int | float) and isinstance(b, int | float):
        return FieldClass.EQUAL if _near(a, b, tolerance=tolerance) else FieldClass.VALUE
    return FieldClass.EQUAL if a == b else FieldClass.VALUE


def _type_name(value: object) -> str:
    names: dict[type, str] = {bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), type(value).__name__)


def _near(a: float, b: float, *, tolerance: Tolerance) -> bool:
    """Whether two numbers are equal within the tolerance. NaN, which some servers write, is equal to itself alone."""
    if a == b or (a != a and b != b):
        return True
    try:
        gap, largest = abs(a - b), float(max(abs(a), abs(b)))
    except OverflowError:
        return False
    return math.isfinite(largest) and gap <= tolerance.absolute + tolerance.relative * largest
