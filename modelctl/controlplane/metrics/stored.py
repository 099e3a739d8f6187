"""What the store has to say to a scrape, read in one transaction."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, select

from modelctl.store import catalog
from modelctl.store.engine import reading
from modelctl.store.tables import decision, rollout, spool


class Stored(NamedTuple):
    """Sums over all spools; how many records of each spool are dealt with; decisions by route and kind; open rollouts by route and
    phase. `known` is False before the database has said anything."""

    committed: int = 0
    quarantined: int = 0
    duplicate: int = 0
    corrupt_bytes: int = 0
    done: Mapping[str, int] = {}
    decisions: Mapping[tuple[str, ...], int] = {}
    rollouts: Mapping[tuple[str, ...], int] = {}
    known: bool = False


def read_stored(engine: Engine) -> Stored:
    """Raises StoreError."""
    with reading(engine) as connection:
        rows = connection.execute(select(spool)).all()
        opened = catalog.open_rollouts(connection)
        return Stored(
            committed=sum(row.committed for row in rows),
            quarantined=sum(row.quarantined for row in rows),
            duplicate=sum(row.duplicate for row in rows),
            corrupt_bytes=sum(row.corrupt_bytes for row in rows),
            done={row.name: row.committed + row.quarantined + row.duplicate for row in rows},
            decisions=_decisions(connection),
            rollouts=Counter((one.route, one.phase.value) for one in opened),
            known=True,
        )


def _decisions(connection: Connection) -> Counter[tuple[str, ...]]:
    """By route and the first word of their kind: `advance:2` is an advance."""
    columns = (rollout.c.route, decision.c.kind)
    query = select(*columns, func.count()).join(rollout, rollout.c.id == decision.c.rollout).group_by(*columns)
    found: Counter[tuple[str, ...]] = Counter()
    for route, kind, count in connection.execute(query):
        found[route, kind.partition(":")[0]] += count
    return found
