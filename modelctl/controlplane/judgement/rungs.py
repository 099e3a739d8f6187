"""What a ladder lets candidates be judged on, and whether it can give a gate its design. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelctl.errors import InvalidInput
from modelctl.gate import Gate, GateRole, gate_words
from modelctl.metric import Design, Metric
from modelctl.rollout import Step
from modelctl.traffic import ALL, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of a ladder for one candidate, in shares of 1 of the route's requests.

    `baseline` and `candidate` are what they answer, `shown` what both answer: the candidate is shown a part of the baseline's.
    """

    title: str
    baseline: float
    candidate: float
    shown: float

    @property
    def split(self) -> bool:
        """Whether requests are drawn at random between the two."""
        return self.baseline > 0 and self.candidate > 0

    @property
    def counted(self) -> float:
        """How many units of the candidate and pairs one request gives: what `max_n` counts."""
        return self.candidate + self.shown


def rungs_of(steps: Sequence[Step], candidate: str) -> tuple[Rung, ...]:
    """The candidate at each step."""
    return tuple(_rung(step, candidate) for step in steps)


def designs_of(gate: Gate, metric: Metric, *, ladder: Sequence[Rung]) -> tuple[Design, ...]:
    """How the ladder's steps compare this gate; AUTO asks in every way there is, and each must be proven. Empty: they cannot."""
    shown, split = any(one.shown for one in ladder), any(one.split for one in ladder)
    if gate.limit is not None:
        seen = shown if metric.is_of_pairs else any(one.candidate for one in ladder)
        return (Design.LIMIT,) if seen else ()
    possible = {Design.PAIRED: shown, Design.SPLIT: split}
    wanted = (Design.PAIRED, Design.SPLIT) if gate.design is Design.AUTO else (gate.design,)
    return tuple(design for design in wanted if design in metric.designs and possible.get(design))


def require_design(gate: Gate, metric: Metric, *, ladder: Sequence[Rung], strategy: str) -> None:
    """Raises InvalidInput, which says what to type, when the ladder gives the gate nothing to be judged on."""
    if gate.role is GateRole.INFO or designs_of(gate, metric, ladder=ladder):
        return
    raise InvalidInput(f"--gate {gate_words(gate)}: {_why(gate, metric, ladder=ladder, strategy=strategy)}")


def _rung(step: Step, candidate: str) -> Rung:
    baseline = sum(arm.answers for arm in step.arms if arm.role is Role.BASELINE) / ALL
    mine = next((arm for arm in step.arms if arm.backend == candidate), None)
    answers, shown = (mine.answers / ALL, mine.shown / ALL) if mine else (0.0, 0.0)
    return Rung(title=step.title, baseline=baseline, candidate=answers, shown=shown * baseline)


def _why(gate: Gate, metric: Metric, *, ladder: Sequence[Rung], strategy: str) -> str:
    shown, split = any(one.shown for one in ladder), any(one.split for one in ladder)
    paired, unpaired = Design.PAIRED in metric.designs, Design.SPLIT in metric.designs
    if strategy == "blue-green" and not shown and not split:
        way = "have green shown requests before the switch with --shadow-percent 20" if paired else ""
        way += (" or " if way else "") + "declare a limit, such as limit=1%" if Design.LIMIT in metric.designs else ""
        return f"a switch compares before with after, which is no randomised comparison; {way or 'use a canary'}"
    if gate.limit is not None:
        asked = "needs requests that both answer" if metric.is_of_pairs else "is about answers to clients"
        return f"a limit of {metric.name} {asked}, and this {strategy} has none: {_more(metric, limited=True)}"
    if gate.design is Design.PAIRED or (paired and not unpaired):
        return (
            f"{metric.name} is compared in pairs here, and this {strategy} shows the candidate no requests: add --shadow-percent 20"
        )
    if gate.design is Design.SPLIT or unpaired:
        instead = ", leave design=split out" if paired and shown else ", or leave the gate out"
        return (
            f"{metric.name} is compared between arms that each answer clients, and a {strategy} gives clients no answers of the "
            f"candidate: use a canary{instead}"
        )
    return f"{metric.name} can only be compared with a fixed number: declare a limit"


def _more(metric: Metric, *, limited: bool) -> str:
    if limited and metric.is_of_pairs:
        return "add --shadow-percent 20"
    return "use a canary, or declare a margin"
