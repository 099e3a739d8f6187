"""What turned out for requests: one truth (a label or a number) and one reward (a number) per request."""

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from sqlalchemy import Engine

from modelctl.errors import Conflict, InvalidInput
from modelctl.kinds.value import LABEL_LIMIT, bounded, number_text
from modelctl.store import truth as store
from modelctl.store.engine import writing
from modelctl.store.truth import Key, Truth

MAX_ITEMS = 1_000
_NAMED = 5


class Kind(StrEnum):
    """TRUTH is what the prediction should have been, REWARD is what the answer brought."""

    TRUTH = "truth"
    REWARD = "reward"


class FeedbackItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What turned out for one request, by its x-request-id. `replace` puts it in the place of a different earlier value."""

    request_id: str
    value: str | float | bool
    kind: Kind = Kind.TRUTH
    source: str = ""
    replace: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.request_id) <= 256:
            raise InvalidInput("request_id must have 1 to 256 characters: it is the x-request-id of the answer")
        if len(self.source) > 200:
            raise InvalidInput("source may have at most 200 characters")
        if self.kind is Kind.REWARD and not _is_number(self.value):
            raise InvalidInput(f"a reward is a finite number, not {str(self.value)[:40]!r}; a label is sent as the kind truth")

    def truth(self, at: int) -> Truth:
        """The value as it is stored at Unix microsecond `at`.

        A number is a label too: models that answer with class numbers predict labels such as "1".
        """
        if isinstance(self.value, bool):
            label, number = "true" if self.value else "false", float(self.value)
        elif isinstance(self.value, float):
            label, number = number_text(self.value), self.value
        else:
            label, number = bounded(self.value, LABEL_LIMIT), None
        kind = self.kind.value
        return Truth(request_id=self.request_id, kind=kind, label=label, number=number, source=self.source, at=at)


class Taken(msgspec.Struct, frozen=True):
    """`accepted` are new or replaced, `duplicates` said the same again, `unmatched` belong to no request recorded so far."""

    accepted: int
    duplicates: int
    unmatched: int


def record_feedback(engine: Engine, items: Sequence[FeedbackItem], *, at: int) -> Taken:
    """Stores all items, or none: raises Conflict when a different value is known and `replace` is not set.

    Feedback may come before the prediction is recorded: the recorder joins the two by request id.
    """
    if not 1 <= len(items) <= MAX_ITEMS:
        raise InvalidInput(f"send 1 to {MAX_ITEMS} items at once, not {len(items)}")
    wanted = _merged(items, at=at)
    replacing = {(item.request_id, item.kind.value) for item in items if item.replace}
    with writing(engine) as connection:
        requests = sorted({truth.request_id for truth in wanted.values()})
        known = store.known(connection, requests)
        changed = [truth for key, truth in wanted.items() if key in known and not known[key].says_the_same(truth)]
        _refuse([truth.request_id for truth in changed if truth.key not in replacing])
        predictions = store.first_predictions(connection, requests)
        fresh = [truth for key, truth in wanted.items() if key not in known]
        store.add(connection, fresh, predictions=predictions)
        store.replace(connection, changed, predictions=predictions)
    accepted = len(fresh) + len(changed)
    unmatched = sum(truth.request_id not in predictions for truth in wanted.values())
    return Taken(accepted=accepted, duplicates=len(items) - accepted, unmatched=unmatched)


def _merged(items: Sequence[FeedbackItem], *, at: int) -> dict[Key, Truth]:
    """One value of a kind per request; the last one of those that may replace.

    Raises Conflict when two of a batch contradict each other.
    """
    wanted: dict[Key, Truth] = {}
    for item in items:
        truth = item.truth(at)
        if not truth.says_the_same(wanted.get(truth.key, truth)) and not item.replace:
            _refuse([item.request_id])
        wanted[truth.key] = truth
    return wanted


def _is_number(value: str | float | bool) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _refuse(requests: list[str]) -> None:
    if requests:
        named = ", ".join(requests[:_NAMED]) + (f" and {len(requests) - _NAMED} more" if len(requests) > _NAMED else "")
        raise Conflict(f"a different value is known for {named}; nothing was stored: send it with replace if the new one is right")
