"""Where the prediction is: a JSON pointer (RFC 6901, starts with "/") or a JSONPath (RFC 9535, starts with "$").

What a path that selects one thing leads to may be a list with one entry per instance. A JSONPath that selects many, such
as `$.predictions[*]`, gives one instance for each.
"""

import re
from functools import lru_cache
from typing import Any, cast

from jsonpath_rfc9535 import JSONPathError, JSONPathQuery
from jsonpath_rfc9535 import compile as compiled
from jsonpath_rfc9535.segments import JSONPathChildSegment
from jsonpath_rfc9535.selectors import IndexSelector, NameSelector

from modelctl.errors import InvalidInput, NotFound
from modelctl.kinds.reading import Found, is_probabilities
from modelctl.traffic import PredictionType

_INDEX = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)
_BAD_ESCAPE = re.compile(r"~(?![01])")


def is_path(place: str) -> bool:
    """Whether `place` is meant as a path and not as a name."""
    return place.startswith(("/", "$"))


def check_path(path: str) -> None:
    """Raises InvalidInput unless `path` is a JSON pointer or a JSONPath."""
    if path.startswith("$"):
        _query(path)
    elif path.startswith("/"):
        _tokens(path)
    else:
        raise InvalidInput(f"{path!r} is no path: write it as a JSON pointer, /{path}, or as a JSONPath, $.{path}")


def instances_at(path: str, document: object, *, wanted: PredictionType, batch: bool) -> list[Found]:
    """The predictions at `path`, one per instance; `batch` as for `entries`.

    Raises InvalidInput for a path that is none, and NotFound when nothing is there.
    """
    check_path(path)
    if path.startswith("/"):
        return entries(_at_pointer(path, document), wanted, batch=batch)
    query = _query(path)
    try:
        nodes = query.find(cast("Any", document))
    except JSONPathError as error:
        raise InvalidInput(f"the JSONPath {path} cannot be followed in this answer: {error}") from None
    if not nodes:
        raise NotFound(f"there is nothing at {path} in the answer{_hint(document)}")
    places = [Found(node.value, _object(node.parent.value) if node.parent else None) for node in nodes]
    return entries(places[0], wanted, batch=batch) if len(places) == 1 and _ends_in_one(query) else places


def values_at(path: str, document: object) -> list[object]:
    """What stands at `path`; a list there is its elements, for it has one per instance.

    Raises InvalidInput for a path that is none or cannot be followed, and NotFound when nothing is there.
    """
    return [found.value for found in instances_at(path, document, wanted=PredictionType.NUMBER, batch=True)]


def entries(found: Found, wanted: PredictionType, *, batch: bool) -> list[Found]:
    """What was found, taken apart when it is a list with one entry per instance: any list, when `batch` is set.

    Else a list of probabilities is one instance, unless numbers are wanted. Whole numbers alone are never taken for
    probabilities here: `[0, 1]` is two instances with the labels 0 and 1. A list of rankings is a list of lists.
    """
    value = found.value
    if wanted is PredictionType.RANKING and isinstance(value, list):
        return [Found(part) for part in rankings(value)]
    if not isinstance(value, list) or (not batch and wanted is not PredictionType.NUMBER and _one_distribution(value)):
        return [found]
    if len(value) == 1:
        return [Found(value[0], found.beside)]
    return [Found(part) for part in value]


def rankings(value: list[object]) -> list[object]:
    """The rankings in a list: the lists in it when it has nothing else, else itself."""
    return value if value and all(isinstance(part, list) for part in value) else [value]


def _one_distribution(value: list[object]) -> bool:
    return is_probabilities(value) and any(isinstance(part, float) for part in value)


def _at_pointer(pointer: str, document: object) -> Found:
    value, parent = document, None
    for token in _tokens(pointer):
        parent = value
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            raise NotFound(f"there is nothing at {pointer} in the answer{_hint(document)}")
    return Found(value, _object(parent))


def _object(value: object) -> dict[str, object] | None:
    return value if isinstance(value, dict) else None


def _hint(document: object) -> str:
    """The names an author of a path may have meant."""
    if isinstance(document, dict):
        return f", an object with {', '.join(name[:40] for name in list(document)[:8]) or 'no members'}"
    return ", a list" if isinstance(document, list) else ", a single value"


def _ends_in_one(query: JSONPathQuery) -> bool:
    if not query.segments:
        return True
    last = query.segments[-1]
    one = len(last.selectors) == 1 and isinstance(last.selectors[0], NameSelector | IndexSelector)
    return one and isinstance(last, JSONPathChildSegment)


@lru_cache(maxsize=256)
def _tokens(pointer: str) -> tuple[str, ...]:
    if _BAD_ESCAPE.search(pointer):
        raise InvalidInput(f"{pointer!r} is no JSON pointer: write ~ as ~0 and a / inside a name as ~1")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


@lru_cache(maxsize=256)
def _query(path: str) -> JSONPathQuery:
    try:
        return compiled(path)
    except (JSONPathError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path!r} is no JSONPath as RFC 9535 has it: {error}") from None
