"""The figures of a rollout's page as SVG, from what its status says. Pure; tables beside them say the same."""

from collections.abc import Iterable, Sequence

from modelctl.controlplane.dashboard.words import harm
from modelctl.controlplane.figures import forest, funnel
from modelctl.controlplane.figures.forest import Forest, Interval, Proof
from modelctl.controlplane.figures.forest import Mark as Line
from modelctl.controlplane.figures.svg import Heading
from modelctl.controlplane.judgement.funnel import STAGES, Funnel
from modelctl.controlplane.report.gate_lines import GateLine

_PROOFS = {"worse": Proof.WORSE, "different": Proof.WORSE} | dict.fromkeys(("better", "not-worse", "equivalent"), Proof.SAFE)
_SCALE = {"points": 100.0, "relative": 100.0, "rate": 100.0}
_UNIT = {"points": "pt", "relative": "%", "rate": "%"}
_TITLE = {
    "points": "harm in percentage points",
    "relative": "harm as a share of the baseline's value",
    "rate": "the candidate's own rate, against its limit",
    "value": "harm in the metric's own unit",
}


def forests(gates: Sequence[GateLine]) -> tuple[str, ...]:
    """The intervals of gates with one unit on one scale, each against its own margin."""
    units = dict.fromkeys(gate.unit for gate in gates)
    return tuple(_forest([gate for gate in gates if gate.unit == unit], unit) for unit in units)


def funnels(found: Iterable[Funnel]) -> tuple[str, ...]:
    """From eligible to paired, for each candidate."""
    return tuple(_funnel(one) for one in found)


def _forest(gates: Sequence[GateLine], unit: str) -> str:
    scale = _SCALE.get(unit, 1.0)
    margins = dict.fromkeys(gate.margin * scale for gate in gates if gate.margin is not None)
    marks = [Line(value=0.0, label="no harm")] if unit != "rate" else []
    if len(margins) == 1:
        marks.append(Line(value=next(iter(margins)), label="limit" if unit == "rate" else "margin", limit=True))
    heading = Heading(
        name=f"forest-{unit}",
        title=f"Intervals: {_TITLE.get(unit, unit)}",
        description=" ".join(_sentence(gate) for gate in gates),
    )
    intervals = tuple(_interval(gate, scale=scale, several=len(margins) > 1) for gate in gates)
    title = _TITLE.get(unit, unit)
    return forest.draw(Forest(heading=heading, title=title, unit=_UNIT.get(unit, ""), intervals=intervals, marks=tuple(marks)))


def _interval(gate: GateLine, *, scale: float, several: bool) -> Interval:
    lower, estimate, upper = (None if end is None else end * scale for end in (gate.lower, gate.estimate, gate.upper))
    title, _, design = gate.title.removesuffix(")").partition(" (")
    against = f", margin {harm(gate.margin, gate.unit)}" if several and gate.margin is not None else ""
    return Interval(
        label=title,
        detail=f"{gate.candidate}, {design}" if design else gate.candidate,
        lower=lower,
        estimate=estimate,
        upper=upper,
        words=f"{gate.state}{against}",
        proof=_PROOFS.get(gate.state, Proof.OPEN),
        known=gate.state != "no-data",
    )


def _sentence(gate: GateLine) -> str:
    if gate.state == "no-data":
        return f"{gate.title} of {gate.candidate}: no data."
    return f"{gate.title} of {gate.candidate}: {harm(gate.lower, gate.unit)} to {harm(gate.upper, gate.unit)}, {gate.state}."


def _funnel(found: Funnel) -> str:
    stages = tuple(
        funnel.Stage(
            name=stage,
            n=getattr(found, stage),
            losses=tuple((loss.n, loss.reason) for loss in found.losses if loss.stage == stage),
        )
        for stage in STAGES
    )
    said = ", ".join(f"{getattr(found, stage):,} {stage}" for stage in STAGES)
    heading = Heading(
        name=f"funnel-{found.candidate}", title=f"From requests to pairs with {found.candidate}", description=f"{said}."
    )
    return funnel.draw(funnel.Funnel(heading=heading, stages=stages))
