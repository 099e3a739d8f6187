"""Rollouts without gates: failures are guarded at zero harm. Proven worse, they ask for a rollback; nothing ever promotes. Pure.

Which comparisons can exist follows from the rollout's ladder, so the error level is divided before the first observation.
"""

import msgspec

from modelctl.controlplane.judgement.comparison import FINDINGS, Compared, Evidence, Row, row_of
from modelctl.controlplane.judgement.failure_ratio import FAILURE_RATIO, failure_ratio, failures_of, ratio_row
from modelctl.controlplane.judgement.ladder import shows, splits
from modelctl.controlplane.judgement.measured import USUAL_EFFECT, proportion_stages, rates
from modelctl.controlplane.judgement.unit_methods import unit_difference
from modelctl.rollout import Rollout
from modelctl.statistics import difference, grid_betting
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.tuning import split_alpha
from modelctl.statistics.verdict import Role, criterion

EFFECT = USUAL_EFFECT
"""The difference of failure rates that intervals are tuned for: half a point. It moves widths a little, never the error level."""

FAILURES_PAIRED = "failures_paired"
FAILURE_RATE = "failure_rate"


def compare_failures(evidence: Evidence) -> tuple[Compared, ...]:
    """Every guarded comparison of every candidate."""
    return tuple(_TESTS[name](evidence, candidate, alpha=alpha) for (candidate, name), alpha in alphas(evidence.rollout).items())


def alphas(rollout: Rollout) -> dict[tuple[str, str], float]:
    """The error level of each guarded comparison, by candidate and metric: equal parts, fixed by the ladder."""
    names: list[tuple[str, str]] = []
    for candidate in rollout.candidates:
        if shows(rollout, candidate):
            names.append((candidate, FAILURES_PAIRED))
        if splits(rollout, candidate):
            names += [(candidate, FAILURE_RATIO), (candidate, FAILURE_RATE)]
    weights = {"/".join(name): 1.0 for name in names}
    levels = split_alpha(rollout.conduct.alpha_rollback, weights) if weights else {}
    return {name: levels["/".join(name)] for name in names}


def _failures_paired(evidence: Evidence, candidate: str, *, alpha: float) -> Compared:
    counts = evidence.sums.counts(candidate, "pair_error")
    candidate_only, baseline_only, same = (counts.get(key, 0) for key in ("-", "+", "0"))
    n = candidate_only + baseline_only + same
    # Harm is 1 when only the candidate failed, so the bets are on its failures.
    result = grid_betting.compare(candidate_only, same, n_neg=baseline_only, alpha=alpha)
    row = row_of(
        result,
        names=(candidate, FAILURES_PAIRED, "failures on the same requests (only this one failed)", "share", "pairs"),
        values=(baseline_only / n if n else None, candidate_only / n if n else None),
    )
    return _guarded(row, result)


def _failure_ratio(evidence: Evidence, candidate: str, *, alpha: float) -> Compared:
    asked = failures_of(evidence, candidate)
    result = failure_ratio(asked, alpha)
    return _guarded(ratio_row(asked, result, events="failures"), result)


def _failure_rate(evidence: Evidence, candidate: str, *, alpha: float) -> Compared:
    asked = failures_of(evidence, candidate)
    stages = proportion_stages(asked)
    result = unit_difference(asked, alpha) if asked.sticky else difference.compare_proportions(stages, tau=EFFECT, alpha=alpha)
    counts = "units" if asked.sticky else "requests"
    names = (candidate, FAILURE_RATE, "failure rate, difference", "share", counts)
    return _guarded(row_of(result, names=names, values=rates(stages)), result)


_TESTS = {FAILURES_PAIRED: _failures_paired, FAILURE_RATIO: _failure_ratio, FAILURE_RATE: _failure_rate}


def _guarded(row: Row, result: Comparison) -> Compared:
    name = f"{row.candidate_name}: {row.title}"
    found = criterion(name, Role.GUARDRAIL, margin=0.0, higher_is_better=False, for_rollback=result, for_promote=result)
    return Compared(msgspec.structs.replace(row, role="guarded", finding=FINDINGS[found.finding]), found)
