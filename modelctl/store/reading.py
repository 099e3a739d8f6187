"""Evidence and history as people read it: predictions, pairs, feedback, events, and how far recorders have come.

Every function takes the connection of the caller's transaction. Lists come newest first, in pages: `cursor` is what the page
before it ended with. Times are Unix microseconds.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Row, Select, and_, or_, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from modelctl.errors import InvalidInput, NotFound
from modelctl.evidence import CLEAN, CUT
from modelctl.rollout import Rollout
from modelctl.store.bodies import body_of
from modelctl.store.catalog import Event, read_event, read_rollout
from modelctl.store.tables import event, pair, prediction, rollout, spool

T = TypeVar("T")
MAX_PAGE = 1000


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and the cursor of the page behind them; None at the end."""

    items: tuple[T, ...]
    next: str | None = None


class Body(msgspec.Struct, frozen=True):
    """A captured body: the first `len(body)` of `size` bytes, as they were on the wire; none where sampling left it out."""

    content_type: str
    encoding: str
    body: bytes
    size: int
    sampled_out: bool = False

    @property
    def note(self) -> str:
        """Why nothing of it is here; empty where that needs no word."""
        return "not kept: the request is not in the sample of bodies that its route keeps" if self.sampled_out and self.size else ""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One answered request. At most one of label, number and text is set; `problem` says why none is.

    `first_event_us` is 0 without a whole event of an event stream; `attempts` is how often the request was sent to the arm.
    """

    id: str
    request_id: str
    at: int
    route: str
    rollout: int
    stage: int
    table_version: int
    arm: str
    role: str
    reason: str
    probability: int
    unit: str
    method: str
    target: str
    status: int
    outcome: str
    failure: str
    latency_us: int
    first_byte_us: int
    first_event_us: int
    attempts: int
    label: str | None
    number: float | None
    text: str | None
    probability_of_label: float | None
    problem: str


class PredictionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction with the request, the answer, and the values of all instances when there were several."""

    prediction: Prediction
    values_json: str | None
    request: Body
    answer: Body


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two answers of a pair. `ended` is `clean` when it ended as HTTP says, `cut` when it broke off or never came."""

    backend: str
    outcome: str
    status: int
    failure: str = ""
    ended: str
    latency_us: int
    first_event_us: int
    label: str | None
    number: float | None
    text: str | None
    values_json: str | None
    problem: str
    answer: Body


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Both answers to one request. `agree` and `difference` are None when an answer holds nothing to compare.

    `ended` is `clean` when both answers ended as HTTP says, else `cut`.
    """

    prediction_id: str
    request_id: str
    at: int
    route: str
    rollout: int
    stage: int
    agree: bool | None
    difference: float | None
    instances: int
    instances_agreeing: int
    ended: str
    baseline: Side
    candidate: Side
    request: Body


