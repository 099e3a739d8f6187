"""What the tests of automation share: models whose mood changes, traffic at a steady rate, and how a rollout ended."""

from collections.abc import Mapping
from typing import Any

import httpx

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Load, Reply, bodies
from tests.acceptance.program import Program, until

RATE = 200.0
AUTO = ("--mode", "auto", "--max-time", "1h")


def put_mood(url: str, mood: str) -> None:
    httpx.put(f"{url}/mood", content=mood, trust_env=False).raise_for_status()


def rollout_of(program: Program, route: str) -> dict[str, Any]:
    """The newest rollout of a route."""
    answer = httpx.get(f"{program.url}/v1/rollouts", params={"route": route, "limit": 1}, timeout=10, trust_env=False)
    found: dict[str, Any] = answer.raise_for_status().json()["items"][0]
    return found


def ended(program: Program, route: str, *, within: float) -> dict[str, Any]:
    """The rollout, once it is over. A control plane that is not there yet is waited for."""
    return until(lambda: over(program, route), what=f"the end of {route}", within=within)


def over(program: Program, route: str) -> dict[str, Any]:
    """The rollout when it has ended, else nothing."""
    try:
        found = rollout_of(program, route)
    except httpx.HTTPError:
        return {}
    return found if found["closed_at"] else {}


def from_arm(replies: list[Reply], arm: str) -> list[Reply]:
    return [reply for reply in replies if reply.arm == arm]


def load(program: Program, route: str, path: str) -> Load:
    return Load(program.port, bodies(route, path), connections=16, rate=RATE)


def label(program: Program, truths: Mapping[str, str | float], *, kind: str = "truth") -> None:
    """Tells what turned out for requests, by their ids."""
    items = [{"request_id": request, "value": value, "kind": kind} for request, value in truths.items()]
    for start in range(0, len(items), 500):
        answer = httpx.post(f"{program.url}/v1/feedback", json=items[start : start + 500], timeout=20, trust_env=False)
        answer.raise_for_status()


def next_of(program: Program, route: str) -> dict[str, Any]:
    """What automation does next with the route's open rollout, as its status shows it."""
    (found,) = [one for one in program.status()["routes"] if one["name"] == route]
    move: dict[str, Any] = found["rollout"]["next"]
    return move


def actions(ledger: Ledger, route: str) -> list[str]:
    """What the history says was done with the route, in its order."""
    return [row.action for row in ledger.rows("SELECT action FROM event WHERE route = :route ORDER BY id", route=route)]
