"""Two answers beside each other, field by field where both are JSON. Pure."""

import json

import msgspec

from modelctl.errors import Corrupt
from modelctl.evidence import Answer
from modelctl.kinds.answer_body import beginning, decoded, parsed
from modelctl.kinds.fields import FieldClass, compared, flattened
from modelctl.store.reading import Body

SHOWN = 20_000
"""Bytes of a body that a page shows."""
FIELDS = 400


class Difference(msgspec.Struct, frozen=True):
    """One field of two documents. `kind` is equal, value, type, missing or extra; a text is empty where the field is not there."""

    path: str
    kind: str
    baseline: str
    candidate: str


class Beside(msgspec.Struct, frozen=True):
    """The fields that differ, then those that are equal; `left_out` is how many more of these there are."""

    fields: tuple[Difference, ...]
    different: int
    left_out: int


def beside(baseline: Body, candidate: Body) -> Beside | None:
    """None when one of the two is no whole JSON document."""
    try:
        ours, theirs = parsed(decoded(_answer(baseline))), parsed(decoded(_answer(candidate)))
    except Corrupt:
        return None
    a, b = flattened(ours), flattened(theirs)
    found = [Difference(path, kind.value, _shown(a, path), _shown(b, path)) for path, kind in compared(ours, theirs).items()]
    found.sort(key=lambda one: one.kind == FieldClass.EQUAL)
    different = sum(one.kind != FieldClass.EQUAL for one in found)
    return Beside(tuple(found[:FIELDS]), different, max(0, len(found) - FIELDS))


def text_of(body: Body) -> str:
    """What a page shows of a body: JSON with a line for each field, other text as it is, or why there is none."""
    if body.note:
        return body.note
    answer = _answer(body)
    try:
        return json.dumps(parsed(decoded(answer)), indent=2, ensure_ascii=False)[:SHOWN]
    except (Corrupt, RecursionError):
        return beginning(answer, SHOWN).decode("utf-8", "replace")


def _answer(body: Body) -> Answer:
    return Answer("", 0, "", 0, 0, b"", body.encoding.encode("latin-1", "replace"), body.body, body.size)


def _shown(fields: dict[str, object], path: str) -> str:
    return json.dumps(fields[path], ensure_ascii=False)[:400] if path in fields else ""
