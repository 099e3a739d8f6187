"""Two JSON documents compared place by place. Pure.

A document is flattened to its leaves: `a.b`, `scores[0]`, and `$` for a document that is a leaf itself. An empty object or list is
a leaf. Names that hold more than letters, digits, `_` and `-` stand in brackets and quotes.
"""

import json
import math
import re

from modelctl.kinds.value import bounded

NUMBER_TOLERANCE = 1e-9
"""Model servers that compute the same thing in another order differ in the last digits."""

EQUAL, VALUE, TYPE, MISSING, EXTRA = "equal", "value", "type", "missing", "extra"
OTHER = "…"
MOST_PATHS = 100
MOST_LEAVES = 2_000
_DEEPEST = 64
_LONGEST = 160
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_NOTHING = object()


def differences(baseline: object, candidate: object) -> tuple[tuple[str, str], ...]:
    """The class of every path of the two, which may be one: equal, value, type, missing (the baseline alone has it) or extra.

    Of more than MOST_PATHS, the rest (in the order of their names) is one path, `…`, once with every class among it.
    """
    a = flat(baseline)
    if baseline is candidate:
        classes = [(path, EQUAL) for path in a]
    else:
        b = flat(candidate)
        classes = [(path, _class(a.get(path, _NOTHING), b.get(path, _NOTHING))) for path in a | b]
    if len(classes) <= MOST_PATHS:
        return tuple(classes)
    classes.sort()
    rest = sorted({(OTHER, found) for _, found in classes[MOST_PATHS:]})
    return (*classes[:MOST_PATHS], *rest)


def flat(document: object) -> dict[str, object]:
    """The leaves by path: the first MOST_LEAVES of them, and nothing deeper than 64 levels."""
    found: dict[str, object] = {}
    _flatten(document, "", depth=0, found=found)
    return found


def _flatten(value: object, path: str, *, depth: int, found: dict[str, object]) -> None:
    if len(found) >= MOST_LEAVES:
        return
    if not value or depth >= _DEEPEST or not isinstance(value, dict | list):
        found[path if path and path.isascii() and len(path) <= _LONGEST else bounded(path, _LONGEST) or "$"] = value
    elif isinstance(value, dict):
        for name in sorted(value):
            _flatten(value[name], _member(path, name), depth=depth + 1, found=found)
    else:
        for place, part in enumerate(value):
            _flatten(part, f"{path}[{place}]", depth=depth + 1, found=found)


def _member(path: str, name: str) -> str:
    if not name.isidentifier() and not _PLAIN.fullmatch(name):
        return f"{path}[{json.dumps(name)}]"
    return f"{path}.{name}" if path else name


def _class(a: object, b: object) -> str:
    if b is _NOTHING:
        return MISSING
    if a is _NOTHING:
        return EXTRA
    if _type(a) != _type(b):
        return TYPE
    return EQUAL if _same(a, b) else VALUE


def _same(a: object, b: object) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b or math.isclose(a, b, rel_tol=NUMBER_TOLERANCE)
    return a == b


def _type(value: object) -> str:
    """JSON's: a yes or no is no number, and 1 and 1.0 are the same."""
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__
