"""The verbs of an open rollout: advance, pause, resume, promote, roll back, complete."""

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.operations.change import Author, Change, check_revision, publish, store_stages
from modelctl.controlplane.operations.guarding import pass_barriers
from modelctl.controlplane.operations.routes import repoint, route_event
from modelctl.errors import Ambiguous, InvalidInput
from modelctl.rollout import Rollout, Verb, apply, legal_verbs
from modelctl.store import catalog as store
from modelctl.store.catalog import Catalog, Event
from modelctl.store.engine import writing


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A verb for a rollout. `winner` goes with promoting one of several candidates.

    `force` raises exposure although its gate is not passed, in a freeze or without approvals; the author's reason says why.
    """

    verb: Verb
    winner: str = ""
    force: bool = False


def move_rollout(engine: Engine, rollout: int, *, move: Move, author: Author, revision: int | None = None) -> Change[Rollout]:
    """Applies the verb. A change of shares ends the stage and opens the next one; promoting moves the route's baseline.

    Raises NotFound, StaleRevision, IllegalMove, GateNotPassed, and Ambiguous when a winner has to be named.
    """
    with writing(engine) as connection:
        return move_within(connection, rollout, move=move, author=author, revision=revision)


def move_within(
    connection: Connection, rollout: int, *, move: Move, author: Author, revision: int | None = None
) -> Change[Rollout]:
    """What `move_rollout` does, in a transaction of the caller's."""
    before = store.load(connection)
    current = store.find_rollout(connection, rollout)
    check_revision(f"rollout {rollout}", wanted=revision, current=current.revision)
    decided = decide_move(current, move, at=author.at)
    forced = pass_barriers(connection, current, verb=move.verb, force=move.force, author=author)
    moved = store_stages(connection, current, moved=decided, at=author.at)
    after, event = _consequences(connection, before, moved=moved, verb=move.verb, author=author)
    event = msgspec.structs.replace(event, detail=event.detail | ({"forced": list(forced)} if forced else {}))
    table, lost = publish(connection, before, after=after, event=event)
    return Change(subject=moved, table=table, bereft=lost)


def decide_move(rollout: Rollout, move: Move, *, at: int) -> Rollout:
    """The rollout after the move at Unix microsecond `at`. Pure."""
    if move.winner and move.verb is not Verb.PROMOTE:
        raise InvalidInput(f"a winner goes with promote, not with {move.verb}")
    if move.verb is not Verb.PROMOTE or move.verb not in legal_verbs(rollout):
        return apply(rollout, move.verb, at=at // 1000)
    return apply(rollout, move.verb, at=at // 1000, winner=_winner(rollout, move.winner))


def _winner(rollout: Rollout, named: str) -> str:
    if named and named not in rollout.candidates:
        raise InvalidInput(
            f"{named!r} is no candidate of rollout {rollout.id}; its candidates are {', '.join(rollout.candidates)}"
            + (f"; to keep the baseline: modelctl rollback {rollout.route}" if named == rollout.baseline else "")
        )
    if named or len(rollout.candidates) == 1:
        return named or rollout.candidates[0]
    commands = "\n".join(f"  modelctl promote {rollout.route} --winner {name}" for name in rollout.candidates)
    raise Ambiguous(f"rollout {rollout.id} has {len(rollout.candidates)} candidates, so name the winner:\n{commands}")


def _consequences(connection: Connection, before: Catalog, *, moved: Rollout, verb: Verb, author: Author) -> tuple[Catalog, Event]:
    others = tuple(rollout for rollout in before.rollouts if rollout.id != moved.id)
    after = msgspec.structs.replace(before, rollouts=(*others, moved) if moved.open else others)
    if not moved.winner:
        return after, _event(moved, verb, author=author)
    route = before.route(moved.route)
    changed, after = repoint(connection, after, route=route, baseline=moved.winner)
    return after, route_event(verb.value, changed, author=author, baseline_from=route.baseline, rollout=moved.id)


def _event(rollout: Rollout, verb: Verb, *, author: Author) -> Event:
    return Event(
        at=author.at,
        actor=author.actor,
        action=verb.value,
        route=rollout.route,
        rollout=rollout.id,
        reason=author.reason,
        detail={"phase": rollout.phase.value, "step": rollout.current.title, "stage": rollout.stage},
    )
