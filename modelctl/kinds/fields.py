"""Two JSON documents, field by field: what is equal, and how the rest differs. Pure.

A field is a leaf, named by its path: `meta.tags[0].name`, and `$` for a document that is a leaf itself. An empty object or list is
a leaf. Names that hold more than letters, digits, `_` and `-` behind an optional `$` stand in brackets and quotes, so that no two
fields have one path. Documents may be anybody's: what is nested deeper than DEEPEST levels is one leaf, a document has MOST_LEAVES
leaves at the most (the first by name), and a path that is too long ends in a digest.
"""

import json
import math
import re
from dataclasses import dataclass
from enum import StrEnum

from modelctl.kinds.value import bounded

ROOT = "$"
"""The path of a document that is a single value."""

MOST_LEAVES = 2_000
DEEPEST = 64
_LONGEST = 160
_PLAIN = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)


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


def compared(baseline: object, candidate: object, *, tolerance: Tolerance = EXACT) -> dict[str, FieldClass]:
    """The class of every field that either document has, by path, in the order of the paths.

    Null is a value, absent is not. Whole numbers and others are one type: 1 equals 1.0; true is no number.
    """
    return dict(sorted(classes(baseline, candidate, tolerance=tolerance)))


def classes(baseline: object, candidate: object, *, tolerance: Tolerance = EXACT) -> list[tuple[str, FieldClass]]:
    """The same as pairs, in no order."""
    walk = _Walk(tolerance)
    walk.pair(baseline, candidate, path="", depth=0)
    return walk.found


def flattened(document: object) -> dict[str, object]:
    """The leaves of a document, by path: strings, numbers, true, false, null, empty objects and empty lists."""
    found: dict[str, object] = {}
    _flatten(document, "", depth=0, found=found)
    return found


def exact_match(found: dict[str, FieldClass]) -> bool:
    """Whether every field is equal."""
    return all(kind is FieldClass.EQUAL for kind in found.values())


class _Walk:
    """One walk through both documents at once."""

    __slots__ = ("_tolerance", "found")

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self.found: list[tuple[str, FieldClass]] = []

    def pair(self, a: object, b: object, *, path: str, depth: int) -> None:
        """What both documents have at `path`."""
        if len(self.found) >= MOST_LEAVES:
            return
        inside = depth < DEEPEST and (a or b)
        if inside and isinstance(a, dict) and isinstance(b, dict):
            self._objects(a, b, path=path, depth=depth + 1)
        elif inside and isinstance(a, list) and isinstance(b, list):
            self._lists(a, b, path=path, depth=depth + 1)
        elif inside and (_is_full(a) or _is_full(b)):
            self._alone(a, FieldClass.MISSING, path=path, depth=depth)
            self._alone(b, FieldClass.EXTRA, path=path, depth=depth)
        else:
            self.found.append((_place(path), _class_of(a, b, tolerance=self._tolerance)))

    def _objects(self, a: dict[str, object], b: dict[str, object], *, path: str, depth: int) -> None:
        for name in sorted(a if a.keys() == b.keys() else a.keys() | b.keys()):
            at = _member(path, name)
            if name not in b:
                self._alone(a[name], FieldClass.MISSING, path=at, depth=depth)
            elif name not in a:
                self._alone(b[name], FieldClass.EXTRA, path=at, depth=depth)
            else:
                self.pair(a[name], b[name], path=at, depth=depth)

    def _lists(self, a: list[object], b: list[object], *, path: str, depth: int) -> None:
        both = min(len(a), len(b))
        for place in range(both):
            self.pair(a[place], b[place], path=f"{path}[{place}]", depth=depth)
        kind, rest = (FieldClass.MISSING, a) if len(a) > both else (FieldClass.EXTRA, b)
        for place in range(both, len(rest)):
            self._alone(rest[place], kind, path=f"{path}[{place}]", depth=depth)

    def _alone(self, value: object, kind: FieldClass, *, path: str, depth: int) -> None:
        """What only one of them has."""
        if len(self.found) < MOST_LEAVES:
            leaves: dict[str, object] = {}
            _flatten(value, path, depth=depth, found=leaves)
            self.found += [(at, kind) for at in leaves]


def _is_full(value: object) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _flatten(value: object, path: str, *, depth: int, found: dict[str, object]) -> None:
    if len(found) >= MOST_LEAVES:
        return
    if not value or depth >= DEEPEST or not isinstance(value, dict | list):
        found[_place(path)] = value
    elif isinstance(value, dict):
        for name in sorted(value):
            _flatten(value[name], _member(path, name), depth=depth + 1, found=found)
    else:
        for place, part in enumerate(value):
            _flatten(part, f"{path}[{place}]", depth=depth + 1, found=found)


def _place(path: str) -> str:
    return path if path and path.isascii() and len(path) <= _LONGEST else bounded(path, _LONGEST) or ROOT


def _member(path: str, name: str) -> str:
    if not name.isidentifier() and not _PLAIN.fullmatch(name):
        return f"{path}[{json.dumps(name)}]"
    return f"{path}.{name}" if path else name


def _class_of(a: object, b: object, *, tolerance: Tolerance) -> FieldClass:
    if _type_of(a) != _type_of(b):
        return FieldClass.TYPE
    if isinstance(a, int | float) and isinstance(b, int | float):
        return FieldClass.EQUAL if _near(a, b, tolerance=tolerance) else FieldClass.VALUE
    return FieldClass.EQUAL if a == b else FieldClass.VALUE


def _type_of(value: object) -> str:
    """JSON's: a yes or no is no number, and 1 and 1.0 are the same."""
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _near(a: float, b: float, *, tolerance: Tolerance) -> bool:
    """Whether two numbers are equal within the tolerance. NaN, which some servers write, is equal to itself alone."""
    if a == b or (a != a and b != b):
        return True
    try:
        gap, largest = abs(a - b), float(max(abs(a), abs(b)))
    except OverflowError:
        return False
    return math.isfinite(largest) and gap <= tolerance.absolute + tolerance.relative * largest
