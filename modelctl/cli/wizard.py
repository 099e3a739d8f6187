"""What mode auto needs and was not given: asked for on a terminal, with a suggestion; elsewhere the exact command is printed."""

import math
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from modelctl.cli.api import read
from modelctl.cli.command import Session
from modelctl.cli.gate_words import margin_word, shown_gate, with_margin
from modelctl.cli.output import note
from modelctl.cli.plan_answer import GatePlan, Plan
from modelctl.cli.quantities import duration
from modelctl.cli.routes import address
from modelctl.cli.target import only_route, open_rollout
from modelctl.conduct import Mode
from modelctl.errors import InvalidInput, ModelctlError

# Twice what a candidate without harm needs, so that a little harm below the margin can be told as well.
_SPARE = 2
_LEAST = 10_000


def complete(session: Session, request: Mapping[str, Any], *, command: str) -> dict[str, Any]:
    """The request with gates and an end, if it is to run by itself and lacks them; `command` is what was typed.

    Raises InvalidInput with the exact command where there is no terminal to ask on.
    """
    conduct = dict(request.get("conduct", {}))
    if conduct.get("mode") is not Mode.AUTO:
        return dict(request)
    ends = bool(conduct.get("max_n") or conduct.get("max_ms"))
    gates = list(request.get("gates", ()))
    if gates and ends:
        return dict(request)
    route = only_route(session, request.get("route") or "", command=command.split()[0] + " {route}")
    if _keeps(session, route, strategy=request["strategy"]):
        return dict(request)
    plan = _plan(session, route, request=request)
    gates = gates or (_ask_gates(plan) if sys.stdin.isatty() else [shown_gate(one.gate) for one in plan.gates])
    if not ends:
        conduct["max_n"] = _ask_maximum(plan) if sys.stdin.isatty() else _maximum(plan)
    if not sys.stdin.isatty():
        raise InvalidInput(_exact(request, gates, conduct=conduct, command=command, ends=ends))
    return dict(request) | {"gates": gates, "conduct": conduct}


def _keeps(session: Session, route: str, *, strategy: str) -> bool:
    """Whether this changes the shares of an open rollout, which keeps what it declared."""
    found = open_rollout(session, route, command="status {route}")
    return found is not None and found.strategy == strategy and bool(found.gates)


def _plan(session: Session, route: str, *, request: Mapping[str, Any]) -> Plan:
    body = {name: request[name] for name in ("strategy", "candidates", "parameters", "gates") if request.get(name)}
    return read(session.api.post(f"{address(route)}:plan", body), Plan)


def _exact(request: Mapping[str, Any], gates: list[str], *, conduct: Mapping[str, Any], command: str, ends: bool) -> str:
    added = "" if request.get("gates") else "".join(f" --gate {shlex.quote(gate)}" for gate in gates)
    added += "" if ends else f" --max-n {conduct['max_n']}"
    missing = [*([] if request.get("gates") else ["the harm you tolerate (a gate)"]), *([] if ends else ["an end"])]
    return (
        f"mode auto needs {' and '.join(missing)}, and this is no terminal to ask on: type what you mean, such as\n"
        f"  modelctl {command}{added}"
    )


def _ask_gates(plan: Plan) -> list[str]:
    note("Mode auto raises the share only when harm beyond a margin is excluded. How much harm do you tolerate?")
    return [_ask_margin(gate) for gate in plan.gates]


def _ask_margin(gate: GatePlan) -> str:
    metric, suggested = gate.gate.partition(":")[0], margin_word(gate.gate)
    takes = f"{gate.requests:,.0f} requests" if gate.requests is not None else "a number of requests that is not known yet"
    if gate.seconds is not None:
        takes += f", {duration(gate.seconds)}"
    note(f"{metric}: the baseline's is {_baseline(gate)}; with {suggested} a decision takes about {takes}. Margin [{suggested}]:")
    return with_margin(gate.gate, _typed() or suggested)


def _baseline(gate: GatePlan) -> str:
    return "not known" if gate.baseline is None else f"{100 * gate.baseline:.3g}% ({gate.baseline_from})"


def _ask_maximum(plan: Plan) -> int:
    suggested = _maximum(plan)
    note(f"After how many units of the candidate does it end without proof? [{suggested}]:")
    typed = _typed()
    if typed and not typed.isdecimal():
        raise InvalidInput(f"{typed!r} is no number of units: write digits, such as {suggested}")
    return int(typed or suggested)


def _typed() -> str:
    line = sys.stdin.readline()
    if not line:
        raise ModelctlError("nothing was started: there was no answer")
    return line.strip()


def _maximum(plan: Plan) -> int:
    """To two digits."""
    units = _SPARE * max((gate.counted or 0.0 for gate in plan.gates), default=0.0)
    if units <= _LEAST:
        return _LEAST
    unit: int = 10 ** (math.floor(math.log10(units)) - 1)
    return math.ceil(units / unit) * unit
