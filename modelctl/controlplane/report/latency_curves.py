"""How long answers took, as curves: for each duration the share of answers that were faster. Shown; nothing here decides. Pure."""

from collections.abc import Mapping

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.latency import growth
from modelctl.statistics.quantiles import Histogram, enough, quantile

POINTS = 48
QUANTILES = (0.5, 0.9, 0.95, 0.99)


class LatencyCurve(msgspec.Struct, frozen=True, kw_only=True):
    """`points` are (milliseconds, share of the `n` answers that took at most so long), both growing. `shown` are the requests that
    both sides answered, `of` the candidate whose pairs they are; else what the arm answered to clients. `quantiles` are in ms,
    those that `n` is enough for."""

    arm: str
    shown: bool
    of: str
    n: int
    points: tuple[tuple[float, float], ...]
    quantiles: dict[str, float]


def latency_curves(evidence: Evidence) -> tuple[LatencyCurve, ...]:
    """Both sides of the pairs of each candidate, then what arms answered to clients; those without answers are left out."""
    rollout, found = evidence.rollout, list[LatencyCurve | None]()
    for name in rollout.candidates:
        counts = evidence.sums.counts(name, "pair_latency")
        for side, arm in (("baseline", rollout.baseline), ("candidate", name)):
            mine = {key.removeprefix(f"{side}:"): n for key, n in counts.items() if key.startswith(f"{side}:")}
            found.append(_curve(arm, mine, of=name))
    for arm in (rollout.baseline, *rollout.candidates):
        answered = evidence.sums.counts(arm, "latency")
        for key, n in evidence.sums.counts(arm, "latency_warm").items():
            answered[key] = answered.get(key, 0) + n
        found.append(_curve(arm, answered, of=""))
    return tuple(one for one in found if one is not None)


def _curve(arm: str, counts: Mapping[str, int], *, of: str) -> LatencyCurve | None:
    n = sum(counts.values())
    if not n:
        return None
    histogram = Histogram({int(key): n for key, n in counts.items() if key != "zero"}, zero=counts.get("zero", 0))
    known = {str(q): round((quantile(histogram, q) or 0.0) / 1000, 4) for q in QUANTILES if enough(n, q)}
    return LatencyCurve(arm=arm, shown=bool(of), of=of, n=n, points=_points(counts), quantiles=known)


def _points(counts: Mapping[str, int]) -> tuple[tuple[float, float], ...]:
    """At the upper edge of every bucket; where there are many, of those that carry the curve on by an equal share."""
    n, seen, kept = sum(counts.values()), 0, []
    for index in sorted(counts, key=_order):
        seen += counts[index]
        milliseconds = 0.0 if index == "zero" else growth() ** int(index) / 1000
        kept.append((round(milliseconds, 4), seen / n))
    if len(kept) <= POINTS:
        return tuple(kept)
    thin = [kept[0]]
    for place, point in enumerate(kept[1:], 1):
        # The tail is what people look for: its last buckets all stay.
        if point[1] - thin[-1][1] >= 1.5 / POINTS or place >= len(kept) - POINTS // 3:
            thin.append(point)
    return tuple(thin)


def _order(key: str) -> float:
    return float("-inf") if key == "zero" else int(key)
