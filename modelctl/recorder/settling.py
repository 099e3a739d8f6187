"""The statements that make sums true for several recorders at once: whoever comes first decides on pivots, first events and
questions; what units come to is read back from the row that was changed."""

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Connection, or_, select, tuple_

from modelctl.recorder.book import Book, families
from modelctl.recorder.ledger import Admission, Pivot
from modelctl.recorder.units import FirstKey, Total, UnitKey
from modelctl.store import summing
from modelctl.store.engine import insert_new, insert_or_ignore, upsert_totals
from modelctl.store.tables import first_event, pivot, rollup_total, unit_total

_NAMED = ("slice:error", "slice:pair_error", "slice:agreement", "slice:accuracy", "field", "noise_field")


def settle_pivots(connection: Connection, proposed: Mapping[Pivot, float]) -> dict[Pivot, float]:
    """The pivots that hold from now on for the keys of `proposed`: whoever comes first decides."""
    if not proposed:
        return {}
    insert_or_ignore(connection, pivot, rows=[{**key._asdict(), "value": value} for key, value in sorted(proposed.items())])
    key_columns = (pivot.c.route, pivot.c.rollout, pivot.c.metric)
    rows = connection.execute(select(pivot).where(tuple_(*key_columns).in_([tuple(key) for key in proposed])))
    return {Pivot(row.route, row.rollout, row.metric): row.value for row in rows}


def write_sums(connection: Connection, book: Book) -> None:
    """Adds the book's sums to `rollup`, with what its units come to."""
    inserted = insert_new(connection, first_event, rows=book.units.firsts())
    totals = upsert_totals(connection, unit_total, rows=book.units.totals())
    book.units.settle(
        book.ledger,
        [FirstKey(*key) for key in inserted],
        totals={UnitKey(*row[:5]): Total(row[5], row[6]) for row in totals},
    )
    summing.add(connection, book.ledger.rows())


def load_admission(connection: Connection, admission: Admission, *, scopes: Iterable[tuple[str, int]]) -> None:
    """Tells `admission` which values and paths have sums already, for routes and rollouts it has not asked about."""
    wanted = admission.missing(scopes)
    if not wanted:
        return
    found: dict[tuple[str, int], dict[str, list[list[str]]]] = {scope: {} for scope in wanted}
    table = rollup_total.c
    where = or_(*((table.route == route) & (table.rollout == number) for route, number in wanted))
    columns = (table.route, table.rollout, table.metric, table.key)
    for row in connection.execute(select(*columns).where(where, table.metric.in_(_NAMED)).distinct()):
        key = msgspec.json.decode(row.key, type=list[str])
        found[row.route, row.rollout].setdefault(row.metric, []).append(key)
    for (route, number), keys in found.items():
        admission.load(route, number, families=families(keys))
