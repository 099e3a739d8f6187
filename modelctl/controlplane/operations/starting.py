"""Starting a rollout, and finding out what the command left unsaid."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.operations.backends import users_of
from modelctl.controlplane.operations.change import Author, Change, publish, store_stages
from modelctl.controlplane.operations.outlook import settings_of
from modelctl.controlplane.operations.raising import pass_raise
from modelctl.controlplane.operations.routes import refuse_open_rollout
from modelctl.controlplane.operations.terms import AskedGates, ConductChanges, Terms, check_terms, read_terms, same_promise
from modelctl.controlplane.operations.words import terms_words
from modelctl.controlplane.planning.reach import require_reachable
from modelctl.controlplane.strategies import Recipe, plan, recipe_for
from modelctl.errors import Ambiguous, Conflict, InvalidInput
from modelctl.gate import gate_text
from modelctl.rollout import Rollout, Step, Verb, apply, exposes, replan
from modelctl.store import catalog as store
from modelctl.store.catalog import Catalog, Event, RouteEntry
from modelctl.store.engine import writing


class NewRollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rollout as it is asked for. `route` None and no candidates mean: the only ones possible.

    `gates` are gates or their text; `conduct` names what is not the default. None: as in the rollout whose shares change.
    `force` gives a larger share although its gate is not passed, or in a freeze; it needs the reason.
    """

    strategy: str
    route: str | None = None
    candidates: tuple[str, ...] = ()
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    gates: AskedGates | None = None
    conduct: ConductChanges | None = None
    force: bool = False
    reason: str = ""
    actor: str = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What the command means: nothing is left to guess. `inferred` says what was not told, in sentences.

    `changes` is the open rollout whose ladder is replaced, `ends` the one that makes way; at most one of them is there.
    """

    route: RouteEntry
    candidates: tuple[str, ...]
    steps: tuple[Step, ...]
    terms: Terms
    changes: Rollout | None = None
    ends: Rollout | None = None
    inferred: tuple[str, ...] = ()


def start_rollout(engine: Engine, wanted: NewRollout, *, author: Author, salt: str) -> Change[Rollout]:
    """Opens a rollout and its first stage, or changes the ladder of the open one that has the same strategy and candidates.

    `salt` is 32 random hex digits, kept as long as the rollout lasts. Raises InvalidInput, Ambiguous with the commands to choose
    from, NotFound, GateNotPassed, and Conflict for a route with an open rollout whose candidate answers clients.
    """
    recipe = recipe_for(wanted.strategy, wanted.parameters)
    with writing(engine) as connection:
        before = store.load(connection)
        decided = decide_start(before, wanted, recipe=recipe)
        asked = _asked(wanted, decided, author=author, salt=salt)
        check_terms(asked)
        for setting in settings_of(connection, asked, at=author.at) if asked.gates else ():
            require_reachable(setting)
        forced = pass_raise(connection, asked, standing=decided.changes, force=wanted.force, author=author)
        if decided.changes is not None:
            rollout = store_stages(connection, decided.changes, moved=asked, at=author.at)
        else:
            if decided.ends is not None:
                _make_way(connection, decided.ends, wanted=wanted, author=author)
            rollout = _store(connection, asked, at=author.at)
        others = tuple(other for other in before.rollouts if other.route != rollout.route)
        after = msgspec.structs.replace(before, rollouts=(*others, rollout))
        event = _event(rollout, wanted, author=author, action="start" if decided.changes is None else "change")
        event = msgspec.structs.replace(event, detail=event.detail | ({"forced": list(forced)} if forced else {}))
        table, lost = publish(connection, before, after=after, event=event)
    return Change(subject=rollout, table=table, bereft=lost, inferred=decided.inferred)


def decide_start(catalog: Catalog, wanted: NewRollout, *, recipe: Recipe) -> Decided:
    """The route, the candidates and the ladder that `wanted` means, and what becomes of the route's open rollout. Pure."""
    route, route_words = _route(catalog, wanted, recipe=recipe)
    standing = catalog.open_rollout(route.name)
    candidates, candidate_words = _candidates(catalog, wanted, route=route, recipe=recipe, standing=standing)
    for name in candidates:
        catalog.backend(name)
    steps = plan(recipe, route.baseline, candidates=candidates)
    changes = ends = None
    words: tuple[str, ...] = ()
    if standing is not None and _continues(standing, wanted, candidates=candidates):
        changes = standing
        words = (f"rollout {standing.id} is open with the same candidate, so its shares change and every unit keeps its place",)
    elif standing is not None and not exposes(standing):
        ends = standing
        words = (f"the {standing.strategy} before it (rollout {standing.id}) has ended: it gave clients no answers",)
    else:
        refuse_open_rollout(catalog, route.name)
    inferred = (*route_words, *candidate_words, *words)
    terms = read_terms(wanted.gates, wanted.conduct, standing=changes)
    return Decided(route=route, candidates=candidates, steps=steps, terms=terms, changes=changes, ends=ends, inferred=inferred)


