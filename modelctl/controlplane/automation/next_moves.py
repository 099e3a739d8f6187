"""What automation does next with a route, as a status shows it."""

import msgspec
from sqlalchemy import Connection

from modelctl.controlplane.automation.conducting import Block, Standing, next_move
from modelctl.controlplane.automation.watching import WATCH, watched
from modelctl.controlplane.automation.zero import ZERO_TRAFFIC, ZeroTraffic
from modelctl.store import catalog, decisions, reading


class NextMove(msgspec.Struct, frozen=True, kw_only=True):
    """What automation does next and what it waits for. `command` is the one to type when a person is to clear the first block.

    `kind` is advance:STEP, promote, rollback, complete, hold or ended; `verb` is set when it happens at the next look. `since` is
    when the wait began, `due_at` when it ends by itself (0: not by itself); both in Unix milliseconds.
    """

    kind: str
    sentence: str
    mode: str
    verb: str
    blocked_by: tuple[Block, ...]
    command: str
    since: int
    due_at: int


class WatchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion that is watched until a Unix millisecond; `sentence` is the proof of harm that was found, else empty."""

    rollout: int
    backend: str
    baseline: str
    until: int
    mode: str
    sentence: str


def next_of(standing: Standing) -> NextMove:
    """The next move as people read it."""
    intent = next_move(standing)
    return NextMove(
        kind=intent.kind,
        sentence=intent.sentence,
        mode=standing.rollout.conduct.mode.value,
        verb=intent.verb.value if intent.verb else "",
        blocked_by=intent.blocked_by,
        command=next((block.command for block in intent.blocked_by), ""),
        since=intent.since,
        due_at=intent.due_at,
    )


def watch_of(connection: Connection, route: str, *, at: int) -> WatchStatus | None:
    """The watch over the route's last promotion at Unix microsecond `at`; None when there is none."""
    for rollout in watched(connection, at=at):
        if rollout.route == route:
            said = [one.sentence for one in decisions.latched(connection, rollout.id) if one.kind == WATCH]
            return WatchStatus(
                rollout=rollout.id,
                backend=rollout.winner,
                baseline=rollout.baseline,
                until=rollout.closed_at + rollout.conduct.watch_ms,
                mode=rollout.conduct.mode.value,
                sentence=said[0] if said else "",
            )
    return None


def last_zero(connection: Connection, route: str) -> ZeroTraffic | None:
    """The course of the rollback that ended the route's last rollout, if automation rolled it back."""
    last = catalog.last_rollout(connection, route)
    if last is None:
        return None
    where: dict[str, str | int] = {"route": route, "rollout": last.id, "action": ZERO_TRAFFIC}
    events = reading.events(connection, where, limit=1).items
    return msgspec.convert(events[0].detail, ZeroTraffic) if events else None
