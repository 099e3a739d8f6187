"""The verbs of an open rollout: advance, pause, resume, promote, roll back."""

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.operations.change import Author, Change, check_revision, publish, store_stages
from modelctl.controlplane.operations.routes import repoint, route_event
from modelctl.errors import Ambiguous, InvalidInput
from modelctl.rollout import Rollout, Verb, apply, legal_verbs
from modelctl.store import catalog as store
from modelctl.store.catalog import Catalog, Event
from modelctl.store.engine import writing


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A verb for a rollout. `winner` goes with promoting one of several candidates."""

    verb: Verb
    winner: str = ""


def move_rollout(engine: Engine, rollout: int, *, move: Move, author: Author, revision: int | None = None) -> Change[Rollout]:
    """Applies the verb. A change of shares ends the stage and opens the next one; promoting moves the route's baseline.

    Raises NotFound, StaleRevision, IllegalMove, and Ambiguous when a winner has to be named.
    """
    with writing(engine) as connection:
        before = store.load(connection)
        current = store.find_rollout(connection, rollout)
        check_revision(f"rollout {rollout}", wanted=revision, current=current.revision)
        moved = store_stages(connection, current, moved=decide_move(current, move, at=author.at), at=author.at)
        after, event = _consequences(connection, before, moved=moved, verb=move.verb, author=author)
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
