"""One batch of one spool into the database, in one transaction with the position behind it."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, select, update

from modelctl.errors import Conflict, StoreError
from modelctl.evidence import Drops, Tally
from modelctl.recorder.alike import Answers, answers_alike, pairs_alike
from modelctl.recorder.drop_sums import add_drops
from modelctl.recorder.fresh import Fresh, Question, find_fresh
from modelctl.recorder.joints import joints
from modelctl.recorder.labels import LOCK, add_all, awaken, joined_facts, pivots_of
from modelctl.recorder.ledger import Admission, Pivot
from modelctl.recorder.readings import ComparedReading, Reading, context_of, served_of
from modelctl.recorder.rollups import Fold, PairKey, Pairs, first_numbers
from modelctl.recorder.rows import (
    OWN_COLUMNS,
    PAIR_OWN_COLUMNS,
    PAIR_STEADY_COLUMNS,
    STEADY_COLUMNS,
    own_row,
    pair_own_row,
    pair_steady_row,
    steady_row,
)
from modelctl.recorder.settling import load_admission, settle_pivots, write_sums
from modelctl.recorder.spool_reader import Position
from modelctl.recorder.texts import storable
from modelctl.store.bulk import Columns, Group, insert_groups
from modelctl.store.engine import insert_new, insert_or_ignore, lock, reading, writing
from modelctl.store.partitions import DayMaker
from modelctl.store.tables import pair, pair_seen, prediction, spool

_PREDICTION = Columns(STEADY_COLUMNS, OWN_COLUMNS)
_PAIR = Columns(PAIR_STEADY_COLUMNS, PAIR_OWN_COLUMNS)


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
    """What lies between a position and `end`. `tally` is the last one among it, `drops` are all."""

    readings: Sequence[Reading]
    end: Position
    tally: Tally | None = None
    drops: Sequence[Drops] = ()
    quarantined: int = 0
    corrupt_bytes: int = 0


class Plan(NamedTuple):
    """What a batch comes to, if nobody else is first: what is new of it, the pairs that ask again, its rows and its pivots."""

    fresh: Fresh
    duplicates: frozenset[PairKey]
    answers: list[Answers]
    pairs: list[Pairs]
    proposed: dict[Pivot, float]


def load_progress(engine: Engine, name: str) -> Progress:
    """What the database has of the spool `name`. Raises StoreError."""
    with reading(engine) as connection:
        row = connection.execute(select(spool).where(spool.c.name == name)).one_or_none()
    if row is None:
        return Progress(name)
    counted = {field: getattr(row, field) for field in Progress._fields[2:]}
    return Progress(name, Position(row.segment, row.offset), **counted)


def _unheard(event: str, **facts: object) -> None:
    """A log that nobody reads."""


class Writer:
    """Writes batches. Remembers the pivots, which never change, and `admission`: the names that have sums of their own."""

    def __init__(self, engine: Engine, admission: Admission | None = None, *, log: Callable[..., None] = _unheard) -> None:
        self._engine = engine
        self._admission = admission or Admission()
        self._days = DayMaker(engine, log=log)
        self._pivots: dict[Pivot, float] = {}

    def commit(self, progress: Progress, batch: Batch, *, at: int) -> Progress:
        """Writes `batch`, which begins at the position of `progress`, at Unix microsecond `at`; returns what it comes to.

        Raises InvalidInput or Conflict when a row among it is refused, StoreError when the database does not answer or another
        recorder has moved the spool's position. Nothing was written then.
        """
        try:
            return self._commit(progress, self._plan(batch.readings, trusting=True), batch=batch, at=at)
        except Conflict:  # an answer that was recorded before, perhaps by another recorder at this moment
            return self._commit(progress, self._plan(batch.readings, trusting=False), batch=batch, at=at)

    def _commit(self, progress: Progress, plan: Plan, *, batch: Batch, at: int) -> Progress:
        self._days.prepare((served_of(item).id for item in plan.fresh.readings), at=at)
        fold = self._fold(plan, plan.proposed | self._pivots)
        after = _after(progress, batch, fresh=plan.fresh)
        with writing(self._engine) as connection:
            lock(connection, LOCK, shared=True)
            _move(connection, progress, after=after, at=at)
            duplicates = _ask(connection, plan)
            outrun = duplicates != plan.duplicates  # another recorder was first, here or with a pivot
            if outrun:
                pairs = pairs_alike(plan.fresh.readings, duplicates=duplicates)
                plan = plan._replace(duplicates=duplicates, pairs=pairs)
            _write_rows(connection, plan)
            facts, waiting = joined_facts(connection, plan.fresh.readings, duplicates=duplicates)
            settled = self._settle(connection, plan.proposed | pivots_of(facts))
            if outrun or any(settled[key] != value for key, value in plan.proposed.items() if key in settled):
                fold = self._fold(plan, plan.proposed | self._pivots | settled)
            book = fold.book.with_pivots(self._pivots | settled)
            add_all(book, facts)
            add_drops(book.ledger, batch.drops)
            write_sums(connection, book)
            awaken(connection, waiting)
        self._pivots |= settled
        return after

    def _plan(self, readings: Sequence[Reading], *, trusting: bool) -> Plan:
        with reading(self._engine) as connection:
            fresh = find_fresh(connection, readings, trusting=trusting)
            load_admission(connection, self._admission, scopes=_named_scopes(fresh.readings))
        duplicates = fresh.duplicates()
        pairs = pairs_alike(fresh.readings, duplicates=duplicates)
        return Plan(fresh, duplicates, answers_alike(fresh.readings), pairs, first_numbers(fresh.readings))

    def _fold(self, plan: Plan, pivots: dict[Pivot, float]) -> Fold:
        fold = Fold(pivots, self._admission, duplicates=plan.duplicates)
        fold.add_batch(plan.fresh.readings, answers=plan.answers, pairs=plan.pairs)
        for joint in joints(plan.fresh.members, duplicates=plan.duplicates):
            fold.add_joint(joint)
        return fold

    def _settle(self, connection: Connection, proposed: dict[Pivot, float]) -> dict[Pivot, float]:
        return settle_pivots(connection, {key: value for key, value in proposed.items() if key not in self._pivots})


def _named_scopes(readings: Iterable[Reading]) -> set[tuple[str, int]]:
    """The routes and rollouts whose slices or paths get sums."""
    found = set()
    for item in readings:
        if item.slices or (isinstance(item, ComparedReading) and item.paths):
            context = context_of(item)
            found.add((storable(context.route), context.rollout))
    return found


def _ask(connection: Connection, plan: Plan) -> frozenset[PairKey]:
    """Notes the batch's questions as asked; returns the pairs that ask again."""
    asked = plan.fresh.questions
    rows = [
        {"rollout": rollout, "candidate": candidate, "digest": digest, "at": item.compared.served.at}
        for (rollout, candidate, digest), item in sorted(asked.items(), key=_of_question)
    ]
    inserted = insert_new(connection, pair_seen, rows=rows)
    if len(inserted) == len(rows):
        return plan.duplicates
    new = {Question(*key) for key in inserted}
    return plan.fresh._replace(questions={question: item for question, item in asked.items() if question in new}).duplicates()


def _of_question(item: tuple[Question, ComparedReading]) -> Question:
    return item[0]


def _write_rows(connection: Connection, plan: Plan) -> None:
    answers = [Group(steady_row(alike[0]), list(map(own_row, alike))) for alike in plan.answers]
    insert_groups(connection, prediction, columns=_PREDICTION, groups=answers)
    pairs = [
        Group(pair_steady_row(alike[0], duplicate=duplicate), list(map(pair_own_row, alike))) for alike, duplicate in plan.pairs
    ]
    insert_groups(connection, pair, columns=_PAIR, groups=pairs)


def _after(progress: Progress, batch: Batch, *, fresh: Fresh) -> Progress:
    tally = batch.tally
    moved = progress._replace(
        position=batch.end,
        offered=tally.offered if tally else progress.offered,
        accepted=tally.accepted if tally else progress.accepted,
        dropped=msgspec.json.encode(tally.dropped).decode() if tally else progress.dropped,
        committed=progress.committed + len(fresh.readings),
        quarantined=progress.quarantined + batch.quarantined,
        duplicate=progress.duplicate + fresh.replayed,
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
