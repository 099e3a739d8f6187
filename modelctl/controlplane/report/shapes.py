"""How answers are distributed: labels and numbers of pairs, latencies, outcomes, feedback. Shown; nothing here decides. Pure."""

from collections import Counter

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.shown import pair_means
from modelctl.controlplane.judgement.sums import Sums, moments
from modelctl.statistics import quantiles
from modelctl.statistics.agreement import cohen_kappa
from modelctl.statistics.comparison import State
from modelctl.statistics.paired import bland_altman
from modelctl.statistics.quantiles import Histogram
from modelctl.statistics.tuning import ALPHA

SHOWN_LABELS = 20
KAPPA_LABELS = 300
OTHERS = "all others"


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Labels of the same requests: rows are the baseline's, columns the candidate's, `n` instances.

    `kappa` is agreement beyond chance with its fixed-horizon interval; None with the `reason`. `moves` are the most frequent
    changes; `uncounted` instances had too many different labels to be kept apart. The rows and columns beyond the most frequent
    labels are added up under "all others"; `kappa` is of all labels.
    """

    candidate: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    n: int
    equal: float | None
    kappa: float | None
    kappa_lower: float | None
    kappa_upper: float | None
    uncounted: int
    reason: str
    moves: tuple["Move", ...]


class Move(msgspec.Struct, frozen=True):
    """How often the baseline said one label and the candidate another."""

    baseline: str
    candidate: str
    n: int


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of the same requests (Bland-Altman): the mean difference, and the limits that hold 95% of the differences."""

    candidate: str
    n: int
    baseline_mean: float | None
    candidate_mean: float | None
    bias: float | None
    sd: float | None
    lower_limit: float | None
    upper_limit: float | None
    constant: bool


class Quantile(msgspec.Struct, frozen=True, kw_only=True):
    """One quantile in milliseconds with its always-valid interval; `enough` is false when there are too few values for it."""

    q: float
    value: float | None
    lower: float | None
    upper: float | None
    enough: bool


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long one arm took, to the last byte. `shown` tells the requests it was shown from those it answered."""

    arm: str
    shown: bool
    n: int
    quantiles: tuple[Quantile, ...]


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """How one arm's answers to clients ended, by outcome."""

    arm: str
    n: int
    counts: dict[str, int]
    failures: int
    failure_rate: float | None


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """One arm against feedback: labels that were right, and the mean absolute error of numbers. `shown` as in Latency."""

    arm: str
    shown: bool
    labels: int
    correct: int
    accuracy: float | None
    numbers: int
    mean_absolute_error: float | None


def confusion(sums: Sums, candidate: str) -> Confusion | None:
    """None without labels of both arms."""
    cells = {_cell(key): n for key, n in sums.counts(candidate, "confusion").items()}
    # The recorder adds up what is beyond its limit of distinct labels here: whether those were equal is not known.
    uncounted = cells.pop(("…", "…"), 0)
    if not cells:
        return None
    frequency: Counter[str] = Counter()
    for (a, b), n in cells.items():
        frequency.update({a: n})
        frequency.update({b: n})
    labels = [label for label, _ in sorted(frequency.items(), key=lambda item: (-item[1], item[0]))]
    shown = tuple(sorted(labels[:SHOWN_LABELS])) + ((OTHERS,) if len(labels) > SHOWN_LABELS else ())
    moves = sorted(
        (Move(a, b, n) for (a, b), n in cells.items() if a != b), key=lambda move: (-move.n, move.baseline, move.candidate)
    )
    total, equal = sum(cells.values()), sum(n for (a, b), n in cells.items() if a == b)
    kappa, lower, upper, reason = _kappa(cells, labels)
    return Confusion(
        candidate=candidate,
        labels=shown,
        counts=_matrix(cells, shown),
        n=total,
        equal=equal / total if total else None,
        kappa=kappa,
        kappa_lower=lower,
        kappa_upper=upper,
        uncounted=uncounted,
        reason=reason,
        moves=tuple(moves[:10]),
    )


def numbers(evidence: Evidence, candidate: str) -> Numbers | None:
    """None without numbers of both arms."""
    found = bland_altman(moments(evidence.sums.over_stages(candidate, "difference")))
    if not found.n:
        return None
    baseline_mean, candidate_mean = pair_means(evidence, candidate)
    low, high = found.limits or (None, None)
    return Numbers(
        candidate=candidate,
        n=found.n,
        baseline_mean=baseline_mean,
        candidate_mean=candidate_mean,
        bias=found.bias,
        sd=found.sd,
        lower_limit=low,
        upper_limit=high,
        constant=found.state is State.DEGENERATE,
    )


