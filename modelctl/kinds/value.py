"""What was predicted, in a form that two servers' answers can be compared in.

A value is a label (one of a few), a number, a text, or a ranking. Labels and texts are stored in databases and label
columns stand in index keys, so they are bounded and hold no NUL and no lone surrogate: PostgreSQL stores neither.
"""

import math
from hashlib import blake2b

import msgspec

from modelctl.errors import InvalidInput

LABEL_LIMIT = 128
TEXT_LIMIT = 16_384
RANKING_LIMIT = 100


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prediction: exactly one of `label`, `number` (finite) and `text` is set.

    `probability`, in 0..1, is the score that goes with a label when the answer has an obvious one. `ranking` holds a ranking's
    items, best first, each once; its `text` is their JSON list.
    """

    label: str | None = None
    number: float | None = None
    text: str | None = None
    probability: float | None = None
    ranking: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.label is not None) + (self.number is not None) + (self.text is not None) != 1:
            raise InvalidInput("a value is exactly one of a label, a number and a text")
        if self.number is not None and not math.isfinite(self.number):
            raise InvalidInput(f"a value cannot be {self.number}: it would spoil every sum it goes into")


class Extraction(msgspec.Struct, frozen=True):
    """The predictions of one answer, one per instance of its request; or the sentence that says why there are none."""

    values: tuple[Value, ...]
    problem: str = ""


def text_of(value: Value) -> str:
    """The canonical text of a value: what people are shown, and what equality of labels and texts is decided on."""
    if value.number is not None:
        return number_text(value.number)
    return value.text or "" if value.label is None else value.label


def number_text(number: float) -> str:
    """The shortest decimal that reads back as `number`; a whole number has no trailing `.0`, and zero no sign."""
    return repr(number or 0.0).removesuffix(".0")


def bounded(text: str, limit: int) -> str:
    """`text`, storable and at most `limit` characters long. What is cut off is replaced by a digest of the whole, so that
    texts which differ stay different."""
    storable = text.encode("utf-8", "replace").decode() if not text.isascii() else text
    storable = storable.replace("\0", "�")
    if len(storable) <= limit:
        return storable
    digest = blake2b(storable.encode(), digest_size=8).hexdigest()
    return f"{storable[: limit - len(digest) - 1]}…{digest}"
