"""Reading without changing, each in one transaction."""

from sqlalchemy import Engine

from modelctl.rollout import Rollout
from modelctl.store import catalog, decisions, reading
from modelctl.store import engine as store
from modelctl.store.catalog import Catalog, Event, StoredTable
from modelctl.store.decisions import Decision
from modelctl.store.reading import Page, Pair, Prediction


def read_catalog(engine: Engine) -> Catalog:
    """Everything live."""
    with store.reading(engine) as connection:
        return catalog.load(connection)


def read_table(engine: Engine) -> StoredTable | None:
    """The newest routing table; None before the first."""
    with store.reading(engine) as connection:
        return catalog.newest_table(connection)


def read_rollout(engine: Engine, rollout: int) -> Rollout:
    """Raises NotFound."""
    with store.reading(engine) as connection:
        return catalog.find_rollout(connection, rollout)


def read_decisions(engine: Engine, rollout: int) -> tuple[Decision, ...]:
    """What was decided about a rollout, from first to last. Raises NotFound."""
    with store.reading(engine) as connection:
        return decisions.latched(connection, catalog.find_rollout(connection, rollout).id)


def read_bundle(engine: Engine, decision: int) -> bytes:
    """What a decision was made from. Raises NotFound."""
    with store.reading(engine) as connection:
        return decisions.bundle_of(connection, decision)


def read_rollouts(engine: Engine, route: str | None, *, limit: int, cursor: str | None) -> Page[Rollout]:
    """Rollouts of a route or of all, open and ended, newest first."""
    with store.reading(engine) as connection:
        return reading.rollouts(connection, _where(route=route), limit=limit, cursor=cursor)


def read_predictions(engine: Engine, where: dict[str, str | None], *, limit: int, cursor: str | None) -> Page[Prediction]:
    """Predictions whose columns have the values that are not None, newest first."""
    with store.reading(engine) as connection:
        return reading.predictions(connection, _where(**where), limit=limit, cursor=cursor)


def read_pairs(engine: Engine, where: dict[str, str | int | None], *, limit: int, cursor: str | None) -> Page[Pair]:
    """Pairs whose columns have the values that are not None, newest first."""
    with store.reading(engine) as connection:
        return reading.pairs(connection, _where(**where), limit=limit, cursor=cursor)


def read_events(engine: Engine, route: str | None, *, limit: int, cursor: str | None) -> Page[Event]:
    """The history, newest first."""
    with store.reading(engine) as connection:
        return reading.events(connection, _where(route=route), limit=limit, cursor=cursor)


def _where(**columns: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in columns.items() if value is not None}
