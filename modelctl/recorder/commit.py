"""One batch of one spool into the database, in one transaction with the position behind it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, insert, select, tuple_, update

from modelctl.errors import StoreError
from modelctl.evidence import Tally
from modelctl.recorder.rollups import Fold, Pivot, first_numbers
from modelctl.recorder.rows import ComparedReading, Reading, Row, ServedReading, counts, pair_row, prediction_row, storable
from modelctl.recorder.spool_reader import Position
from modelctl.store.engine import insert_or_ignore, reading, upsert_adding, writing
from modelctl.store.tables import pair, pivot, prediction, rollup, spool


class Progress(NamedTuple):
    """How far a spool has been recorded, and what was counted on the way: a row of `spool`."""

    name: str
    position: Position = Position()
    offered: int = 0
    accepted: int = 0
    dropped: str = "{}"
    committed: int = 0
    quarantined: int = 0
    duplicate: int = 0
    corrupt_bytes: int = 0


class Batch(NamedTuple):
    """What lies between a position and `end`. `tally` is the last one among it."""

    readings: Sequence[Reading]
    end: Position
    tally: Tally | None = None
    quarantined: int = 0
    corrupt_bytes: int = 0


class Prepared(NamedTuple):
    """A batch as rows, without those the database has already."""

    predictions: list[Row]
    pairs: list[Row]
    readings: list[Reading]
    duplicates: int


def load_progress(engine: Engine, name: str) -> Progress:
    """What the database has of the spool `name`. Raises StoreError."""
    with reading(engine) as connection:
        row = connection.execute(select(spool).where(spool.c.name == name)).one_or_none()
    if row is None:
        return Progress(name)
    counted = {field: getattr(row, field) for field in Progress._fields[2:]}
    return Progress(name, Position(row.segment, row.offset), **counted)


class Writer:
    """Writes batches. Remembers the pivots, which never change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pivots: dict[Pivot, float] = {}

    def commit(self, progress: Progress, batch: Batch, *, at: int) -> Progress:
        """Writes `batch`, which begins at the position of `progress`, at Unix microsecond `at`; returns what it comes to.

        Raises InvalidInput or Conflict when a row among it is refused, StoreError when the database does not answer or another
        recorder has moved the spool's position. Nothing was written then.
        """
        prepared = self._prepare(batch.readings)
        proposed = first_numbers(prepared.readings)
        sums = _sums(prepared.readings, proposed | self._pivots)
        after = _after(progress, batch, prepared=prepared)
        with writing(self._engine) as connection:
            _move(connection, progress, after=after, at=at)
            settled = _settle(connection, {key: value for key, value in proposed.items() if key not in self._pivots})
            if any(settled[key] != proposed[key] for key in settled):  # another recorder was first
                sums = _sums(prepared.readings, proposed | self._pivots | settled)
            if prepared.predictions:
                connection.execute(insert(prediction), prepared.predictions)
            if prepared.pairs:
                connection.execute(insert(pair), prepared.pairs)
            upsert_adding(connection, rollup, rows=sums)
        self._pivots |= settled
        return after

    def _prepare(self, readings: Sequence[Reading]) -> Prepared:
        """The rows of `readings` that are new. A comparison that says nothing about its candidate becomes no pair."""
        ids = [item.served.id.hex() for item in readings if isinstance(item, ServedReading)]
        pairs = [_pair_key(item) for item in readings if isinstance(item, ComparedReading)]
        with reading(self._engine) as connection:
            seen: set[object] = _existing_predictions(connection, ids) | _existing_pairs(connection, pairs)
        fresh: list[Reading] = []
        for item in readings:
            key = item.served.id.hex() if isinstance(item, ServedReading) else _pair_key(item)
            if key not in seen:
                seen.add(key)
                fresh.append(item)
        return Prepared(
            [prediction_row(item) for item in fresh if isinstance(item, ServedReading)],
            [pair_row(item) for item in fresh if isinstance(item, ComparedReading) and counts(item)],
            fresh,
            len(readings) - len(fresh),
        )


def _pair_key(item: ComparedReading) -> tuple[str, str]:
    return item.compared.served.id.hex(), storable(item.compared.shadow.backend)


def _existing_predictions(connection: Connection, ids: list[str]) -> set[object]:
    if not ids:
        return set()
    return set(connection.execute(select(prediction.c.id).where(prediction.c.id.in_(ids))).scalars())


def _existing_pairs(connection: Connection, keys: list[tuple[str, str]]) -> set[object]:
    if not keys:
        return set()
    wanted = {prediction_id for prediction_id, _ in keys}
    columns = (pair.c.prediction_id, pair.c.candidate)
    return {tuple(row) for row in connection.execute(select(*columns).where(pair.c.prediction_id.in_(wanted)))}


def _sums(readings: Iterable[Reading], pivots: dict[Pivot, float]) -> list[Row]:
    fold = Fold(pivots)
    for item in readings:
        fold.add(item)
    return fold.rows()


def _after(progress: Progress, batch: Batch, *, prepared: Prepared) -> Progress:
    tally = batch.tally
    moved = progress._replace(
        position=batch.end,
        offered=tally.offered if tally else progress.offered,
        accepted=tally.accepted if tally else progress.accepted,
        dropped=msgspec.json.encode(tally.dropped).decode() if tally else progress.dropped,
        committed=progress.committed + len(prepared.readings),
        quarantined=progress.quarantined + batch.quarantined,
        duplicate=progress.duplicate + prepared.duplicates,
        corrupt_bytes=progress.corrupt_bytes + batch.corrupt_bytes,
    )
    # A position behind the newest tally: the records in between were accepted too, so the laws hold at every position.
    further = max(0, moved.committed + moved.quarantined + moved.duplicate - moved.accepted)
    return moved._replace(offered=moved.offered + further, accepted=moved.accepted + further)


def _move(connection: Connection, before: Progress, *, after: Progress, at: int) -> None:
    """Moves the spool's position, if it is still where `before` says: of two recorders one fails here."""
    insert_or_ignore(connection, spool, rows=[{**_columns(Progress(before.name)), "updated_at": at}])
    where = (spool.c.name == before.name, spool.c.segment == before.position.segment, spool.c.offset == before.position.offset)
    moved = connection.execute(update(spool).where(*where).values(**_columns(after), updated_at=at))
    if moved.rowcount != 1:
        raise StoreError(f"another recorder reads the spool {before.name!r}: run one recorder for each spool folder")


def _columns(progress: Progress) -> dict[str, object]:
    columns = progress._asdict()
    position: Position = columns.pop("position")
    return {**columns, **position._asdict()}


def _settle(connection: Connection, proposed: dict[Pivot, float]) -> dict[Pivot, float]:
    """The pivots that hold from now on for the keys of `proposed`: whoever comes first decides."""
    if not proposed:
        return {}
    insert_or_ignore(connection, pivot, rows=[{**key._asdict(), "value": value} for key, value in proposed.items()])
    key_columns = (pivot.c.route, pivot.c.rollout, pivot.c.metric)
    rows = connection.execute(select(pivot).where(tuple_(*key_columns).in_([tuple(key) for key in proposed])))
    return {Pivot(row.route, row.rollout, row.metric): row.value for row in rows}
