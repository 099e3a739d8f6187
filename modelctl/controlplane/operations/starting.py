"""Starting a rollout, and finding out what the command left unsaid."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.operations.backends import users_of
from modelctl.controlplane.operations.change import Author, Change, publish
from modelctl.controlplane.operations.routes import refuse_open_rollout
from modelctl.controlplane.strategies import Recipe, plan, recipe_for
from modelctl.errors import Ambiguous, InvalidInput
from modelctl.rollout import Rollout, Step
from modelctl.store import catalog as store
from modelctl.store.catalog import Catalog, Event, RouteEntry
from modelctl.store.engine import writing


class NewRollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rollout as it is asked for. `route` None and no candidates mean: the only ones possible."""

    strategy: str
    route: str | None = None
    candidates: tuple[str, ...] = ()
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    reason: str = ""
    actor: str = ""


class Decided(msgspec.Struct, frozen=True):
    """What the command means: nothing is left to guess. `inferred` says what was not told, in sentences."""

    route: RouteEntry
    candidates: tuple[str, ...]
    steps: tuple[Step, ...]
    inferred: tuple[str, ...]


def start_rollout(engine: Engine, wanted: NewRollout, *, author: Author, salt: str) -> Change[Rollout]:
    """Opens a rollout and its first stage. `salt` is 32 random hex digits, kept as long as the rollout lasts.

    Raises InvalidInput, Ambiguous with the commands to choose from, NotFound, and Conflict for a route with an open rollout.
    """
    recipe = recipe_for(wanted.strategy, wanted.parameters)
    with writing(engine) as connection:
        before = store.load(connection)
        decided = decide_start(before, wanted, recipe=recipe)
        rollout = _store(connection, _rollout(wanted, decided, author=author, salt=salt), at=author.at)
        after = msgspec.structs.replace(before, rollouts=(*before.rollouts, rollout))
        table, lost = publish(connection, before, after=after, event=_event(rollout, wanted, author=author))
    return Change(subject=rollout, table=table, bereft=lost, inferred=decided.inferred)


def decide_start(catalog: Catalog, wanted: NewRollout, *, recipe: Recipe) -> Decided:
    """The route, the candidates and the ladder that `wanted` means. Pure."""
    route, route_words = _route(catalog, wanted, recipe=recipe)
    refuse_open_rollout(catalog, route.name)
    candidates, candidate_words = _candidates(catalog, wanted, route=route, recipe=recipe)
    for name in candidates:
        catalog.backend(name)
    steps = plan(recipe, route.baseline, candidates=candidates)
    return Decided(route, candidates, steps, (*route_words, *candidate_words))


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
    catalog: Catalog, wanted: NewRollout, *, route: RouteEntry, recipe: Recipe
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if wanted.candidates or recipe.named:
        return wanted.candidates or tuple(name for name in recipe.named if name != route.baseline), ()
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
    return " ".join(word for word in ("modelctl", wanted.strategy, route, recipe.command(candidates)) if word)


def _listed(commands: list[str]) -> str:
    return "\n".join(f"  {command}" for command in commands)


def _rollout(wanted: NewRollout, decided: Decided, *, author: Author, salt: str) -> Rollout:
    return Rollout(
        id=0,
        route=decided.route.name,
        strategy=wanted.strategy,
        baseline=decided.route.baseline,
        candidates=decided.candidates,
        steps=decided.steps,
        salt=salt,
        opened_at=author.at // 1000,
        actor=author.actor,
        reason=author.reason,
    )


def _store(connection: Connection, rollout: Rollout, *, at: int) -> Rollout:
    opened = store.insert_rollout(connection, rollout)
    stage = store.open_stage(connection, opened, arms=opened.current.arms, at=at)
    opened = msgspec.structs.replace(opened, stage=stage)
    store.save_rollout(connection, opened, replaces=opened.revision)
    return opened


def _event(rollout: Rollout, wanted: NewRollout, *, author: Author) -> Event:
    return Event(
        at=author.at,
        actor=author.actor,
        action="start",
        route=rollout.route,
        rollout=rollout.id,
        reason=author.reason,
        detail={
            "strategy": rollout.strategy,
            "baseline": rollout.baseline,
            "candidates": list(rollout.candidates),
            "parameters": wanted.parameters,
            "step": rollout.current.title,
            "stage": rollout.stage,
        },
    )
