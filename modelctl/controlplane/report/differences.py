"""The newest differences between predicted numbers, one by one: what the sums cannot show. A sample; nothing here decides. Pure."""

from collections.abc import Sequence

import msgspec

from modelctl.controlplane.figures.histogram import bins_of
from modelctl.controlplane.judgement.figures import share

SAMPLE = 2_000
POINTS = 400


class DifferenceBin(msgspec.Struct, frozen=True, kw_only=True):
    """`n` differences from `low` (included) to `high`."""

    low: float
    high: float
    n: int


class DifferenceSample(msgspec.Struct, frozen=True, kw_only=True):
    """Of the `n` newest pairs with numbers: `points` (mean of both, candidate - baseline) of the first, bins of all."""

    candidate: str
    n: int
    equal: int
    points: tuple[tuple[float, float], ...]
    bins: tuple[DifferenceBin, ...]
    sentence: str


def difference_sample(candidate: str, numbers: Sequence[tuple[float, float]]) -> DifferenceSample | None:
    """From (baseline's number, candidate's), newest first; None without any."""
    points = tuple((a / 2 + b / 2, b - a) for a, b in numbers)
    points = tuple(point for point in points if abs(point[0]) < 1e300 and abs(point[1]) < 1e300)
    if not points:
        return None
    equal = sum(difference == 0 for _, difference in points)
    higher = sum(difference > 0 for _, difference in points)
    n = len(points)
    return DifferenceSample(
        candidate=candidate,
        n=n,
        equal=equal,
        points=points[:POINTS],
        bins=tuple(DifferenceBin(low=one.low, high=one.high, n=one.n) for one in bins_of(tuple(value for _, value in points))),
        sentence=(
            f"Of the newest {n:,} pairs with numbers, {share(equal / n)} are equal; {candidate} is higher in {share(higher / n)} "
            f"and lower in {share((n - equal - higher) / n)}."
        ),
    )
