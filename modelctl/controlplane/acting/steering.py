"""One look at one open rollout, and what follows from it: decisions latched, a hold written down, or a verb executed.

What has to be written is looked at again in the transaction that writes it, after the lease was checked there: a decision, its
evidence and its consequence are of one moment, and a process that lost the lease writes nothing.
"""

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.automation.conducting import CONTROLLER, INCONCLUSIVE, Intent, Standing, next_move
from modelctl.controlplane.automation.standing import Look, look_at
from modelctl.controlplane.operations.change import Author, Change
from modelctl.controlplane.operations.latching import fresh, latch, tell, untold
from modelctl.controlplane.operations.moving import Move, move_within
from modelctl.rollout import Rollout, Verb
from modelctl.store import catalog, decisions
from modelctl.store.catalog import Event
from modelctl.store.engine import reading, writing

MAX_REASON = 2_000

Guard = Callable[[Connection], int]
"""Tells the Unix microsecond of now, inside a transaction in which the lease is held. Raises LeaseLost."""


def steer(engine: Engine, rollout: int, *, at: int, guard: Guard) -> Change[Rollout] | None:
    """Looks at the rollout at Unix microsecond `at`; the change that followed, or None.

    Raises StoreError, LeaseLost, and Conflict when somebody else changed the rollout meanwhile.
    """
    with reading(engine) as connection:
        look = look_at(connection, catalog.find_rollout(connection, rollout), at=at)
        quiet = not look.standing.rollout.open or not _writes(connection, look)
    if quiet:
        return None
    with writing(engine) as connection:
        now = guard(connection)
        return _act(connection, look_at(connection, catalog.find_rollout(connection, rollout), at=now), at=now)


def _writes(connection: Connection, look: Look) -> bool:
    intent = next_move(look.standing)
    return bool(intent.verb or intent.holds or fresh(look) or untold(connection, look))


def _act(connection: Connection, look: Look, *, at: int) -> Change[Rollout] | None:
    if not look.standing.rollout.open:
        return None
    author = Author(actor=CONTROLLER, at=at)
    tell(connection, look, kinds=untold(connection, look), author=author)
    latched = dict.fromkeys(latch(connection, look, author=author), at // 1000)
    standing = msgspec.structs.replace(look.standing, latched=look.standing.latched | latched)
    intent = next_move(standing)
    if intent.holds:
        _hold(connection, standing.rollout, intent=intent, at=at)
    return _move(connection, standing, intent=intent, at=at) if intent.verb else None


def _move(connection: Connection, standing: Standing, *, intent: Intent, at: int) -> Change[Rollout]:
    verb, rollout = intent.verb or Verb.ROLLBACK, standing.rollout
    author = Author(actor=CONTROLLER, reason=intent.sentence[:MAX_REASON], at=at)
    move = Move(verb=verb, winner=intent.winner)
    change = move_within(connection, rollout.id, move=move, author=author, revision=rollout.revision)
    unproven = verb is Verb.ROLLBACK and not standing.proven
    decisions.acted(connection, rollout.id, kind=INCONCLUSIVE if unproven else intent.kind, verb=verb.value)
    return change


def _hold(connection: Connection, rollout: Rollout, *, intent: Intent, at: int) -> None:
    held = msgspec.structs.replace(rollout, holds=intent.holds, revision=rollout.revision + 1)
    catalog.save_rollout(connection, held, replaces=rollout.revision)
    event = Event(
        at=at, actor=CONTROLLER, action="hold", route=rollout.route, rollout=rollout.id, reason=intent.sentence[:MAX_REASON]
    )
    catalog.append_event(connection, event)