def latencies(evidence: Evidence) -> tuple[Latency, ...]:
    """What arms took for requests they answered, then what both sides took for the requests a candidate was shown."""
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    found = [_latency(arm, _answered(evidence, arm), shown=False) for arm in arms]
    for candidate in evidence.rollout.candidates:
        pairs = evidence.sums.counts(candidate, "pair_latency")
        buckets = {key.removeprefix("candidate:"): n for key, n in pairs.items() if key.startswith("candidate:")}
        found.append(_latency(candidate, buckets, shown=True))
    return tuple(latency for latency in found if latency.n)


def outcomes(evidence: Evidence) -> tuple[Outcomes, ...]:
    """Every arm that answered clients."""
    found = []
    for arm in (evidence.rollout.baseline, *evidence.rollout.candidates):
        counts = evidence.sums.counts(arm, "requests")
        errors = evidence.sums.over_stages(arm, "error")
        rate = errors.k / errors.n if errors.n else None
        found.append(Outcomes(arm=arm, n=sum(counts.values()), counts=counts, failures=errors.k, failure_rate=rate))
    return tuple(found)


def accuracies(evidence: Evidence) -> tuple[Accuracy, ...]:
    """One line per arm that has feedback: first for what it answered, then for what it was shown."""
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    found = [_accuracy(evidence, arm, shown=False) for arm in arms]
    found += [_accuracy(evidence, arm, shown=True) for arm in evidence.rollout.candidates]
    return tuple(one for one in found if one.labels or one.numbers)


def _accuracy(evidence: Evidence, arm: str, *, shown: bool) -> Accuracy:
    prefix = "shown_" if shown else ""
    labels = evidence.sums.over_stages(arm, f"{prefix}accuracy")
    numbers = evidence.sums.over_stages(arm, f"{prefix}absolute_error")
    return Accuracy(
        arm=arm,
        shown=shown,
        labels=labels.n,
        correct=labels.k,
        accuracy=labels.k / labels.n if labels.n else None,
        numbers=numbers.n,
        mean_absolute_error=numbers.s1 / numbers.n if numbers.n else None,
    )


def _cell(key: str) -> tuple[str, str]:
    return msgspec.json.decode(key, type=tuple[str, str])


def _matrix(cells: dict[tuple[str, str], int], labels: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    places = {label: place for place, label in enumerate(labels)}
    counts = [[0] * len(labels) for _ in labels]
    for (a, b), n in cells.items():
        counts[places.get(a, len(labels) - 1)][places.get(b, len(labels) - 1)] += n
    return tuple(tuple(row) for row in counts)


def _kappa(cells: dict[tuple[str, str], int], labels: list[str]) -> tuple[float | None, float | None, float | None, str]:
    if len(labels) > KAPPA_LABELS:
        return None, None, None, f"{len(labels):,} different labels are too many for kappa; is the prediction a label at all?"
    found = cohen_kappa(_matrix(cells, tuple(labels)))
    return found.kappa, found.lower, found.upper, found.reason


def _answered(evidence: Evidence, arm: str) -> dict[str, int]:
    """Everything an arm answered, the first minute of its stages included: that is excused in verdicts, not hidden."""
    return dict(Counter(evidence.sums.counts(arm, "latency")) + Counter(evidence.sums.counts(arm, "latency_warm")))


def _latency(arm: str, counts: dict[str, int], *, shown: bool) -> Latency:
    histogram = Histogram({int(key): n for key, n in counts.items() if key != "zero"}, zero=counts.get("zero", 0))
    return Latency(arm=arm, shown=shown, n=histogram.n, quantiles=tuple(_quantile(histogram, q) for q in (0.5, 0.9, 0.95, 0.99)))


def _quantile(histogram: Histogram, q: float) -> Quantile:
    if not histogram.n:
        return Quantile(q=q, value=None, lower=None, upper=None, enough=False)
    low, high = quantiles.interval(histogram, q, alpha=ALPHA)
    value = quantiles.quantile(histogram, q)
    return Quantile(
        q=q,
        value=_ms(value),
        lower=_ms(max(low, 0.0)),
        upper=None if high == float("inf") else _ms(high),
        enough=quantiles.enough(histogram.n, q),
    )


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 4)
