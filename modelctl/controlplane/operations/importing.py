"""What marks predictions as imported: a line of the history, which names the spool they came by."""

from sqlalchemy import Engine

from modelctl.controlplane.operations.change import Author
from modelctl.store import catalog
from modelctl.store.catalog import Event
from modelctl.store.engine import writing


def note_import(engine: Engine, spool: str, *, taken: int, source: str, author: Author) -> None:
    """Writes down who imported how many lines, and from where. Raises StoreError."""
    detail = {"spool": spool, "taken": taken, "source": source}
    event = Event(at=author.at, actor=author.actor, action="import", reason=author.reason, detail=detail)
    with writing(engine) as connection:
        catalog.append_event(connection, event)
