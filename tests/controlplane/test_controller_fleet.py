"""The controller and routers that do not answer: they hold up no verdict."""

import asyncio
from time import monotonic

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.fleet import CONVERGENCE_TIMEOUT, Poll
from modelctl.controlplane.operations.inspecting import read_catalog, read_events
from modelctl.controlplane.operations.routes import NewRoute, add_route
from modelctl.controlplane.operations.starting import NewRollout, start_rollout
from modelctl.store import summing
from modelctl.store.engine import writing
from tests.controlplane.program import MINUTE, Program
from tests.controlplane.scene import SALT

ROUTES = ("one", "two", "three", "four", "five", "six")
ORDER = {
    "strategy": "canary",
    "candidates": ["b"],
    "parameters": {"percent_bp": 5000},
    "gates": ["error_rate:guardrail:margin=2pt"],
    "conduct": {"mode": "auto", "max_n": 100_000},
}


def start_failing(program: Program, route: str) -> None:
    """A canary of which every answer fails."""
    add_route(program.engine, NewRoute(name=route, path=f"/{route}", baseline="a"), author=program.author())
    order = msgspec.convert({**ORDER, "route": route}, NewRollout)
    rollout = start_rollout(program.engine, order, author=program.author(), salt=SALT).subject
    sums = {"s1": 0.0, "s2": 0.0, "sp": 0.0}
    place = {"route": route, "rollout": rollout.id, "stage": rollout.stage, "minute": program.now // MINUTE, "key": ""} | sums
    counted = [("a", "error", 500, 0), ("b", "error", 500, 500), ("a", "units", 500, 0), ("b", "units", 500, 0)]
    with writing(program.engine) as connection:
        summing.add(connection, [{**place, "arm": arm, "metric": metric, "n": n, "k": k} for arm, metric, n, k in counted])


def test_a_router_that_does_not_acknowledge_holds_up_one_round_once_however_many_are_rolled_back(lite: Engine) -> None:
    program = Program(lite)
    for route in ROUTES:
        start_failing(program, route)

    program.fleet.opened(Poll(worker="silent", after=0, applied=0))
    began = monotonic()
    asyncio.run(program.turn())
    assert monotonic() - began < len(ROUTES) * CONVERGENCE_TIMEOUT * 0.8
    assert not read_catalog(lite).rollouts
    zeros = [event for event in read_events(lite, None, limit=1000, cursor=None).items if event.action == "zero-traffic"]
    assert sorted(str(event.route) for event in zeros) == sorted(ROUTES)
    assert all(event.detail["laggards"] == ["silent"] and event.detail["zero_at"] is None for event in zeros)
