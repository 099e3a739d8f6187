"""Records folded into sums that merge by addition: however a stream is cut into batches, the sums are the same. Pure.

The rows of `rollup`, by metric; `key` is "" and unnamed sums are 0 unless said. NAME is one of a route's own metrics, METRIC is
error, timeout, number, field:NAME, accuracy, log_loss, brier, absolute_error or reward:

    about an arm that answered, one count per request
      requests         key: outcome
      units            for the check of the shares
      error            k: failures, which are backend errors and timeouts
      latency          key: bucket of the latency in microseconds. Answers that broke are left out: failing fast is not being fast
      latency_warm     the same for requests in the first minute of a stage, which are not in latency
      label            key: label. n: instances
      number           s1, s2: sum of x - pivot and of its square, x the mean of the instances
      field:NAME       a flag: n, k; a number within its declared bounds: n, s1, s2. key "missing": answers without it
      invalid          key "prediction", field:NAME: values that were NaN, infinite or no number where one was wanted
      slice:error      key: JSON [dimension, value]. n, k
    about an arm that answered units which are kept on their arm
      first_unit       units seen in this stage, counted where they were seen first
      first_error      units whose first failure in the rollout fell here; first_timeout likewise, and
                       first_slow:BUCKET for answers in a latency bucket above one that a gate names
      unit:METRIC      sums over units of their count N and their sum S (shifted by the pivot of the metric):
                       n units, k: N, s1: S, s2: S^2, sp: S N; key "size": s2: N^2
    about a candidate that was shown what the baseline answered, one count per pair
      pair_error       key: "-" only the candidate failed, "+" only the baseline, "0" neither or both; pair_timeout likewise
      pair_field:NAME  a flag: key "-" only the candidate is worse, "+" only the baseline, "0" same; a number: s1, s2 of
                       candidate - baseline; key baseline, candidate: s1, s2 about the pivot field:NAME; key cross: sp of these two
      agreement        key: equal, different
      confusion        key: JSON [baseline's label, candidate's label]. n: instances
      difference       s1, s2: sum of candidate - baseline, and of its square
      similarity       s1, s2: sum of how alike two texts or two rankings are, from 0 to 1, and of its square
      pair_latency     key: baseline:BUCKET, candidate:BUCKET. Pairs in which neither answer broke
      pair_number      key "baseline", "candidate": s1, s2 as for number; key "": sp, sum of (a - pivot)(b - pivot)
      field            key: JSON [path, class] of both answers' JSON, class equal, value, type, missing or extra
      slice:pair_error key: JSON [dimension, value, sign]; slice:agreement: JSON [dimension, value], n, k: different
      noise            one count per request that a second copy of the baseline answered too. key: raw (only the candidate differs),
                       noise (only the copy differs), both, neither
      noise_field      key: JSON [path, raw | noise | both]
      funnel           key: eligible, sampled, sent, skipped:FATE, answered, parsed, paired, noise; duplicate: the candidate was
                       compared on the same question before, so the pair is in no other sum
    about records that a worker dropped, at the minute it told so
      dropped          key: reason (disk-full, spool-full, write-failed, buffer-full). Answers to clients
      pair_dropped     likewise, about the candidate of a pair
    about a candidate whose breaker was open, one count per request that the baseline answered for it
      units            the shares were kept: it is the answer that is not its own
      funnel           key: fallback
    about answers whose truth is known, at the minute, stage and arm of the prediction: see label_sums
      labelled         requests with a truth
      accuracy         n labels, k: right. slice:accuracy likewise, key: JSON [dimension, value]
      log_loss, brier, absolute_error, reward
                       s1, s2; rewards are shifted by their pivot
      pair_accuracy    the candidate of a pair. key: "-" only the baseline was right, "+" only the candidate, "0" both or neither
      pair_log_loss, pair_brier, pair_absolute_error
                       s1, s2: sum of the candidate's loss - the baseline's, and of its square
      shown_accuracy, shown_absolute_error
                       the candidate of a pair: n, k; s1, s2

Of a dimension's values the first 50 under a rollout have sums of their own, of paths the first 200; all others are "…". Previews,
tunnels, and requests whose client left, are in none of them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from modelctl.recorder.book import Book
from modelctl.recorder.ledger import DISTINCT_KEYS, MINUTE, OTHER, Admission, Pivot, Place, place_of
from modelctl.recorder.measuring import Measured
from modelctl.recorder.noise import Joint, add_joint
from modelctl.recorder.pair_sums import add_pairs
from modelctl.recorder.readings import ComparedReading, Reading, ServedReading, context_of, counts
from modelctl.recorder.served_sums import FAILURES, add_answers, add_fallbacks, bucket, number_of
from modelctl.recorder.texts import storable

PairKey = tuple[str, str]


class Pairs(NamedTuple):
    """Comparisons that are alike; `duplicate` says whether they ask what was asked before."""

    readings: list[ComparedReading]
    duplicate: bool


class Fold:
    """Adds readings up. `pivots` must hold one for every number among them: see `first_numbers`. `duplicates` are pairs that ask
    what was asked before."""

    def __init__(
        self, pivots: Mapping[Pivot, float], admission: Admission | None = None, *, duplicates: Collection[PairKey] = ()
    ) -> None:
        self.book = Book(pivots, admission or Admission())
        self._duplicates = duplicates
        self._admitted: set[tuple[object, ...]] = set()

    def add_batch(self, readings: Iterable[Reading], *, answers: Iterable[Sequence[ServedReading]], pairs: Iterable[Pairs]) -> None:
        """Takes `readings` into the sums: those whose order matters one by one, the others as the groups `answers` and `pairs`."""
        for reading in readings:
            if _in_order(reading):
                self.add(reading)
            elif isinstance(reading, ComparedReading) and reading.paths:
                self._admit(reading)
        for alike in answers:
            if not _in_order(alike[0]):
                self.add_answers(alike)
        for group, duplicate in pairs:
            if not _in_order(group[0]):
                self.add_pairs(group, duplicate=duplicate)

    def _admit(self, reading: ComparedReading) -> None:
        """The first places that come have sums of their own."""
        context = reading.compared.served.context
        named = (context.route, context.rollout, reading.paths)
        if named in self._admitted or reading.is_noise or not counts(reading) or pair_key(reading) in self._duplicates:
            return
        self._admitted.add(named)
        place = place_of(context, reading.compared.shadow.backend, at=reading.compared.served.at)
        for path, _ in reading.paths:
            self.book.path(place, path)

    def add(self, reading: Reading) -> None:
        """Takes one reading into the sums. What units come to, `book.units` says."""
        if isinstance(reading, ServedReading):
            self.add_answers([reading])
        elif counts(reading):
            self.add_pairs([reading], duplicate=pair_key(reading) in self._duplicates)

    def add_answers(self, alike: Sequence[ServedReading]) -> None:
        """Takes answers to clients into the sums that are alike (recorder.alike)."""
        if alike[0].served.context.instead_of:
            add_fallbacks(self.book, alike)
        if counts(alike[0]):
            add_answers(self.book, alike)

    def add_pairs(self, alike: Sequence[ComparedReading], *, duplicate: bool) -> None:
        """Takes comparisons into the sums that are alike and say something about their candidate."""
        if not alike[0].is_noise:
            add_pairs(self.book, alike, duplicate=duplicate)

    def add_joint(self, joint: Joint) -> None:
        """Takes one request of the noise floor into the sums."""
        add_joint(self.book, joint)

    def rows(self) -> list[dict[str, object]]:
        """The rows of `rollup` to add to what is there."""
        return self.book.ledger.rows()


def _in_order(reading: Reading) -> bool:
    """Whether it matters which reading comes first: a unit's first event counts, and a dimension's first values have sums."""
    if isinstance(reading, ServedReading) and reading.terms.sticky and reading.served.context.rollout:
        return True
    return bool(reading.slices)


def pair_key(reading: ComparedReading) -> PairKey:
    """The key of the row of `pair`."""
    return reading.compared.served.id.hex(), storable(reading.compared.shadow.backend)


def first_numbers(readings: Iterable[Reading]) -> dict[Pivot, float]:
    """For each metric that sums numbers up, the first number among `readings`, rounded to three digits."""
    found: dict[Pivot, float] = {}
    for reading in readings:
        numbers = _numbers(reading)
        if numbers and counts(reading):
            context = context_of(reading)
            for metric, number in numbers:
                pivot = Pivot(storable(context.route), context.rollout, metric)
                if pivot not in found:
                    found[pivot] = float(f"{number:.3g}")
    return found


def _numbers(reading: Reading) -> list[tuple[str, float]]:
    if isinstance(reading, ServedReading):
        number, metric, declared = number_of(reading.answer), "number", reading.measured
    else:
        number, metric = number_of(reading.baseline), "pair_number"
        declared = tuple([baseline for baseline, _ in reading.measured])
    found = [] if number is None else [(metric, number)]
    if declared:
        found += [(one.name, one.value) for one in declared if _is_number(one) and one.value is not None]
    return found


def _is_number(one: Measured) -> bool:
    return not one.flag


__all__ = [
    "DISTINCT_KEYS",
    "FAILURES",
    "MINUTE",
    "OTHER",
    "Fold",
    "Pivot",
    "Place",
    "bucket",
    "first_numbers",
    "pair_key",
]
