"""Feedback as it is stored: at most one value of a kind for a request, as a label and, where it is one, as a number."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from modelctl.store.tables import feedback, prediction

Key = tuple[str, str]


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What turned out for a request: its truth, or its reward. `at` is a Unix time in microseconds."""

    request_id: str
    kind: str
    label: str
    number: float | None
    source: str
    at: int

    @property
    def key(self) -> Key:
        """The request and the kind."""
        return self.request_id, self.kind

    def says_the_same(self, other: "Truth") -> bool:
        """Whether both hold the same value."""
        return (self.label, self.number) == (other.label, other.number)


def known(connection: Connection, requests: Sequence[str]) -> dict[Key, Truth]:
    """What is stored about these requests."""
    rows = connection.execute(select(feedback).where(feedback.c.request_id.in_(requests)))
    return {
        (row.request_id, row.kind): Truth(
            request_id=row.request_id,
            kind=row.kind,
            label=row.value_label,
            number=row.value_number,
            source=row.source,
            at=row.at,
        )
        for row in rows
    }


def first_predictions(connection: Connection, requests: Sequence[str]) -> dict[str, str]:
    """The id of the first recorded prediction of each request that has one."""
    query = select(prediction.c.request_id, func.min(prediction.c.id).label("id"))
    rows = connection.execute(query.where(prediction.c.request_id.in_(requests)).group_by(prediction.c.request_id))
    return {row.request_id: row.id for row in rows}


def add(connection: Connection, truths: Sequence[Truth], *, predictions: dict[str, str]) -> None:
    """Stores values of requests that have none."""
    if truths:
        connection.execute(insert(feedback), [_row(truth, predictions) for truth in truths])


def replace(connection: Connection, truths: Sequence[Truth], *, predictions: dict[str, str]) -> None:
    """Stores values in the place of those the requests have; the recorder puts them into the sums anew."""
    for truth in truths:
        mine = (feedback.c.request_id == truth.request_id, feedback.c.kind == truth.kind)
        row = {**_row(truth, predictions), "joined": 0, "tries": 0, "join_at": 0}
        connection.execute(update(feedback).where(*mine).values(**row))


def _row(truth: Truth, predictions: dict[str, str]) -> dict[str, str | float | int | None]:
    return {
        "request_id": truth.request_id,
        "kind": truth.kind,
        "value_label": truth.label,
        "value_number": truth.number,
        "source": truth.source,
        "at": truth.at,
        "prediction_id": predictions.get(truth.request_id),
    }
