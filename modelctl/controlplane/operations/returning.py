"""Taking a promotion back: the baseline that a rollout replaced answers everything again."""

from sqlalchemy import Connection

from modelctl.controlplane.operations.change import Author, Change, publish
from modelctl.controlplane.operations.routes import repoint, route_event
from modelctl.errors import Conflict
from modelctl.rollout import Rollout
from modelctl.store import catalog as store
from modelctl.store.catalog import RouteEntry


def take_back(connection: Connection, rollout: Rollout, *, author: Author) -> Change[RouteEntry]:
    """Puts the promoted rollout's baseline back. Raises NotFound, and Conflict when the route has moved on since."""
    before = store.load(connection)
    route = before.route(rollout.route)
    before.backend(rollout.baseline)
    if route.baseline != rollout.winner or before.open_rollout(route.name) is not None:
        raise Conflict(f"route {route.name!r} has moved on since rollout {rollout.id} was promoted: nothing is taken back")
    changed, after = repoint(connection, before, route=route, baseline=rollout.baseline)
    event = route_event("rollback", changed, author=author, baseline_from=route.baseline, rollout=rollout.id)
    table, lost = publish(connection, before, after=after, event=event)
    return Change(subject=changed, table=table, bereft=lost)
