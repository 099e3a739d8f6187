"""All that a plan depends on, as one value. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelctl.conduct import Conduct
from modelctl.controlplane.assuming import Baseline, assume
from modelctl.controlplane.forecasting import Need, Question, Seen, need
from modelctl.controlplane.past import Past
from modelctl.controlplane.rungs import Rung, design_of
from modelctl.gate import Gate, check_gate
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
        """Its gates, each with its design and assumption; those that the ladder cannot compare are left out."""
        return tuple(found for gate in self.gates if (found := self._question(gate)) is not None)

    def need(self, question: Question, rung: Rung) -> Need | str:
        """What the gate needs at a step, or why that cannot be said."""
        return need(question, rung, conduct=self.conduct, candidates=self.candidates)

    def only(self, gate: Gate, rung: Rung | None = None) -> "Setting":
        """The same with one gate, and with one step if it is given."""
        one = replace(self, gates=(gate,))
        return one if rung is None else replace(one, ladder=(rung,), at=0)

    def _question(self, gate: Gate) -> Question | None:
        metric = check_gate(gate, self.fields)
        design = design_of(gate, metric, ladder=self.ladder)
        if design is None:
            return None
        assumption = assume(gate, metric, design=design, past=self.past, given=self.given)
        return Question(gate=gate, metric=metric, design=design, assumption=assumption)
