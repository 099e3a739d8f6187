"""What marks predictions as imported or given back: a line of the history, which names the spool they came by."""

from sqlalchemy import Engine

from modelctl.controlplane.operations.change import Author
from modelctl.store import catalog
from modelctl.store.catalog import Event
from modelctl.store.engine import writing


def note_import(engine: Engine, spool: str, *, taken: int, source: str, author: Author) -> None:
    """Writes down who imported how many lines, and from where. Raises StoreError."""
    _append(engine, "import", detail={"spool": spool, "taken": taken, "source": source}, author=author)


def note_requeue(engine: Engine, spool: str, *, requeued: int, author: Author) -> None:
    """Writes down who gave how many records back to the recorder. Raises StoreError."""
    _append(engine, "requeue", detail={"spool": spool, "requeued": requeued}, author=author)


def _append(engine: Engine, action: str, *, detail: dict[str, object], author: Author) -> None:
    event = Event(at=author.at, actor=author.actor, action=action, reason=author.reason, detail=detail)
    with writing(engine) as connection:
        catalog.append_event(connection, event)