def _continues(standing: Rollout, wanted: NewRollout, *, candidates: tuple[str, ...]) -> bool:
    """Whether the open rollout goes on with another ladder. Raises Conflict when it would have to prove something else."""
    if standing.strategy != wanted.strategy or set(standing.candidates) != set(candidates):
        return False
    same = same_promise(read_terms(wanted.gates, wanted.conduct, standing=standing), standing)
    if not same and exposes(standing):
        raise Conflict(
            f"rollout {standing.id} of route {standing.route!r} is open, and what it has to prove was declared before its first "
            f"request: gates and error levels stay. For others end it and start anew:\n  modelctl rollback {standing.route}"
        )
    return same


def _make_way(connection: Connection, standing: Rollout, *, wanted: NewRollout, author: Author) -> None:
    ended = apply(standing, Verb.ROLLBACK, at=author.at // 1000)
    store_stages(connection, standing, moved=ended, at=author.at)
    event = Event(
        at=author.at,
        actor=author.actor,
        action="rollback",
        route=ended.route,
        rollout=ended.id,
        reason=f"made way for {wanted.strategy}",
        detail={},
    )
    store.append_event(connection, event)


def _route(catalog: Catalog, wanted: NewRollout, *, recipe: Recipe) -> tuple[RouteEntry, tuple[str, ...]]:
    if wanted.route is not None:
        return catalog.route(wanted.route), ()
    if not catalog.routes:
        raise InvalidInput("there is no route yet: modelctl route add NAME --path /NAME --backend BACKEND")
    if len(catalog.routes) > 1:
        commands = [_command(wanted, route.name, candidates=wanted.candidates, recipe=recipe) for route in catalog.routes]
        raise Ambiguous(f"there are {len(catalog.routes)} routes, so name the one you mean:\n{_listed(commands)}")
    (route,) = catalog.routes
    return route, (f"route {route.name!r}, because it is the only one",)


def _candidates(
    catalog: Catalog, wanted: NewRollout, *, route: RouteEntry, recipe: Recipe, standing: Rollout | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if wanted.candidates or recipe.named:
        return wanted.candidates or tuple(name for name in recipe.named if name != route.baseline), ()
    if standing is not None:
        names = ", ".join(repr(name) for name in standing.candidates)
        return standing.candidates, (f"candidate {names}, as in the open rollout",)
    free = [entry.name for entry in catalog.backends if not users_of(catalog, entry.name)]
    if not free:
        raise InvalidInput(
            "no backend is free to be the candidate: each one is a route's baseline or part of an open rollout; "
            "register one: modelctl backend add NAME URL"
        )
    if len(free) > 1:
        commands = [_command(wanted, route.name, candidates=(name,), recipe=recipe) for name in free]
        raise Ambiguous(f"{len(free)} backends could be the candidate, so name the one you mean:\n{_listed(commands)}")
    return (free[0],), (f"candidate {free[0]!r}, because it is the only backend that is not in use",)


def _command(wanted: NewRollout, route: str, *, candidates: tuple[str, ...], recipe: Recipe) -> str:
    terms = terms_words(wanted.gates, wanted.conduct)
    return " ".join(word for word in ("modelctl", wanted.strategy, route, recipe.command(candidates), terms) if word)


def _listed(commands: list[str]) -> str:
    return "\n".join(f"  {command}" for command in commands)


def _asked(wanted: NewRollout, decided: Decided, *, author: Author, salt: str) -> Rollout:
    """The rollout as it will be: a new one, or the open one on its new ladder."""
    if decided.changes is not None:
        replanned = replan(decided.changes, decided.steps, at=author.at // 1000)
        return msgspec.structs.replace(replanned, gates=decided.terms.gates, conduct=decided.terms.conduct)
    return Rollout(
        id=0,
        route=decided.route.name,
        strategy=wanted.strategy,
        baseline=decided.route.baseline,
        candidates=decided.candidates,
        steps=decided.steps,
        salt=salt,
        opened_at=author.at // 1000,
        step_at=author.at // 1000,
        unit=decided.route.unit,
        fields=decided.route.fields,
        dimensions=decided.route.dimensions,
        gates=decided.terms.gates,
        conduct=decided.terms.conduct,
        actor=author.actor,
        reason=author.reason,
    )


def _store(connection: Connection, rollout: Rollout, *, at: int) -> Rollout:
    opened = store.insert_rollout(connection, rollout)
    stage = store.open_stage(connection, opened, arms=opened.current.arms, at=at)
    opened = msgspec.structs.replace(opened, stage=stage)
    store.save_rollout(connection, opened, replaces=opened.revision)
    return opened


def _event(rollout: Rollout, wanted: NewRollout, *, author: Author, action: str) -> Event:
    return Event(
        at=author.at,
        actor=author.actor,
        action=action,
        route=rollout.route,
        rollout=rollout.id,
        reason=author.reason,
        detail={
            "strategy": rollout.strategy,
            "baseline": rollout.baseline,
            "candidates": list(rollout.candidates),
            "parameters": wanted.parameters,
            "gates": [gate_text(gate) for gate in rollout.gates],
            "mode": rollout.conduct.mode.value,
            "step": rollout.current.title,
            "stage": rollout.stage,
        },
    )
