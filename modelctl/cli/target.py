"""Which route, candidate and rollout the words of a command mean. What fits several things is refused with the exact commands."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from modelctl.cli.api import read, read_items
from modelctl.cli.command import Session
from modelctl.cli.routes import address
from modelctl.errors import Ambiguous, NotFound
from modelctl.rollout import OPEN, Phase

_MOST_COMMANDS = 6


class RolloutRow(msgspec.Struct, frozen=True):
    """What a command needs to know of a rollout."""

    id: int
    route: str
    strategy: str
    phase: Phase
    baseline: str = ""
    candidates: tuple[str, ...] = ()
    winner: str = ""
    revision: int = 0
    step: int = 0
    gates: tuple[Any, ...] = ()
    holds: str = ""
    opened_at: int = 0
    closed_at: int = 0
    actor: str = ""
    reason: str = ""

    @property
    def open(self) -> bool:
        """Whether it still decides about its route's traffic."""
        return self.phase in OPEN


class Named(msgspec.Struct, frozen=True):
    """A backend, or a route with its baseline and the id of its open rollout."""

    name: str
    baseline: str = ""
    rollout: int | None = None


def route_and_candidates(session: Session, words: Sequence[str], *, command: str) -> tuple[str | None, list[str]]:
    """The route (None: to be inferred) and the candidates that `words` of `[ROUTE] [CANDIDATE...]` name.

    Raises Ambiguous when the first word is the name of both, NotFound when it is the name of neither.
    """
    if not words:
        return None, []
    first, *rest = words
    routes = {route.name: route for route in names(session, "/v1/routes")}
    backends = {backend.name for backend in names(session, "/v1/backends")}
    if first in routes and first in backends and not rest:
        raise Ambiguous(_two_readings(first, command, routes=routes.values(), backends=backends))
    if first in routes:
        return first, rest
    if first in backends:
        return None, list(words)
    raise NotFound(f"{first!r} is neither a route nor a backend; routes: {_listed(routes)}; backends: {_listed(backends)}")


def names(session: Session, path: str) -> list[Named]:
    """Everything at a list of the API, over all its pages."""
    found: list[Named] = []
    cursor: str | None = None
    while True:
        page = session.api.get(path, cursor=cursor)
        found += read_items(page, Named)
        cursor = page.get("next")
        if not cursor:
            return found


def open_rollout(session: Session, route: str, *, command: str) -> RolloutRow | None:
    """The open rollout of `route`, or the only open one there is; None without any. Raises Ambiguous when there are several."""
    routes = [read(session.api.get(address(route)), Named)] if route else names(session, "/v1/routes")
    found = {named.name: named.rollout for named in routes if named.rollout}
    if len(found) > 1:
        raise Ambiguous(_say_which(found, command))
    return read(session.api.get(f"/v1/rollouts/{next(iter(found.values()))}"), RolloutRow) if found else None


def required_rollout(session: Session, route: str, *, command: str) -> RolloutRow:
    """The same; raises NotFound without any."""
    found = open_rollout(session, route, command=command)
    if found is None:
        where = f"route {route!r}" if route else "any route"
        raise NotFound(f"no rollout is open on {where}: start one with modelctl canary, shadow, blue-green or ab")
    return found


def only_route(session: Session, route: str, *, command: str) -> str:
    """`route`, or the name of the only route there is. Raises NotFound or Ambiguous."""
    if route:
        return route
    known = [found.name for found in names(session, "/v1/routes")]
    if not known:
        raise NotFound("there is no route yet: add one with modelctl route add NAME --path /NAME --backend BACKEND")
    if len(known) > 1:
        raise Ambiguous(_say_which(known, command))
    return known[0]


def _say_which(routes: Iterable[str], command: str) -> str:
    return "several routes fit, so name the one you mean:\n" + _commands(
        f"modelctl {command.format(route=route)}" for route in sorted(routes)
    )


def _two_readings(word: str, command: str, *, routes: Iterable[Named], backends: Iterable[str]) -> str:
    candidates = [name for name in sorted(backends) if _fits(word, name, routes=routes)]
    as_route = [f"modelctl {command.format(words=f'{word} {name}')}" for name in candidates]
    as_backend = [f"modelctl {command.format(words=f'{route.name} {word}')}" for route in routes if route.baseline != word]
    return f"{word!r} is the name of a route and of a backend, so say which:\n" + _commands([*as_backend, *as_route])


def _fits(route: str, candidate: str, *, routes: Iterable[Named]) -> bool:
    return candidate not in {found.baseline for found in routes if found.name == route}


def _commands(commands: Iterable[str]) -> str:
    return "\n".join(f"  {command}" for command in dict.fromkeys(commands))


def _listed(found: Iterable[str]) -> str:
    listed = sorted(found)
    more = f" and {len(listed) - _MOST_COMMANDS} more" if len(listed) > _MOST_COMMANDS else ""
    return (", ".join(listed[:_MOST_COMMANDS]) + more) or "none"
