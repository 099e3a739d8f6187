"""A rollout's rollups, indexed: what every figure of a status or report is read from."""

from collections import defaultdict
from collections.abc import Iterable

from modelctl.statistics.moments import Moments, from_shifted_sums
from modelctl.store.summing import Sum


class Sums:
    """Sums by arm, metric, key and stage. What was never seen is 0."""

    def __init__(self, rows: Iterable[Sum]) -> None:
        self._rows: dict[tuple[str, str], list[Sum]] = defaultdict(list)
        for row in rows:
            self._rows[row.arm, row.metric].append(row)

    @property
    def rows(self) -> tuple[Sum, ...]:
        """All of them, those of one arm and metric together, in the order they were given."""
        return tuple(row for rows in self._rows.values() for row in rows)

    def rows_of(self, arm: str, metric: str) -> tuple[Sum, ...]:
        """Those of one arm and metric: a row for each key and stage."""
        return tuple(self._rows.get((arm, metric), ()))

    def counts(self, arm: str, metric: str, *, stage: int | None = None) -> dict[str, int]:
        """n by key, of one stage or all."""
        found: dict[str, int] = defaultdict(int)
        for row in self._rows.get((arm, metric), ()):
            if stage in (None, row.stage):
                found[row.key] += row.n
        return dict(found)

    def n(self, arm: str, metric: str, *, stage: int | None = None) -> int:
        """The n of all keys, of one stage or all."""
        return sum(row.n for row in self._rows.get((arm, metric), ()) if stage in (None, row.stage))

    def of(self, arm: str, metric: str, *, stage: int, key: str = "") -> Sum:
        """The sums of one key in one stage."""
        rows = (row for row in self._rows.get((arm, metric), ()) if row.stage == stage and row.key == key)
        return next(rows, Sum(stage, arm, metric, key))

    def over_stages(self, arm: str, metric: str, *, key: str = "") -> Sum:
        """The sums of one key over all stages, added up in the order of the stages: the same digits every time."""
        rows = sorted((row for row in self._rows.get((arm, metric), ()) if row.key == key), key=lambda row: row.stage)
        n, k = sum(row.n for row in rows), sum(row.k for row in rows)
        return Sum(0, arm, metric, key, n, k, sum(row.s1 for row in rows), sum(row.s2 for row in rows), sum(row.sp for row in rows))


def moments(found: Sum, *, pivot: float = 0.0) -> Moments:
    """Count, mean and spread of the values behind shifted sums."""
    return from_shifted_sums(found.n, found.s1, s2=found.s2, pivot=pivot)
