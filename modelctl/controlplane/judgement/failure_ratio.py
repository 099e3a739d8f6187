"""How many times as often a candidate fails as the baseline, on split traffic: for guarding without gates and for fires. Pure."""

from modelctl.controlplane.judgement.comparison import Evidence, Row, row_of
from modelctl.controlplane.judgement.measured import Question, proportion_stages, rates
from modelctl.controlplane.judgement.methods import share_ratio
from modelctl.controlplane.judgement.unit_methods import first_event_ratio
from modelctl.gate import Gate, GateRole
from modelctl.metric import METRICS, Design
from modelctl.statistics.comparison import Comparison

FAILURE_RATIO = "failure_ratio"
TITLE = "failure rate, ratio"
_SHOWN = Gate(metric="error_rate", role=GateRole.INFO, design=Design.SPLIT)


def failures_of(evidence: Evidence, candidate: str) -> Question:
    """The question about failures where no gate asks it."""
    return Question(evidence=evidence, candidate=candidate, gate=_SHOWN, metric=METRICS["error_rate"], design=Design.SPLIT)


def failure_ratio(asked: Question, alpha: float) -> Comparison:
    """Of the arm given a failure; of the arm given a unit's first one where units are sticky."""
    return first_event_ratio(asked, alpha) if asked.sticky else share_ratio(asked, alpha)


def ratio_row(asked: Question, result: Comparison, *, events: str) -> Row:
    """The row of `failure_ratio`'s result; `events` is what it counts."""
    counts = f"first {events}" if asked.sticky else events
    names = (asked.candidate, FAILURE_RATIO, TITLE, "ratio", counts)
    return row_of(result, names=names, values=rates(proportion_stages(asked)))
