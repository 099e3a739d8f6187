"""What somebody looks for among predictions, from words: `arm=fraud-v7 and latency>250ms and device=phone`. Pure.

    filter = term { "and" term }
    term   = name relation value        relation: = != < <= > >=        value: a word, or anything in double quotes

A name that is no column is that of one of the route's dimensions, as in `modelctl report --slice DIMENSION=VALUE`.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from modelctl.errors import InvalidInput
from modelctl.store.searching import AGREE, Term

_TERM = re.compile(r"""\s*(?P<name>[A-Za-z_][\w.-]*)\s*(?P<relation>!=|<=|>=|=|<|>)\s*(?:"(?P<quoted>[^"]*)"|(?P<word>[^\s"]+))""")
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_MOST_TERMS, _LONGEST = 20, 2_000
_TEXTS: Mapping[str, str] = {
    **{name: name for name in ("arm", "outcome", "role", "reason", "label", "unit", "method", "failure")},
    "request": "request_id",
    "id": "id",
}
_NUMBERS: Mapping[str, str] = {
    **{name: name for name in ("status", "number", "attempts", "rollout", "stage")},
    "latency": "latency_us",
}
_MICROSECONDS: Mapping[str, float] = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000}
NAMES = (*_TEXTS, *_NUMBERS, AGREE)


class Slicing(msgspec.Struct, frozen=True):
    """A dimension's value that a request has, or has not."""

    dimension: str
    value: str
    equal: bool = True


class Filter(msgspec.Struct, frozen=True):
    """`terms` are for the database; `slices` are found by reading requests."""

    terms: tuple[Term, ...] = ()
    slices: tuple[Slicing, ...] = ()


def parse_filter(text: str, dimensions: Sequence[str]) -> Filter:
    """What `text` says of predictions of a route with these dimensions. Raises InvalidInput."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"a filter has at most {_LONGEST} characters")
    found = [_read(term, dimensions) for term in _split(text)] if text.strip() else []
    if len(found) > _MOST_TERMS:
        raise InvalidInput(f"a filter has at most {_MOST_TERMS} conditions")
    return Filter(tuple(one for one in found if isinstance(one, Term)), tuple(one for one in found if isinstance(one, Slicing)))


def _split(text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    place = 0
    while True:
        term = _TERM.match(text, place)
        if term is None:
            raise InvalidInput(f"{text[place:].strip()!r} is no condition: write NAME=VALUE, such as arm=fraud-v7 or latency>250ms")
        found.append(term)
        place = term.end()
        if not text[place:].strip():
            return found
        joint = _AND.match(text, place)
        if joint is None:
            raise InvalidInput(f"join conditions by `and`, and put a value with spaces in double quotes: {text[place:].strip()!r}")
        place = joint.end()


def _read(found: re.Match[str], dimensions: Sequence[str]) -> Term | Slicing:
    name, relation = found["name"], found["relation"]
    value = found["word"] if found["quoted"] is None else found["quoted"]
    if name in _NUMBERS:
        return Term(_NUMBERS[name], relation, _latency(value) if name == "latency" else _number(name, value))
    if relation not in ("=", "!="):
        raise InvalidInput(f"{name} is compared by = and != alone; by size: {', '.join(_NUMBERS)}")
    if name == AGREE:
        return Term(AGREE, "=", float(_agrees(value) == (relation == "=")))
    if name in _TEXTS:
        return Term(_TEXTS[name], relation, value)
    if name in dimensions:
        return Slicing(name, value, relation == "=")
    declared = f"; dimensions of this route: {', '.join(dimensions)}" if dimensions else ""
    raise InvalidInput(f"nothing is named {name!r}; there are {', '.join(NAMES)}{declared}")


def _agrees(value: str) -> bool:
    if value not in ("yes", "no"):
        raise InvalidInput(f"agree={value}: write agree=yes or agree=no; it asks for requests whose two answers were compared")
    return value == "yes"


def _number(name: str, value: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,12})?", value):
        raise InvalidInput(f"{name} is a number, and {value!r} is none")
    return float(value)


def _latency(value: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(us|ms|s|m)", value)
    if found is None:
        raise InvalidInput(f"latency is a time such as 250ms or 2s, and {value!r} is none")
    return float(found[1]) * _MICROSECONDS[found[2]]
