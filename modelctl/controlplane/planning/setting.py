"""All that a plan depends on, as one value. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelctl.conduct import Conduct
from modelctl.controlplane.judgement.rungs import Rung, designs_of
from modelctl.controlplane.planning.assuming import Baseline, assume
from modelctl.controlplane.planning.forecasting import Need, Question, Seen, need
from modelctl.controlplane.planning.past import Past
from modelctl.gate import Gate, GateRole, metric_of
from modelctl.metric import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`at` is the step of the ladder that is live or comes first; `rate` is requests a second, None if it is not known."""

    gates: tuple[Gate, ...]
    conduct: Conduct
    ladder: tuple[Rung, ...]
    at: int = 0
    candidates: int = 1
    fields: tuple[Field, ...] = ()
    past: Past = field(default_factory=Past)
    rate: float | None = None
    given: Mapping[str, Baseline] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    def questions(self) -> tuple[Question, ...]:
        """Its gates in each of their designs, with what is assumed; those that the ladder cannot compare are left out."""
        return tuple(question for gate in self.gates for question in self._questions(gate))

    def need(self, question: Question, rung: Rung) -> Need | str:
        """What the gate needs at a step, or why that cannot be said."""
        successes = sum(gate.role is GateRole.SUCCESS for gate in self.gates)
        parts = self.candidates * (successes if question.gate.role is GateRole.SUCCESS else 1)
        return need(question, rung, conduct=self.conduct, parts=parts)

    def only(self, gate: Gate, rung: Rung | None = None) -> "Setting":
        """The same with one gate, and with one step if it is given."""
        one = replace(self, gates=(gate,))
        return one if rung is None else replace(one, ladder=(rung,), at=0)

    def _questions(self, gate: Gate) -> list[Question]:
        if gate.slice is not None:
            # How much of the traffic a slice gets is not known before the start.
            return []
        metric = metric_of(gate, self.fields)
        return [
            Question(
                gate=gate,
                metric=metric,
                design=design,
                assumption=assume(gate, metric, design=design, past=self.past, given=self.given),
            )
            for design in designs_of(gate, metric, ladder=self.ladder)
        ]
