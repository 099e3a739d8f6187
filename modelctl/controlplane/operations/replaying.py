"""Beginning a replay, or going on with one; what it reads and where it has come."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, func, select, tuple_

from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.operations.terms import AskedGates, check_terms, read_terms
from modelctl.controlplane.strategies import plan, recipe_for
from modelctl.errors import InvalidInput
from modelctl.rollout import Phase, Rollout
from modelctl.store import catalog as store
from modelctl.store.catalog import Catalog, Event
from modelctl.store.engine import reading, writing
from modelctl.store.tables import event, pair, prediction
from modelctl.store.tables import rollout as rollouts
from modelctl.traffic import Backend

STRATEGY = "replay"
BEGAN, STOPPED = "replay", "replay-stop"
MOST_RATE = 10_000.0
_KEY = (prediction.c.at, prediction.c.id)


class NewReplay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is replayed: requests that the route's baseline answered from Unix microsecond `since` on, at most `limit` of them (0:
    all), at most `rate` a second. `window` names the span in words, so that the same words go on with what they began."""

    candidate: str
    since: int = 0
    window: str = ""
    rate: float = 50.0
    limit: int = 0
    gates: AskedGates = ()
    reason: str = ""
    actor: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= MOST_RATE:
            raise InvalidInput(
                f"the rate of a replay must be above 0 and at most {MOST_RATE:,.0f} requests a second, not {self.rate:g}"
            )
        if self.limit < 0 or self.since < 0:
            raise InvalidInput("the limit and the beginning of a replay are not below 0")


class Place(msgspec.Struct, frozen=True):
    """How far a replay has come: everything up to this prediction is done. `sent` requests became pairs."""

    at: int = 0
    id: str = ""
    sent: int = 0
    skipped: dict[str, int] = msgspec.field(default_factory=dict)
    done: bool = False


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A replay as it is run: predictions of the baseline from `since` on and before `until`, behind `place`.

    `path` is the route's, and of an answer's body its first `keep` bytes are recorded.
    """

    rollout: Rollout
    candidate: Backend
    path: str
    keep: int
    since: int
    until: int
    place: Place = Place()


def open_replay(engine: Engine, route: str, *, wanted: NewReplay, author: Author, salt: str) -> Replay:
    """The replay that was begun with the same candidate, window and gates and is not done, else a new one.

    It is a rollout that has ended before it begins: it decides about no traffic. Raises NotFound, InvalidInput.
    """
    with writing(engine) as connection:
        catalog = store.load(connection)
        asked = _asked(catalog, route, wanted=wanted, author=author, salt=salt)
        entry, candidate = catalog.route(route), catalog.backend(wanted.candidate).backend
        keep = entry.capture.answer_bytes
        begun = _begun(connection, asked, window=wanted.window)
        if begun is not None:
            found, detail = begun
            place = last_place(connection, found)
            if not place.done:
                span = {"since": int(detail["since"]), "until": int(detail["until"])}
                return Replay(rollout=found, candidate=candidate, path=entry.path, keep=keep, place=place, **span)
        opened = store.insert_rollout(connection, asked)
        stage = store.open_stage(connection, opened, arms=opened.current.arms, at=author.at)
        store.close_stages(connection, opened.id, at=author.at)
        opened = msgspec.structs.replace(opened, stage=stage)
        store.save_rollout(connection, opened, replaces=opened.revision)
        detail = {"since": wanted.since, "until": author.at, "window": wanted.window, "candidates": list(opened.candidates)}
        store.append_event(connection, _event(opened, BEGAN, author=author, detail=detail))
    return Replay(rollout=opened, candidate=candidate, path=entry.path, keep=keep, since=wanted.since, until=author.at)


def rows_behind(engine: Engine, replay: Replay, *, place: Place, limit: int) -> Sequence[Row[Any]]:
    """The next recorded predictions of the baseline, in the order of time."""
    table = prediction.c
    query = select(prediction).where(
        table.route == replay.rollout.route,
        table.arm == replay.rollout.baseline,
        table.at >= max(replay.since, place.at),
        table.at < replay.until,
        tuple_(*_KEY) > tuple_(place.at, place.id),
    )
    with reading(engine) as connection:
        return connection.execute(query.order_by(*_KEY).limit(limit)).all()


def keep_place(engine: Engine, rollout: Rollout, *, place: Place, author: Author) -> None:
    """Writes down how far the replay has come, when it stops or is done."""
    with writing(engine) as connection:
        store.append_event(connection, _event(rollout, STOPPED, author=author, detail=msgspec.to_builtins(place)))


def last_place(connection: Connection, rollout: Rollout) -> Place:
    """Where a replay goes on: where it stopped, or behind its newest pair when it was killed."""
    query = select(event.c.detail).where(event.c.rollout == rollout.id, event.c.action == STOPPED)
    kept = connection.execute(query.order_by(event.c.id.desc()).limit(1)).scalar()
    place = Place() if kept is None else msgspec.json.decode(kept, type=Place)
    newest = connection.execute(select(func.max(pair.c.at)).where(pair.c.rollout == rollout.id)).scalar()
    if newest is None or newest <= place.at:
        return place
    # Its microsecond is sent again: what is a pair already becomes no second one.
    before = select(func.count()).where(pair.c.rollout == rollout.id, pair.c.at < newest)
    return msgspec.structs.replace(place, at=int(newest), id="", sent=int(connection.execute(before).scalar() or 0))


def _asked(catalog: Catalog, route: str, *, wanted: NewReplay, author: Author, salt: str) -> Rollout:
    entry = catalog.route(route)
    catalog.backend(wanted.candidate)
    steps = plan(recipe_for("shadow", {}), entry.baseline, candidates=(wanted.candidate,))
    at = author.at // 1000
    asked = Rollout(
        id=0,
        route=route,
        strategy=STRATEGY,
        phase=Phase.COMPLETED,
        baseline=entry.baseline,
        candidates=(wanted.candidate,),
        steps=(msgspec.structs.replace(steps[0], title=f"recorded requests sent to {wanted.candidate}"),),
        salt=salt,
        opened_at=at,
        closed_at=at,
        step_at=at,
        unit=entry.unit,
        fields=entry.fields,
        dimensions=entry.dimensions,
        gates=read_terms(wanted.gates, None, standing=None).gates,
        actor=author.actor,
        reason=author.reason,
    )
    check_terms(asked)
    return asked


def _begun(connection: Connection, asked: Rollout, *, window: str) -> tuple[Rollout, dict[str, Any]] | None:
    """The newest replay of the route, if it is of the same kind, with what it was begun with."""
    query = select(rollouts).where(rollouts.c.route == asked.route, rollouts.c.strategy == STRATEGY)
    row = connection.execute(query.order_by(rollouts.c.id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    found = store.read_rollout(row)
    mine = select(event.c.detail).where(event.c.rollout == found.id, event.c.action == BEGAN)
    detail = msgspec.json.decode(connection.execute(mine.limit(1)).scalar() or "{}", type=dict[str, Any])
    same = (found.candidates, found.baseline, found.gates) == (asked.candidates, asked.baseline, asked.gates)
    return (found, detail) if same and detail.get("window") == window else None


def _event(rollout: Rollout, action: str, *, author: Author, detail: dict[str, Any]) -> Event:
    return Event(
        at=author.at,
        actor=author.actor,
        action=action,
        route=rollout.route,
        rollout=rollout.id,
        reason=author.reason,
        detail=detail,
    )