class Spool(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker wrote and a recorder took over: `offered = accepted + sum(dropped.values())`.

    Everything before byte `offset` of segment number `segment` was recorded.
    """

    name: str
    segment: int
    offset: int
    offered: int
    accepted: int
    dropped: dict[str, int]
    committed: int
    quarantined: int
    duplicate: int
    updated_at: int


def predictions(
    connection: Connection, where: dict[str, str | int], *, limit: int = 100, cursor: str | None = None
) -> Page[Prediction]:
    """Those whose columns equal `where`."""
    table = prediction.c
    query = select(*(table[name] for name in Prediction.__struct_fields__)).where(*_equal(prediction.c, where))
    if cursor:
        query = query.where(table.id < cursor)
    rows = _rows(connection, query.order_by(table.id.desc()), limit=limit)
    items = tuple(Prediction(**row._mapping) for row in rows[:limit])
    return Page(items, items[-1].id if len(rows) > limit else None)


def prediction_detail(connection: Connection, prediction_id: str) -> PredictionDetail:
    """Raises NotFound."""
    row = connection.execute(select(prediction).where(prediction.c.id == prediction_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no prediction {prediction_id!r}; a new one can take a second to arrive: modelctl predictions")
    return PredictionDetail(
        prediction=Prediction(**{name: row._mapping[name] for name in Prediction.__struct_fields__}),
        values_json=row.values_json,
        request=read_body(row, "request"),
        answer=read_body(row, "answer"),
    )


def pairs(connection: Connection, where: dict[str, str | int], *, limit: int = 100, cursor: str | None = None) -> Page[Pair]:
    """Those whose columns equal `where`."""
    query = select(pair).where(*_equal(pair.c, where))
    if cursor:
        newest, _, candidate = cursor.partition(":")
        query = query.where(or_(pair.c.prediction_id < newest, and_(pair.c.prediction_id == newest, pair.c.candidate < candidate)))
    rows = _rows(connection, query.order_by(pair.c.prediction_id.desc(), pair.c.candidate.desc()), limit=limit)
    items = tuple(read_pair(row) for row in rows[:limit])
    return Page(items, f"{items[-1].prediction_id}:{items[-1].candidate.backend}" if len(rows) > limit else None)


def rollouts(connection: Connection, where: dict[str, str | int], *, limit: int = 100, cursor: str | None = None) -> Page[Rollout]:
    """Rollouts, open and ended, whose columns equal `where`."""
    query = select(rollout).where(*_equal(rollout.c, where))
    if cursor:
        query = query.where(rollout.c.id < _whole(cursor))
    rows = _rows(connection, query.order_by(rollout.c.id.desc()), limit=limit)
    items = tuple(read_rollout(row) for row in rows[:limit])
    return Page(items, str(items[-1].id) if len(rows) > limit else None)


def events(connection: Connection, where: dict[str, str | int], *, limit: int = 100, cursor: str | None = None) -> Page[Event]:
    """The history, as far as its columns equal `where`."""
    query = select(event).where(*_equal(event.c, where))
    if cursor:
        query = query.where(event.c.id < _whole(cursor))
    rows = _rows(connection, query.order_by(event.c.id.desc()), limit=limit)
    items = tuple(read_event(row) for row in rows[:limit])
    return Page(items, str(items[-1].id) if len(rows) > limit else None)


def baseline_events(connection: Connection, route: str) -> tuple[Event, ...]:
    """The changes of the route's baseline pointer since the route was last added, newest first."""
    rows = connection.execute(select(event).where(event.c.route == route).order_by(event.c.id.desc()))
    found: list[Event] = []
    for changed in map(read_event, rows):
        if "baseline_to" in changed.detail:
            found.append(changed)
            if not changed.detail["baseline_from"]:
                break
    return tuple(found)


def spools(connection: Connection) -> tuple[Spool, ...]:
    """Every spool a recorder has read from."""
    rows = connection.execute(select(spool).order_by(spool.c.name))
    return tuple(
        Spool(
            name=row.name,
            segment=row.segment,
            offset=row.offset,
            offered=row.offered,
            accepted=row.accepted,
            dropped=msgspec.json.decode(row.dropped, type=dict[str, int]),
            committed=row.committed,
            quarantined=row.quarantined,
            duplicate=row.duplicate,
            updated_at=row.updated_at,
        )
        for row in rows
    )


def _equal(columns: ReadOnlyColumnCollection[str, Column[Any]], where: dict[str, str | int]) -> list[ColumnElement[bool]]:
    return [columns[name] == value for name, value in where.items()]


def _rows(connection: Connection, query: Select[Any], *, limit: int) -> Sequence[Row[Any]]:
    """One row more than asked for: it tells whether there is a next page."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"limit must be from 1 to {MAX_PAGE}, not {limit}")
    return connection.execute(query.limit(limit + 1)).all()


def _whole(cursor: str) -> int:
    if not cursor.isdecimal():
        raise InvalidInput(f"{cursor!r} is no cursor: use the `next` of the page before")
    return int(cursor)


def read_body(row: Row[Any], prefix: str) -> Body:
    """One of the bodies that a row of `prediction` or `pair` holds. Raises Corrupt."""
    columns = row._mapping
    sampled_out = not columns.get("bodies_kept", 1)  # those that look for examples do not ask for it
    names = (columns[f"{prefix}_type"], columns[f"{prefix}_encoding"])
    return Body(*names, body_of(row, prefix), columns[f"{prefix}_size"], sampled_out)


def _side(row: Row[Any], side: str) -> Side:
    columns = row._mapping
    names = ("outcome", "status", "ended", "latency_us", "first_event_us", "label", "number", "text", "values_json", "problem")
    values = {name: columns[f"{side}_{name}"] for name in names}
    failure = columns["candidate_failure"] if side == "candidate" else ""
    return Side(backend=columns[side], failure=failure, answer=read_body(row, side), **values)


def read_pair(row: Row[Any]) -> Pair:
    """A row of `pair`, whole."""
    baseline, candidate = _side(row, "baseline"), _side(row, "candidate")
    return Pair(
        prediction_id=row.prediction_id,
        request_id=row.request_id,
        at=row.at,
        route=row.route,
        rollout=row.rollout,
        stage=row.stage,
        agree=None if row.agree is None else bool(row.agree),
        difference=row.difference,
        instances=row.instances,
        instances_agreeing=row.instances_agreeing,
        ended=CLEAN if baseline.ended == candidate.ended == CLEAN else CUT,
        baseline=baseline,
        candidate=candidate,
        request=read_body(row, "request"),
    )
