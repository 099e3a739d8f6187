"""What was seen of a route's baseline lately, as a plan assumes it to go on. Pure but for `recall`, which reads it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from modelctl.latency import bucket_index
from modelctl.statistics.moments import Moments, from_shifted_sums, merge_all
from modelctl.statistics.quantiles import Histogram
from modelctl.store.past import PastSum, Window, past_sums, requests_since

DAYS = 7
RATE_HOURS = 24
LATENCY_HOURS = 6
_MINUTE = 60_000_000
_METRICS = (
    *("requests", "error", "latency", "number", "labelled", "accuracy", "log_loss", "brier", "absolute_error", "reward"),
    *("pair_error", "agreement", "similarity", "difference", "pair_accuracy", "pair_log_loss", "pair_brier", "pair_absolute_error"),
)


@dataclass(frozen=True, slots=True)
class Share:
    """`k` of `n`."""

    n: int = 0
    k: int = 0

    @property
    def value(self) -> float | None:
        """None when nothing was counted."""
        return self.k / self.n if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Sums of the last days. `rate` is requests a second over the last day with traffic, None without any."""

    baseline: str = ""
    sums: tuple[PastSum, ...] = ()
    rate: float | None = None

    def share(self, metric: str) -> Share:
        """The baseline's k of n."""
        rows = self._of(metric)
        return Share(sum(row.n for row in rows), sum(row.k for row in rows))

    def outcomes(self, outcome: str) -> Share:
        """How many of the baseline's answers ended so."""
        rows = self._of("requests")
        return Share(sum(row.n for row in rows), sum(row.n for row in rows if row.key == outcome))

    def slower(self, milliseconds: float) -> Share:
        """How many of the baseline's answers were slower than the threshold, which is rounded up to its bucket's edge."""
        edge = bucket_index(milliseconds * 1000)
        counts = self._latency()
        return Share(counts.n, sum(n for bucket, n in counts.positive.items() if bucket > edge))

    def latency(self) -> Histogram:
        """The baseline's latencies in microseconds."""
        return self._latency()

    def moments(self, metric: str) -> Moments:
        """The spread of a metric that the baseline's answers or labels have."""
        return _moments(self._of(metric))

    def pairs(self, metric: str, keys: Sequence[str]) -> Share:
        """Of the pairs with any candidate, those whose key is one of `keys`."""
        rows = [row for row in self.sums if row.metric == metric]
        return Share(sum(row.n for row in rows), sum(row.n for row in rows if row.key in keys))

    def pair_moments(self, metric: str) -> Moments:
        """The spread of the differences of pairs with any candidate."""
        return _moments([row for row in self.sums if row.metric == metric and row.key == ""])

    def _of(self, metric: str) -> list[PastSum]:
        return [row for row in self.sums if row.metric == metric and row.arm == self.baseline]

    def _latency(self) -> Histogram:
        counts: dict[int, int] = {}
        zero = 0
        for row in self._of("latency"):
            if row.key == "zero":
                zero += row.n
            else:
                counts[int(row.key)] = counts.get(int(row.key), 0) + row.n
        return Histogram(counts, zero=zero)


def recall(connection: Connection, route: str, *, baseline: str, fields: Iterable[str], at: int) -> Past:
    """The last days of the route at Unix microsecond `at`. `fields` are the names of the route's own metrics."""
    minute = at // _MINUTE
    own = [name for field in fields for name in (f"field:{field}", f"pair_field:{field}")]
    window = Window(since=minute - DAYS * 1440, latencies_since=minute - LATENCY_HOURS * 60)
    sums = past_sums(connection, route, window=window, metrics=(*_METRICS, *own))
    n, first = requests_since(connection, route, since=minute - RATE_HOURS * 60)
    seconds = 0.0 if first is None else max(at / 1_000_000 - first * 60, 1.0)
    return Past(baseline=baseline, sums=sums, rate=n / seconds if seconds else None)


def _moments(rows: Sequence[PastSum]) -> Moments:
    return merge_all(from_shifted_sums(row.n, row.s1, s2=row.s2, pivot=row.pivot) for row in rows if row.n)
