"""What records refer to: how backends are read, and which arms a stage had."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine, select

from modelctl.evidence import Answer, Compared, Served
from modelctl.recorder.rows import ComparedReading, Judged, Reading, ServedReading, compare, judge
from modelctl.store.engine import reading
from modelctl.store.tables import backend, stage
from modelctl.traffic import Arm, Backend

T = TypeVar("T")


class Known:
    """Backends and stages, as the database has them. Backends change with the routing table only: a new one makes it look again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._backends: dict[str, Backend] = {}
        self._arms: dict[int, tuple[Arm, ...]] = {}
        self._table = -1

    def learn(self, records: Iterable[Served | Compared]) -> None:
        """Reads from the database what `records` refer to, unless it is known. Raises StoreError."""
        seen = list(records)
        contexts = [_served(record).context for record in seen]
        names = {answer.backend for record in seen for answer in _answers(record)}
        stages = {context.stage for context in contexts if context.stage} - self._arms.keys()
        table = max((context.table for context in contexts), default=self._table)
        stale = table > self._table or not names <= self._backends.keys()
        if not stale and not stages:
            return
        with reading(self._engine) as connection:
            if stale:
                self._backends = _backends(connection)
                self._table = max(table, self._table)
            self._arms |= _arms(connection, stages)

    def read(self, record: Served | Compared) -> Reading:
        """What `record` says. Pure, for what was learnt."""
        if isinstance(record, Served):
            return ServedReading(record, self._judge(record.answer), self._arms.get(record.context.stage, ()))
        baseline, candidate = self._judge(record.served.answer), self._judge(record.shadow)
        return ComparedReading(record, baseline, candidate, compare(baseline, candidate))

    def _judge(self, answer: Answer) -> Judged:
        return judge(answer, self._backends.get(answer.backend))


def _backends(connection: Connection) -> dict[str, Backend]:
    rows = connection.execute(select(backend.c.name, backend.c.spec))
    found = ((row.name, _decoded(row.spec, Backend)) for row in rows)
    return {name: spec for name, spec in found if spec is not None}


def _arms(connection: Connection, stages: set[int]) -> dict[int, tuple[Arm, ...]]:
    # A stage number that no column can hold comes from a broken record, which the writer will refuse by itself.
    wanted = [number for number in stages if 0 < number < 1 << 63]
    rows = connection.execute(select(stage.c.id, stage.c.arms).where(stage.c.id.in_(wanted)))
    return {row.id: _decoded(row.arms, tuple[Arm, ...]) or () for row in rows}


def _decoded(text: str, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.DecodeError, ValueError):  # written by another version: the record is kept all the same
        return None


def _served(record: Served | Compared) -> Served:
    return record if isinstance(record, Served) else record.served


def _answers(record: Served | Compared) -> tuple[Answer, ...]:
    return (record.answer,) if isinstance(record, Served) else (record.served.answer, record.shadow)
