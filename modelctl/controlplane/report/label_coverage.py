"""Feedback that comes late: how much is there, does it come alike for both arms, and how final is a verdict? Pure."""

import math

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence, finite
from modelctl.controlplane.judgement.figures import share
from modelctl.controlplane.judgement.trust import split_of_labels
from modelctl.controlplane.report.measure import Measure, measure, source_of
from modelctl.metric import Source, metric_named
from modelctl.statistics import coin
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.sample_ratio import SampleRatio
from modelctl.statistics.tuning import ALPHA

ENOUGH = 0.9
"""Of the predictions of every arm, so many must have their truth before a verdict on labels is called confirmed."""


class ArmLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Of the `n` predictions an arm answered, those whose truth is known; `measure` is that share."""

    arm: str
    n: int
    labelled: int
    measure: Measure


class LabelCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is confirmed, provisional, or unused when no gate is about feedback. `log10_e` is the evidence that labels came more
    often for one arm than its share explains (3 blocks; None is infinite, or with sticky units not to be told: see `tested`)."""

    n: int
    labelled: int
    estimate: float
    arms: tuple[ArmLabels, ...]
    state: str
    tested: bool
    log10_e: float | None
    blocked: bool
    source: str
    sentence: str


def label_coverage(evidence: Evidence) -> LabelCoverage | None:
    """None while no truth is known of anything the arms answered and no gate waits for it."""
    rollout = evidence.rollout
    wanted = any(metric_named(gate.metric, rollout.fields).source is Source.FEEDBACK for gate in rollout.gates)
    names = (rollout.baseline, *rollout.candidates)
    arms = tuple(one for one in (_arm(evidence, name) for name in names) if one.n)
    labelled = sum(one.labelled for one in arms)
    if not arms or not (labelled or wanted):
        return None
    split = split_of_labels(evidence)
    enough = all(one.labelled >= ENOUGH * one.n for one in arms)
    state = "unused" if not wanted else "confirmed" if enough else "provisional"
    return LabelCoverage(
        n=sum(one.n for one in arms),
        labelled=labelled,
        estimate=labelled / sum(one.n for one in arms),
        arms=arms,
        state=state,
        tested=split is not None,
        log10_e=None if split is None else finite(split.log_e / math.log(10)),
        blocked=split is not None and split.blocked,
        source=source_of("sample-ratio"),
        sentence=_sentence(arms, state, split=split),
    )


def _arm(evidence: Evidence, name: str) -> ArmLabels:
    n, labelled = evidence.sums.n(name, "requests"), evidence.sums.n(name, "labelled")
    # A truth may be counted before a late answer's own minute is: never more than all.
    labelled = min(labelled, n)
    lower, upper = coin.interval(labelled, n, alpha=ALPHA)
    found = Comparison(estimate=labelled / n if n else None, lower=lower, upper=upper, n=n, method="coin", alpha=ALPHA)
    return ArmLabels(arm=name, n=n, labelled=labelled, measure=measure(found, unit="share", counts="requests", tested=False))


_STATES = {
    "confirmed": f"At least {ENOUGH:.0%} of every arm's labels are there: a verdict on them is confirmed",
    "provisional": f"Labels are still to come (confirmed from {ENOUGH:.0%} of every arm on): a verdict on them is provisional",
    "unused": "No gate is about labels",
}


def _sentence(arms: tuple[ArmLabels, ...], state: str, *, split: SampleRatio | None) -> str:
    known = ", ".join(f"{share(one.labelled / one.n)} of {one.n:,} for {one.arm}" for one in arms)
    if split is None:
        alike = "whether they come alike is not tested for sticky units"
    elif split.blocked:
        alike = "they come more often for one arm than its share explains, so no comparison of them can be trusted"
    else:
        alike = "nothing says that they come more often for one arm"
    return f"The truth is known for {known}. {_STATES[state]}; {alike}."
