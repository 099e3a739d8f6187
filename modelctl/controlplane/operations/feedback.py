"""What turned out to be true for requests: a label or a number, one per request."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Engine, func, insert, select, update

from modelctl.errors import Conflict, InvalidInput
from modelctl.kinds.value import LABEL_LIMIT, bounded, number_text
from modelctl.store.engine import writing
from modelctl.store.tables import feedback, prediction

MAX_ITEMS = 1_000
_NAMED = 5


class FeedbackItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The truth about one request, by its x-request-id. `replace` puts it in the place of a different earlier value."""

    request_id: str
    value: str | float | bool
    source: str = ""
    replace: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.request_id) <= 256:
            raise InvalidInput("request_id must have 1 to 256 characters: it is the x-request-id of the answer")
        if len(self.source) > 200:
            raise InvalidInput("source may have at most 200 characters")

    @property
    def label(self) -> str:
        """The value as a label. A number is one too: models that answer with class numbers predict labels such as "1"."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return number_text(self.value) if isinstance(self.value, float) else bounded(self.value, LABEL_LIMIT)

    @property
    def number(self) -> float | None:
        """The value as a number; None for a label."""
        return float(self.value) if isinstance(self.value, bool | float) else None


class Taken(msgspec.Struct, frozen=True):
    """`accepted` are new or replaced, `duplicates` said the same again, `unmatched` belong to no request recorded so far."""

    accepted: int
    duplicates: int
    unmatched: int


def record_feedback(engine: Engine, items: Sequence[FeedbackItem], *, at: int) -> Taken:
    """Stores all items, or none: raises Conflict when a different value is known and `replace` is not set.

    Feedback may come before the prediction is recorded: reports join the two by request id.
    """
    if not 1 <= len(items) <= MAX_ITEMS:
        raise InvalidInput(f"send 1 to {MAX_ITEMS} items at once, not {len(items)}")
    wanted = _merged(items)
    with writing(engine) as connection:
        known = _known(connection, list(wanted))
        changed = [item for name, item in wanted.items() if name in known and known[name] != (item.label, item.number)]
        _refuse([item.request_id for item in changed if not item.replace])
        predictions = _predictions(connection, list(wanted))
        fresh = [item for name, item in wanted.items() if name not in known]
        if fresh:
            connection.execute(insert(feedback), [_row(item, predictions, at=at) for item in fresh])
        for item in changed:
            row = _row(item, predictions, at=at)
            connection.execute(update(feedback).where(feedback.c.request_id == item.request_id).values(**row))
    accepted = len(fresh) + len(changed)
    unmatched = sum(name not in predictions for name in wanted)
    return Taken(accepted=accepted, duplicates=len(items) - accepted, unmatched=unmatched)


def _merged(items: Sequence[FeedbackItem]) -> dict[str, FeedbackItem]:
    """One item per request; the last one of those that may replace. Raises Conflict when two of a batch contradict each other."""
    wanted: dict[str, FeedbackItem] = {}
    for item in items:
        earlier = wanted.get(item.request_id, item)
        if (earlier.label, earlier.number) != (item.label, item.number) and not item.replace:
            _refuse([item.request_id])
        wanted[item.request_id] = item
    return wanted


def _refuse(requests: list[str]) -> None:
    if requests:
        named = ", ".join(requests[:_NAMED]) + (f" and {len(requests) - _NAMED} more" if len(requests) > _NAMED else "")
        raise Conflict(f"a different value is known for {named}; nothing was stored: send it with replace if the new one is right")


def _known(connection: Connection, requests: list[str]) -> dict[str, tuple[str | None, float | None]]:
    query = select(feedback.c.request_id, feedback.c.value_label, feedback.c.value_number)
    rows = connection.execute(query.where(feedback.c.request_id.in_(requests)))
    return {row.request_id: (row.value_label, row.value_number) for row in rows}


def _predictions(connection: Connection, requests: list[str]) -> dict[str, str]:
    """The first recorded prediction of each request."""
    query = select(prediction.c.request_id, func.min(prediction.c.id).label("id"))
    rows = connection.execute(query.where(prediction.c.request_id.in_(requests)).group_by(prediction.c.request_id))
    return {row.request_id: row.id for row in rows}


def _row(item: FeedbackItem, predictions: dict[str, str], *, at: int) -> dict[str, str | float | int | None]:
    return {
        "request_id": item.request_id,
        "value_label": item.label,
        "value_number": item.number,
        "source": item.source,
        "at": at,
        "prediction_id": predictions.get(item.request_id),
    }
