"""What is compared and shown whatever the gates are, and decides nothing: agreement, similarity and predicted numbers. Pure."""

import msgspec

from modelctl.controlplane.judgement.comparison import Compared, Evidence, Row, row_of, shared_stages
from modelctl.controlplane.judgement.measured import spread_tau
from modelctl.controlplane.judgement.sums import moments
from modelctl.statistics import coin, difference
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import MeanStage
from modelctl.statistics.moments import merge_all
from modelctl.statistics.tuning import ALPHA


def compare_shown(evidence: Evidence, candidate: str) -> tuple[Compared, ...]:
    """The rows there are data for."""
    rows = (show(evidence, candidate) for show in (_agreement, _similarity, _paired_mean, _unpaired_mean))
    return tuple(Compared(row) for row in rows if row is not None)


def _agreement(evidence: Evidence, candidate: str) -> Row | None:
    counts = evidence.sums.counts(candidate, "agreement")
    seen = counts.get("equal", 0), sum(counts.values())
    return _of_pairs(seen, (candidate, "agreement", "same prediction on the same request", "share", "pairs"))


def _similarity(evidence: Evidence, candidate: str) -> Row | None:
    found = evidence.sums.over_stages(candidate, "similarity")
    return _of_pairs((found.s1, found.n), (candidate, "similarity", "how alike texts or rankings are", "share", "pairs"))


def _of_pairs(seen: tuple[float, int], names: tuple[str, str, str, str, str]) -> Row | None:
    """One number a pair from 0 to 1. A coin is the most spread of those, so its interval holds for all (docs/statistics.md)."""
    k, n = seen
    if not n:
        return None
    lower, upper = coin.interval(k, n, alpha=ALPHA)
    result = Comparison(estimate=k / n, lower=lower, upper=upper, n=n, method="coin", alpha=ALPHA)
    row = row_of(result, names=names, values=(None, None))
    return msgspec.structs.replace(row, null=None, log10_e=None)


def _paired_mean(evidence: Evidence, candidate: str) -> Row | None:
    differences = moments(evidence.sums.over_stages(candidate, "difference"))
    if not differences.n:
        return None
    result = difference.compare_paired(differences, tau=spread_tau(differences), alpha=ALPHA)
    names = (candidate, "number_paired", "predicted number on the same requests", "value", "pairs")
    return row_of(result, names=names, values=pair_means(evidence, candidate))


def pair_means(evidence: Evidence, candidate: str) -> tuple[float | None, float | None]:
    """The mean number of either side over the pairs."""
    pivot = evidence.pivots.get("pair_number", 0.0)
    sides = (
        moments(evidence.sums.over_stages(candidate, "pair_number", key=key), pivot=pivot) for key in ("baseline", "candidate")
    )
    a, b = (side.mean if side.n else None for side in sides)
    return a, b


def _unpaired_mean(evidence: Evidence, candidate: str) -> Row | None:
    pivot = evidence.pivots.get("number", 0.0)
    stages = [
        MeanStage(
            moments(evidence.sums.of(baseline.backend, "number", stage=stage.id), pivot=pivot),
            moments(evidence.sums.of(candidate, "number", stage=stage.id), pivot=pivot),
        )
        for stage, baseline, _ in shared_stages(evidence, candidate)
    ]
    a, b = merge_all(stage.baseline for stage in stages), merge_all(stage.candidate for stage in stages)
    if not a.n and not b.n:
        return None
    result = difference.compare_means(stages, tau=spread_tau(merge_all((a, b))), alpha=ALPHA)
    names = (candidate, "number", "predicted number, mean", "value", "requests")
    return row_of(result, names=names, values=(a.mean if a.n else None, b.mean if b.n else None))
