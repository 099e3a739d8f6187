"""From a JSON value to a Value: the rules that hold for every kind.

    prediction type   JSON                                             is read as
    auto              string (up to 128 characters), whole number,     label: "true"/"false", decimal, the string itself
                      boolean
                      longer string                                    text
                      number with a fraction or exponent               number
                      two or more numbers in [0,1] that sum to 1       label: the position of the largest, with its probability
                      null, NaN, infinity                              a problem: not a number
                      other list or object                             text: canonical JSON, sorted keys
    label             as auto, but a number with a fraction            label: shortest decimal, without a trailing ".0"
                      other list or object                             label: canonical JSON
    number            number, boolean (1 or 0), numeric string         number
                      anything else                                    a problem
    text              string                                           text
                      anything else                                    text: canonical JSON
    ranking           list                                             ranking: its first 100 items, best first, each once;
                                                                       of an object the member named in `ITEM_NAMES`
                      anything else                                    a problem

Before that, a list of one element stands for its element (unless a ranking is wanted), and an object that has one of
`USUAL_NAMES` for that member (unless a text is wanted). A `probability`, `score` or `confidence` in 0..1 beside the member
goes with the label.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

from modelctl.errors import InvalidInput
from modelctl.kinds.value import LABEL_LIMIT, RANKING_LIMIT, TEXT_LIMIT, Value, bounded, number_text
from modelctl.traffic import PredictionType

USUAL_NAMES = (
    "predictions",
    "prediction",
    "predicted_class",
    "label",
    "outputs",
    "output",
    "results",
    "result",
    "class",
    "text_output",
    "generated_text",
    "score",
    "probability",
)
ITEM_NAMES = ("id", "item_id", "item", "document_id", "doc_id", "product_id", "index", "name", "label", "text")
SCORE_NAMES = ("probability", "score", "confidence")
# Named here because `isinstance(x, a | b)` makes the union anew each time.
_NUMBERS, _CONTAINERS = (float, int), (list, dict)
INSTANCES_LIMIT = 10_000
_SUM_TOLERANCE = 1e-3
_NUMERIC = re.compile(r"\s*-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,4})?\s*", re.ASCII)
NOT_A_NUMBER = "the prediction is not a number"
_NOT_A_NUMBER = NOT_A_NUMBER + ": the server answered {}"


class Found:
    """A value of a document, and the object it is a member of, if it is one."""

    __slots__ = ("beside", "value")

    def __init__(self, value: object, beside: Mapping[str, object] | None = None) -> None:
        self.value = value
        self.beside = beside


def usual_member(document: object) -> Found:
    """The first member of `document` with one of `USUAL_NAMES`, else the document itself."""
    if isinstance(document, dict):
        for name in USUAL_NAMES:
            if name in document:
                return Found(document[name], document)
    return Found(document)


def is_probabilities(value: object) -> bool:
    """Whether `value` is a list of two or more numbers in [0,1] that sum to 1 within 0.001."""
    if not isinstance(value, list) or len(value) < 2:
        return False
    if not all(type(part) in (float, int) and 0 <= part <= 1 for part in value):
        return False
    return abs(math.fsum(value) - 1) <= _SUM_TOLERANCE


def read(found: Found, wanted: PredictionType) -> Value:
    """One prediction. Raises InvalidInput where the table says a problem."""
    if isinstance(found.value, _CONTAINERS):
        found = _innermost(found, wanted)
    beside = found.beside
    return _READERS[wanted](found.value, None if beside is None else _score(beside))


def read_each(entries: Sequence[object], wanted: PredictionType) -> tuple[Value, ...]:
    """One prediction per entry. Raises InvalidInput: for no entries, for more than 10,000, and as `read` does."""
    if not entries:
        raise InvalidInput("the list of predictions is empty")
    if len(entries) > INSTANCES_LIMIT:
        raise InvalidInput(f"the answer has {len(entries)} predictions, and at most {INSTANCES_LIMIT} are read")
    return tuple([read(entry if isinstance(entry, Found) else Found(entry), wanted) for entry in entries])


def _innermost(found: Found, wanted: PredictionType) -> Found:
    while True:
        value = found.value
        if isinstance(value, list) and len(value) == 1 and wanted is not PredictionType.RANKING:
            found = Found(value[0], found.beside)
        elif isinstance(value, dict) and wanted is not PredictionType.TEXT:
            inner = usual_member(value)
            if inner.beside is None:
                return found
            found = inner
        else:
            return found


def _score(beside: Mapping[str, object]) -> float | None:
    for name in SCORE_NAMES:
        score = beside.get(name)
        if isinstance(score, _NUMBERS) and not isinstance(score, bool) and 0 <= score <= 1:
            return float(score)
    return None


def _auto(value: object, score: float | None) -> Value:
    if isinstance(value, str):
        return _text(value, score) if len(value) > LABEL_LIMIT else Value(label=bounded(value, LABEL_LIMIT), probability=score)
    if isinstance(value, float):
        return Value(number=_finite(value))
    if isinstance(value, int) or value is None or is_probabilities(value):
        return _label(value, score)
    return _text(value, score)


def _label(value: object, score: float | None) -> Value:
    if isinstance(value, list) and is_probabilities(value):
        largest = max(value)
        return Value(label=str(value.index(largest)), probability=float(largest))
    return Value(label=bounded(_label_text(value), LABEL_LIMIT), probability=score)


def _label_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number_text(_finite(value))
    if value is None:
        raise InvalidInput(_NOT_A_NUMBER.format("null, which several servers write for NaN and infinity"))
    return _canonical(value)


def _number(value: object, score: float | None) -> Value:
    if isinstance(value, int | float):
        return Value(number=_finite(value))
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        return Value(number=_finite(float(value)))
    if value is None:
        raise InvalidInput(_NOT_A_NUMBER.format("null, which several servers write for NaN and infinity"))
    if isinstance(value, list):
        raise InvalidInput(_NOT_A_NUMBER.format(f"a list of {len(value)}; name one of them, such as /predictions/0/1"))
    raise InvalidInput(_NOT_A_NUMBER.format("an object" if isinstance(value, dict) else f"the text {str(value)[:40]!r}"))


def _text(value: object, score: float | None) -> Value:
    return Value(text=bounded(value if isinstance(value, str) else _canonical(value), TEXT_LIMIT))


def _ranking(value: object, score: float | None) -> Value:
    if not isinstance(value, list):
        raise InvalidInput(f"the prediction is not a ranking, a list of items with the best first: {_canonical(value)[:40]}")
    items = tuple(dict.fromkeys(_item(part) for part in value[:RANKING_LIMIT]))
    return Value(text=bounded(_canonical(items), TEXT_LIMIT), ranking=items)


def _item(part: object) -> str:
    if isinstance(part, dict):
        part = next((part[name] for name in ITEM_NAMES if name in part), part)
    return bounded(_label_text(part), LABEL_LIMIT)


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidInput(_NOT_A_NUMBER.format(str(number)))
    return number


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


_READERS: Mapping[PredictionType, Callable[[object, float | None], Value]] = {
    PredictionType.AUTO: _auto,
    PredictionType.LABEL: _label,
    PredictionType.NUMBER: _number,
    PredictionType.TEXT: _text,
    PredictionType.RANKING: _ranking,
}
