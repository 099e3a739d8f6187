"""`plan`: how long until a rollout can decide, and what makes it sooner. Changes nothing."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType

from modelctl.cli.api import read
from modelctl.cli.command import VIEWS, Session, client
from modelctl.cli.conduct_options import ConductOptions
from modelctl.cli.gate_words import shown_gate
from modelctl.cli.option_names import as_typed
from modelctl.cli.output import line, show, table, write_structured
from modelctl.cli.plan_answer import GatePlan, Plan
from modelctl.cli.quantities import basis_points, count, duration, moment, ration
from modelctl.cli.routes import address
from modelctl.cli.steps import read_steps
from modelctl.cli.target import only_route
from modelctl.cli.verbs import Route
from modelctl.errors import InvalidInput

commands = typer.Typer()


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What is planned, and what is assumed in place of what was observed."""

    strategy: Annotated[
        Literal["canary", "shadow", "blue-green"] | None,
        typer.Option(help="What would be started."),
    ] = None
    percent: Annotated[str | None, typer.Option(help="Share of the candidate, or for a shadow what it is shown.")] = None
    steps: Annotated[str | None, typer.Option(help="Later shares, such as 5,25,50.")] = None
    shadow_percent: Annotated[str | None, typer.Option(help="Share of the rest that the candidate is shown as well.")] = None
    rate: Annotated[
        str | None, typer.Option(metavar="N/TIME", help="Requests that will come, such as 100/s; else as observed.")
    ] = None
    baseline: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=VALUE", help="What the baseline does: error_rate=1%, or score=12.5,sd=3; repeatable."),
    ] = None

    def fields(self) -> dict[str, Any]:
        """The fields of the API that were given. Raises InvalidInput."""
        found: dict[str, Any] = {}
        parameters = self._parameters()
        strategy = self.strategy or ("canary" if parameters else None)
        if strategy is not None:
            found |= {"strategy": strategy, "parameters": parameters}
        if self.rate is not None:
            requests, seconds = ration(self.rate)
            found["rate"] = requests / seconds
        if self.baseline:
            found["baselines"] = dict(_baseline(text) for text in self.baseline)
        return found

    def _parameters(self) -> dict[str, Any]:
        if self.strategy == "shadow":
            if self.steps or self.shadow_percent:
                raise InvalidInput("a shadow has no steps and no share of the rest: give --percent alone")
            return {} if self.percent is None else {"percent_bp": basis_points(self.percent)}
        parameters = read_steps(self.percent, self.steps, command="plan") if self.percent or self.steps else {}
        return parameters if self.shadow_percent is None else parameters | {"shadow_bp": basis_points(self.shadow_percent)}


@client(
    commands,
    "plan",
    examples=(
        "modelctl plan",
        "modelctl plan fraud --percent 5 --gate error_rate:guardrail:margin=0.5pt --rate 100/s --baseline error_rate=1%",
    ),
    outputs=VIEWS,
)
def plan(session: Session, route: Route = "", *, assumed: Assumed, conduct: ConductOptions) -> None:
    """Say how long until a canary or shadow can decide, how likely, and what makes it sooner. Starts nothing."""
    name = only_route(session, route, command="plan {route}")
    answer = session.api.post(f"{address(name)}:plan", assumed.fields() | conduct.fields())
    if session.structured:
        write_structured(answer, session.output)
    else:
        show(plan_picture(read(answer, Plan)))


def plan_picture(found: Plan) -> RenderableType:
    """The plan as people read it: gates with their dates, then what makes them sooner, then the steps."""
    gates = table(COLUMNS, [_cells(gate) for gate in found.gates], right=_RIGHT)
    parts: list[RenderableType] = [line(_head(found), style="bold"), gates]
    parts += [line(f"{gate.gate.partition(':')[0]}: {gate.reason}") for gate in found.gates if gate.reason]
    parts += [line(f"sooner: {gate.lever}") for gate in found.gates[:1] if gate.lever]
    if len(found.steps) > 1:
        parts.append(line("by step: " + " · ".join(f"{step.title} {_takes(step.seconds, step.requests)}" for step in found.steps)))
    parts += [line(f"note: {note}") for note in found.notes]
    if found.refusal:
        parts.append(line(f"would be refused: {as_typed(found.refusal)}"))
    if found.suggested:
        words = " ".join(f"--gate {shown_gate(gate.gate)}" for gate in found.gates)
        parts.append(line(f"no margins are declared, these are suggestions: {words}"))
    return Group(*parts)


COLUMNS = ("GATE", "COMPARED", "BASELINE", "NEEDS", "SEEN", "DECIDED IN", "AT", "CHANCE NOW", "CHANCE THEN")
_RIGHT = COLUMNS[2:]


def _head(found: Plan) -> str:
    what = f"rollout {found.rollout}, {found.strategy}" if found.rollout else f"a {found.strategy}"
    title = found.steps[found.step].title if found.steps else ""
    rate = f"{found.rate:,.3g} requests/s, {found.rate_from}" if found.rate else "request rate not known"
    return f"{what} on route {found.route}: {title} · {rate} · decided in {_takes(found.seconds, found.requests)}"


def _cells(gate: GatePlan) -> list[str]:
    baseline = "-" if gate.baseline is None else f"{gate.baseline:.4g} {gate.baseline_from}"
    needs = "-" if gate.needed is None else f"{count(gate.needed)} {gate.unit}"
    chances = ["-" if one is None else f"{one:.0%}" for one in (gate.probability_now, gate.probability_then)]
    when = _takes(gate.seconds, gate.requests)
    return [shown_gate(gate.gate), gate.design, baseline, needs, count(gate.seen), when, moment(gate.at), *chances]


def _takes(seconds: float | None, requests: float | None) -> str:
    if seconds is not None:
        return duration(seconds)
    return f"{count(requests)} requests" if requests is not None else "never, or not known"


def _baseline(text: str) -> tuple[str, dict[str, float]]:
    name, _, rest = text.partition("=")
    value, _, spread = rest.partition(",")
    if not name or not value or (spread and not spread.startswith("sd=")):
        raise InvalidInput(f"--baseline {text}: write METRIC=VALUE, such as error_rate=1%, or score=12.5,sd=3")
    given = {"value": _number(value, text)}
    return name, given | ({"sd": _number(spread.removeprefix("sd="), text)} if spread else {})


def _number(word: str, text: str) -> float:
    try:
        return float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
    except ValueError:
        raise InvalidInput(f"--baseline {text}: {word!r} is no number; write 1%, 0.01 or 12.5") from None
