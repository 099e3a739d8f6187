"""How a route's last rollout ended, as a status shows it once nothing is open."""

import msgspec
from sqlalchemy import Connection

from modelctl.rollout import Verb
from modelctl.store import catalog, reading


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Who ended the rollout, when (Unix milliseconds) and why; `winner` is empty unless it was promoted."""

    rollout: int
    strategy: str
    phase: str
    winner: str
    candidates: tuple[str, ...]
    at: int
    actor: str
    reason: str


def ending_of(connection: Connection, route: str) -> Ending | None:
    """The end of the route's last rollout; None when it had none, or it is open."""
    last = catalog.last_rollout(connection, route)
    if last is None or last.open:
        return None
    ends = (Verb.PROMOTE, Verb.ROLLBACK, Verb.COMPLETE)
    found = (reading.events(connection, {"route": route, "rollout": last.id, "action": verb.value}, limit=1).items for verb in ends)
    event = next((events[0] for events in found if events), None)
    return Ending(
        rollout=last.id,
        strategy=last.strategy,
        phase=last.phase.value,
        winner=last.winner,
        candidates=last.candidates,
        at=last.closed_at,
        actor=event.actor if event else "",
        reason=event.reason if event else "",
    )
