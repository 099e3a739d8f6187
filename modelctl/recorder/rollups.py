"""Records folded into sums that merge by addition: however a stream is cut into batches, the sums are the same. Pure.

The rows of `rollup`, by metric; `key` is "" and unnamed sums are 0 unless said:

    about an arm that answered, one count per request
      requests      key: outcome
      units         for the check of the shares
      error         k: failures, which are backend errors and timeouts
      latency       key: bucket of the latency in microseconds. Answers that broke are left out: failing fast is not being fast
      label         key: label. n: instances
      number        s1, s2: sum of x - pivot and of its square, x the mean of the instances
    about a candidate that was shown what the baseline answered, one count per pair
      pair_error    key: "-" only the candidate failed, "+" only the baseline, "0" neither or both
      agreement     key: equal, different
      confusion     key: JSON [baseline's label, candidate's label]. n: instances
      difference    s1, s2: sum of candidate - baseline, and of its square
      pair_latency  key: baseline:BUCKET, candidate:BUCKET. Pairs in which neither answer broke
      pair_number   key "baseline", "candidate": s1, s2 as for number; key "": sp, sum of (a - pivot)(b - pivot)
      funnel        key: eligible, sampled, sent, skipped:FATE, answered, parsed, paired
    about a candidate whose breaker was open, one count per request that the baseline answered for it
      units         the shares were kept: it is the answer that is not its own
      funnel        key: fallback

Previews, tunnels, and requests whose client left, are in none of them.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from modelctl.evidence import SENT, TIMEOUT, Answer, Context
from modelctl.kinds import Outcome, Value
from modelctl.recorder.rows import ComparedReading, Judged, Reading, ServedReading, counts, storable
from modelctl.traffic import Reason, Role

MINUTE = 60_000_000
FAILURES = frozenset({Outcome.BACKEND_ERROR, Outcome.TIMEOUT})

# By how many more failures the candidate had.
_PAIR_ERROR = {1: "-", 0: "0", -1: "+"}

# DDSketch's mapping with a relative error of 1 %: Masson, Rim, Lee, "DDSketch", PVLDB 12(12), 2019, section 2.
ACCURACY = 0.01
_LOG_GAMMA = math.log((1 + ACCURACY) / (1 - ACCURACY))

DISTINCT_KEYS = 1000
OTHER = "…"
# The square of a larger number is no finite float.
_SUMMABLE = 1e150


class Place(NamedTuple):
    """What a sum is about, but for its metric and key."""

    route: str
    rollout: int
    stage: int
    arm: str
    minute: int


class Pivot(NamedTuple):
    """What one pivot belongs to."""

    route: str
    rollout: int
    metric: str


class Fold:
    """Adds readings up. `pivots` must hold one for every number among them: see `first_numbers`."""

    def __init__(self, pivots: Mapping[Pivot, float]) -> None:
        self._pivots = pivots
        self._sums: dict[tuple[Place, str, str], list[float]] = {}
        self._distinct: dict[tuple[Place, str], int] = {}

    def add(self, reading: Reading) -> None:
        """Takes one reading into the sums."""
        if isinstance(reading, ServedReading) and reading.served.context.instead_of:
            self._add_fallback(reading)
        if not counts(reading):
            return
        if isinstance(reading, ServedReading):
            self._add_served(reading)
        else:
            self._add_compared(reading)

    def rows(self) -> list[dict[str, object]]:
        """The rows of `rollup` to add to what is there."""
        return [
            {**place._asdict(), "metric": metric, "key": key, "n": n, "k": k, "s1": s1, "s2": s2, "sp": sp}
            for (place, metric, key), (n, k, s1, s2, sp) in self._sums.items()
        ]

    def _count(
        self, place: Place, metric: str, *, key: str = "", k: int = 0, products: tuple[float, float, float] = (0, 0, 0)
    ) -> None:
        """One more in n; `k` and the `products`, which go to s1, s2 and sp, beside it."""
        sums = self._sums.get((place, metric, key))
        if sums is None:
            sums = self._sums[place, metric, key] = [0, 0, 0.0, 0.0, 0.0]
        sums[0] += 1
        sums[1] += k
        sums[2] += products[0]
        sums[3] += products[1]
        sums[4] += products[2]

    def _count_one_of_many(self, place: Place, metric: str, *, key: str, other: str) -> None:
        """Like `_count`, with at most DISTINCT_KEYS new keys: a backend that answers with free text must not fill the database."""
        if (place, metric, key) not in self._sums:
            if self._distinct.get((place, metric), 0) >= DISTINCT_KEYS:
                key = other
            else:
                self._distinct[place, metric] = self._distinct.get((place, metric), 0) + 1
        self._count(place, metric, key=key)

    def _add_served(self, reading: ServedReading) -> None:
        served, judged = reading.served, reading.answer
        place = _place(served.context, arm=served.answer.backend, at=served.at)
        self._count(place, "requests", key=judged.outcome.value)
        self._count(place, "units")
        self._count(place, "error", k=int(judged.outcome in FAILURES))
        if _was_timed(served.answer):
            self._count(place, "latency", key=bucket(served.answer.latency))
        for value in judged.values:
            if value.label is not None:
                self._count_one_of_many(place, "label", key=storable(value.label), other=OTHER)
        number = _number(judged)
        if number is not None:
            shifted = number - self._pivot(place, "number")
            self._count(place, "number", products=(shifted, shifted * shifted, 0))
        if served.context.role == Role.BASELINE:
            self._add_funnel(reading, place)

    def _add_fallback(self, reading: ServedReading) -> None:
        context = reading.served.context
        if context.reason == Reason.FALLBACK and reading.answer.outcome is not Outcome.CANCELLED:
            place = _place(context, arm=context.instead_of, at=reading.served.at)
            self._count(place, "units")
            self._count(place, "funnel", key="fallback")

    def _add_funnel(self, reading: ServedReading, place: Place) -> None:
        fates = dict(reading.served.shown)
        # What was shown was eligible, even where the stage is not known (any more).
        eligible = {arm.backend for arm in reading.arms if arm.shown and arm.role is Role.CANDIDATE} | fates.keys()
        for arm in eligible:
            self._count(_of(place, arm), "funnel", key="eligible")
        for arm, fate in fates.items():
            self._count(_of(place, arm), "funnel", key="sampled")
            self._count(_of(place, arm), "funnel", key="sent" if fate == SENT else storable(f"skipped:{fate}"))

    def _add_compared(self, reading: ComparedReading) -> None:
        served, shadow = reading.compared.served, reading.compared.shadow
        place = _place(served.context, arm=shadow.backend, at=served.at)
        worse = int(reading.candidate.outcome in FAILURES) - int(reading.baseline.outcome in FAILURES)
        self._count(place, "pair_error", key=_PAIR_ERROR[worse])
        self._count(place, "funnel", key="paired")
        if not shadow.failure:
            self._count(place, "funnel", key="answered")
        if _was_timed(served.answer) and _was_timed(shadow):
            self._count(place, "pair_latency", key=f"baseline:{bucket(served.answer.latency)}")
            self._count(place, "pair_latency", key=f"candidate:{bucket(shadow.latency)}")
        agreement = reading.agreement
        if agreement.agree is None:
            return
        self._count(place, "funnel", key="parsed")
        self._count(place, "agreement", key="equal" if agreement.agree else "different")
        self._add_confusion(place, baseline=reading.baseline.values, candidate=reading.candidate.values)
        if agreement.difference is not None and abs(agreement.difference) < _SUMMABLE:
            self._count(place, "difference", products=(agreement.difference, agreement.difference**2, 0))
        self._add_numbers(place, baseline=_number(reading.baseline), candidate=_number(reading.candidate))

    def _add_confusion(self, place: Place, *, baseline: tuple[Value, ...], candidate: tuple[Value, ...]) -> None:
        if len(baseline) != len(candidate):
            return
        for a, b in zip(baseline, candidate, strict=True):
            if a.label is not None and b.label is not None:
                key = _labels(storable(a.label), storable(b.label))
                self._count_one_of_many(place, "confusion", key=key, other=_labels(OTHER, OTHER))

    def _add_numbers(self, place: Place, *, baseline: float | None, candidate: float | None) -> None:
        if baseline is None or candidate is None:
            return
        pivot = self._pivot(place, "pair_number")
        a, b = baseline - pivot, candidate - pivot
        self._count(place, "pair_number", key="baseline", products=(a, a * a, 0))
        self._count(place, "pair_number", key="candidate", products=(b, b * b, 0))
        self._count(place, "pair_number", products=(0, 0, a * b))

    def _pivot(self, place: Place, metric: str) -> float:
        return self._pivots[Pivot(place.route, place.rollout, metric)]


def first_numbers(readings: Iterable[Reading]) -> dict[Pivot, float]:
    """For each metric that sums numbers up, the first number among `readings`, rounded to three digits."""
    found: dict[Pivot, float] = {}
    for reading in filter(counts, readings):
        served = isinstance(reading, ServedReading)
        context = reading.served.context if isinstance(reading, ServedReading) else reading.compared.served.context
        number = _number(reading.answer if isinstance(reading, ServedReading) else reading.baseline)
        pivot = Pivot(storable(context.route), context.rollout, "number" if served else "pair_number")
        if number is not None and pivot not in found:
            found[pivot] = float(f"{number:.3g}")
    return found


def bucket(latency: int) -> str:
    """The DDSketch bucket of a latency in microseconds: bucket i holds gamma^(i-1) < x <= gamma^i. "zero" for 0."""
    return str(math.ceil(math.log(latency) / _LOG_GAMMA)) if latency > 0 else "zero"


def _was_timed(answer: Answer) -> bool:
    return answer.failure in ("", TIMEOUT)


def _number(judged: Judged) -> float | None:
    """The mean of the instances: a request counts once, because its instances are not independent of each other."""
    numbers = judged.numbers
    if not numbers:
        return None
    mean = math.fsum(number / len(numbers) for number in numbers)
    return mean if abs(mean) < _SUMMABLE else None


def _labels(baseline: str, candidate: str) -> str:
    return msgspec.json.encode([baseline, candidate]).decode()


def _place(context: Context, *, arm: str, at: int) -> Place:
    return Place(storable(context.route), context.rollout, context.stage, storable(arm), at // MINUTE)


def _of(place: Place, arm: str) -> Place:
    return place._replace(arm=storable(arm))
