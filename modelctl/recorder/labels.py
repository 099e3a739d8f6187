"""Feedback joined to the answers it is about, each exactly once.

The law: the sums hold the *joined* value of a feedback row for exactly those predictions and pairs of its request that are
recorded. Whoever records a prediction or pair adds the joined value for it in the same transaction; the joiner, alone at that
moment, takes the joined value back for all of them and adds the row's present value. So it does not matter which of them comes
first, nor how often a value is replaced.

Feedback whose request is not recorded stays and is looked at again after pauses that double up to an hour, or at once when the
request is recorded. It is never given up.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, bindparam, select, update

from modelctl.recorder.book import Book
from modelctl.recorder.label_sums import Fact, Target, add_fact, reward_pivots
from modelctl.recorder.ledger import Admission, Pivot
from modelctl.recorder.readings import Reading
from modelctl.recorder.rollups import PairKey
from modelctl.recorder.settling import load_admission, settle_pivots, write_sums
from modelctl.recorder.targets import recorded_targets, request_of, targets_in
from modelctl.store.engine import lock, reading, writing
from modelctl.store.many import among
from modelctl.store.tables import feedback

LOCK = "labels"
ROWS = 500
_SHORTEST, _LONGEST = 1_000_000, 3_600_000_000

Joined = list[tuple[Target, Fact]]


class Joiner:
    """Joins what is waiting. `admission` is the one that the recorder's other sums go through."""

    def __init__(self, engine: Engine, admission: Admission) -> None:
        self._engine = engine
        self._admission = admission

    def waits(self, *, at: int) -> bool:
        """Whether there is anything to join at Unix microsecond `at`. Raises StoreError."""
        with reading(self._engine) as connection:
            return connection.execute(_waiting(at).limit(1)).first() is not None

    def join_some(self, *, at: int) -> None:
        """Joins at most ROWS rows that wait at Unix microsecond `at`. Raises StoreError."""
        with writing(self._engine) as connection:
            lock(connection, LOCK)
            self._join(connection, connection.execute(_waiting(at).with_for_update(skip_locked=True)).all(), at=at)

    def _join(self, connection: Connection, rows: Sequence[Row[Any]], *, at: int) -> None:
        found, first = recorded_targets(connection, sorted({row.request_id for row in rows}))
        here = [row for row in rows if row.request_id in first]
        back = [(target, _joined(row)) for row in here if row.joined_label is not None for target in found.get(row.request_id, ())]
        new = [(target, _present(row)) for row in here for target in found.get(row.request_id, ())]
        load_admission(connection, self._admission, scopes=[_scope(target) for target, _ in new])
        book = Book(settle_pivots(connection, pivots_of([*back, *new])), self._admission)
        add_all(book, back, sign=-1)
        add_all(book, new)
        write_sums(connection, book)
        _mark(connection, here, first=first)
        _postpone(connection, [row for row in rows if row.request_id not in first], at=at)


def joined_facts(
    connection: Connection, readings: Sequence[Reading], *, duplicates: frozenset[PairKey]
) -> tuple[Joined, list[int]]:
    """For answers that are being recorded: the values that the sums hold for their requests already, and the rows that wait."""
    if not readings or connection.execute(select(feedback.c.id).limit(1)).first() is None:
        return [], []
    requests = {request_of(reading) for reading in readings}
    rows = connection.execute(select(feedback).where(among(connection, feedback.c.request_id, values=requests))).all()
    known = {row.request_id for row in rows}
    targets = targets_in([reading for reading in readings if request_of(reading) in known], duplicates=duplicates) if known else {}
    there = [(target, _joined(row)) for row in rows if row.joined_label is not None for target in targets.get(row.request_id, ())]
    return there, [row.id for row in rows if not row.joined]


def awaken(connection: Connection, rows: Sequence[int]) -> None:
    """Has the joiner look at these rows next. One that somebody else is changing is left to them."""
    if rows:
        free = select(feedback.c.id).where(feedback.c.id.in_(rows), feedback.c.joined == 0).with_for_update(skip_locked=True)
        ids = list(connection.execute(free).scalars())
        connection.execute(update(feedback).where(feedback.c.id.in_(ids)).values(join_at=0))


def pivots_of(facts: Iterable[tuple[Target, Fact]]) -> dict[Pivot, float]:
    """What these facts propose as pivots: the first of each kind."""
    found: dict[Pivot, float] = {}
    for target, fact in facts:
        for pivot, value in reward_pivots(target, fact).items():
            found.setdefault(pivot, value)
    return found


def add_all(book: Book, facts: Joined, *, sign: int = 1) -> None:
    """Adds every fact to the sums; with the sign -1 takes it back."""
    for target, fact in facts:
        add_fact(book, target, fact=fact, sign=sign)


def pause(tries: int) -> int:
    """Microseconds until feedback is looked at again that was in vain `tries` times before."""
    return min(_SHORTEST << min(tries, 12), _LONGEST)


def _waiting(at: int) -> Select[Any]:
    query = select(feedback).where(feedback.c.joined == 0, feedback.c.join_at <= at)
    return query.order_by(feedback.c.join_at, feedback.c.id).limit(ROWS)


def _mark(connection: Connection, rows: Sequence[Row[Any]], *, first: dict[str, str]) -> None:
    known = [{"row": row.id, "label": row.value_label, "number": row.value_number, "first": first[row.request_id]} for row in rows]
    if known:
        connection.execute(_JOINED, known)


def _postpone(connection: Connection, rows: Sequence[Row[Any]], *, at: int) -> None:
    unknown = [{"row": row.id, "tries_now": row.tries + 1, "again": at + pause(row.tries)} for row in rows]
    if unknown:
        connection.execute(_POSTPONED, unknown)


_JOINED = (
    update(feedback)
    .where(feedback.c.id == bindparam("row"), feedback.c.joined == 0)
    .values(joined=1, joined_label=bindparam("label"), joined_number=bindparam("number"), prediction_id=bindparam("first"))
)
_POSTPONED = (
    update(feedback).where(feedback.c.id == bindparam("row")).values(tries=bindparam("tries_now"), join_at=bindparam("again"))
)


def _scope(target: Target) -> tuple[str, int]:
    return target.place.route, target.place.rollout


def _joined(row: Row[Any]) -> Fact:
    return Fact(row.kind, row.joined_label, row.joined_number)


def _present(row: Row[Any]) -> Fact:
    return Fact(row.kind, row.value_label, row.value_number)
