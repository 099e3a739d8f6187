"""What records refer to: how backends are read, and under which terms requests fell."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine, select

from modelctl.evidence import Answer, Compared, Context, Served
from modelctl.latency import bucket_index
from modelctl.metric import Dimension, Field
from modelctl.recorder.readings import Judged, Reading, judge, understand
from modelctl.recorder.terms import WARM_UP, Terms
from modelctl.rollout import Rollout
from modelctl.store.engine import reading
from modelctl.store.tables import backend, rollout, route, stage
from modelctl.traffic import Arm, Backend

T = TypeVar("T")
_NOTHING = Terms()
# Answers whose reading is remembered: how many, and of how many bytes and values each. About 16 MiB at most.
_REMEMBERED, _REMEMBERED_BYTES, _REMEMBERED_VALUES = 8192, 1024, 4


class Known:
    """Backends, routes and stages, as the database has them. The first two change with the routing table only: a new one makes it
    look again. Stages never change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._backends: dict[str, Backend] = {}
        self._routes: dict[str, Terms] = {}
        self._stages: dict[int, Terms] = {}
        self._judged: dict[tuple[object, ...], Judged] = {}
        self._table = -1

    def learn(self, records: Iterable[Served | Compared]) -> None:
        """Reads from the database what `records` refer to, unless it is known. Raises StoreError."""
        names: set[str] = set()
        stages: set[int] = set()
        table = self._table
        for record in records:
            served = _served(record)
            context = served.context
            names.add(served.answer.backend)
            if isinstance(record, Compared):
                names.add(record.shadow.backend)
            stages.add(context.stage)
            table = max(table, context.table)
        stages -= {0, *self._stages}
        stale = table > self._table or not names <= self._backends.keys()
        if not stale and not stages:
            return
        with reading(self._engine) as connection:
            if stale:
                self._backends, self._routes = _backends(connection), _routes(connection)
                self._table = table
                self._judged.clear()
            self._stages |= terms_of(connection, stages)

    def read(self, record: Served | Compared) -> Reading:
        """What `record` says. Pure, for what was learnt."""
        return understand(record, self._judge, terms=self._terms(_served(record).context))

    def _terms(self, context: Context) -> Terms:
        if context.rollout:
            return self._stages.get(context.stage, _NOTHING)
        return self._routes.get(context.route, _NOTHING)

    def _judge(self, answer: Answer) -> Judged:
        """Answers repeat: a pair holds the one that the client got, and many model servers say few things."""
        if len(answer.body) > _REMEMBERED_BYTES:
            return judge(answer, self._backends.get(answer.backend))
        said = (answer.backend, answer.status, answer.failure, answer.encoding, answer.size, answer.body)
        found = self._judged.get(said)
        if found is None:
            found = judge(answer, self._backends.get(answer.backend))
            self._remember(said, found)
        return found

    def _remember(self, said: tuple[object, ...], found: Judged) -> None:
        if len(found.values) <= _REMEMBERED_VALUES:
            if len(self._judged) >= _REMEMBERED:
                self._judged.clear()
            self._judged[said] = found


def _backends(connection: Connection) -> dict[str, Backend]:
    rows = connection.execute(select(backend.c.name, backend.c.spec))
    found = ((row.name, _decoded(row.spec, Backend)) for row in rows)
    return {name: spec for name, spec in found if spec is not None}


def _routes(connection: Connection) -> dict[str, Terms]:
    rows = connection.execute(select(route.c.name, route.c.fields, route.c.dimensions))
    return {
        row.name: Terms(
            fields=_decoded(row.fields, tuple[Field, ...]) or (), dimensions=_decoded(row.dimensions, tuple[Dimension, ...]) or ()
        )
        for row in rows
    }


def terms_of(connection: Connection, stages: set[int]) -> dict[int, Terms]:
    """Under which terms requests fell in these stages."""
    # A stage number that no column can hold comes from a broken record, which the writer will refuse by itself.
    wanted = [number for number in stages if 0 < number < 1 << 63]
    query = select(stage.c.id, stage.c.arms, stage.c.opened_at, rollout.c.spec)
    rows = connection.execute(query.join(rollout, rollout.c.id == stage.c.rollout).where(stage.c.id.in_(wanted)))
    return {row.id: _terms(row.arms, row.spec, opened_at=row.opened_at) for row in rows}


def _terms(arms: str, spec: str, *, opened_at: int) -> Terms:
    basis = Terms(arms=_decoded(arms, tuple[Arm, ...]) or (), warm_until=opened_at + WARM_UP)
    declared = _decoded(spec, Rollout)
    if declared is None:
        return basis
    sticky = declared.unit != "request"
    lines = {bucket_index(gate.slower_ms * 1000) for gate in declared.gates if gate.slower_ms} if sticky else set()
    return basis._replace(
        fields=declared.fields,
        dimensions=declared.dimensions,
        sticky=sticky,
        slower=tuple(sorted(lines)),
        deduplicate=declared.conduct.deduplicate,
    )


def _decoded(text: str, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.DecodeError, ValueError):  # written by another version: the record is kept all the same
        return None


def _served(record: Served | Compared) -> Served:
    return record if isinstance(record, Served) else record.served
