"""What a plan takes the baseline's metric to be: what was given, else what was seen in the last days, else what is usual. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from modelctl.controlplane.planning.past import Past, Share
from modelctl.errors import InvalidInput
from modelctl.gate import Gate
from modelctl.metric import Design, Metric, Scale, Source, Worse
from modelctl.statistics.moments import Moments

GIVEN, OBSERVED, ASSUMED = "given", "observed", "assumed"

# Fewer observations say less about a rate than what is usual does.
_ENOUGH = 100

# For a plan made before the first request. A discordance is the share of pairs in which one is right and the other wrong.
USUAL: Mapping[str, float] = MappingProxyType(
    {"error_rate": 0.01, "timeout_rate": 0.005, "slow_rate": 0.01, "agreement": 0.98, "similarity": 0.95, "accuracy": 0.9}
)
USUAL_FLAG = 0.1
DISCORDANCE = 0.02
CORRELATION = 0.9  # of two models' numbers on the same requests


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says of a metric: its value (a share of 1 for shares), and for means the standard deviation of one value."""

    value: float
    sd: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or (self.sd is not None and not (math.isfinite(self.sd) and self.sd > 0)):
            raise InvalidInput(
                f"a baseline of {self.value} with a standard deviation of {self.sd} cannot be: give numbers, sd above 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """`value` is the baseline's rate or mean, `spread` the standard deviation of what is compared (None: not known), `source` one
    of GIVEN, OBSERVED, ASSUMED, and `seen` what was observed of a share. `coverage` is the share of requests that get a label."""

    value: float | None
    spread: float | None = None
    discordance: float = DISCORDANCE
    source: str = ASSUMED
    seen: Share = field(default_factory=Share)
    coverage: float = 1.0


def assume(gate: Gate, metric: Metric, *, design: Design, past: Past, given: Mapping[str, Baseline]) -> Assumption:
    """The assumption about the gate's metric. Raises InvalidInput for a given share outside 0 to 1."""
    coverage = _coverage(metric, past)
    if metric.scale is Scale.MEAN:
        return _mean(metric, design, past=past, given=given.get(metric.name), coverage=coverage)
    discordance = _discordance(metric, past)
    if metric.name in given:
        value = given[metric.name].value
        if not 0 <= value <= 1:
            raise InvalidInput(f"--baseline {metric.name}={value}: a share lies between 0% and 100%")
        return Assumption(value=value, discordance=discordance, source=GIVEN, coverage=coverage)
    seen, usual = _seen(gate, metric, past=past), _usual(gate, metric)
    if seen.n >= _ENOUGH:
        # Of what never happened, the rule of three says how often it may.
        value = seen.k / seen.n if seen.k else min(usual, 3 / seen.n)
        return Assumption(value=value, discordance=discordance, source=OBSERVED, seen=seen, coverage=coverage)
    return Assumption(value=usual, discordance=discordance, coverage=coverage)


def _usual(gate: Gate, metric: Metric) -> float:
    """What is usual, or halfway to the gate's limit where that would be beyond it."""
    usual = USUAL.get(metric.name, USUAL_FLAG)
    if gate.limit is None:
        return usual
    return max(usual, (1 + gate.limit) / 2) if metric.worse is Worse.LOWER else min(usual, gate.limit / 2)


def _seen(gate: Gate, metric: Metric, *, past: Past) -> Share:
    match metric.name:
        case "error_rate":
            return past.share("error")
        case "timeout_rate":
            return past.outcomes("timeout")
        case "slow_rate":
            return past.slower(gate.slower_ms)
        case "agreement":
            return past.pairs("agreement", ("equal",))
        case "similarity":
            alike = past.pair_moments("similarity")
            return Share(alike.n, round(alike.n * alike.mean))
        case "accuracy":
            return past.share("accuracy")
    return past.share(f"field:{metric.name}")


def _discordance(metric: Metric, past: Past) -> float:
    name = {Source.OUTCOME: "pair_error", Source.FEEDBACK: f"pair_{metric.name}"}.get(metric.source, f"pair_field:{metric.name}")
    seen = past.pairs(name, ("-", "+"))
    # Without a single one, the rule of three says how many there can be.
    return max(seen.k, 3) / seen.n if seen.n >= _ENOUGH else DISCORDANCE


def _coverage(metric: Metric, past: Past) -> float:
    if metric.source is not Source.FEEDBACK:
        return 1.0
    labelled, requests = past.share("labelled").n, past.share("requests").n
    return min(1.0, labelled / requests) if labelled and requests else 1.0


def _mean(metric: Metric, design: Design, *, past: Past, given: Baseline | None, coverage: float) -> Assumption:
    name = {"prediction": "number"}.get(metric.name, metric.name if metric.source is Source.FEEDBACK else f"field:{metric.name}")
    seen = past.moments(name)
    paired = design is Design.PAIRED
    together = past.pair_moments({"number": "difference"}.get(name, f"pair_{name}")) if paired else Moments()
    if given is not None:
        return Assumption(value=given.value, spread=_paired(given.sd, paired=paired), source=GIVEN, coverage=coverage)
    if together.n >= _ENOUGH and together.variance:
        value = seen.mean if seen.n else None
        return Assumption(
            value=value, spread=math.sqrt(together.variance), source=OBSERVED, seen=Share(together.n), coverage=coverage
        )
    if seen.n >= _ENOUGH and seen.variance:
        spread = _paired(math.sqrt(seen.variance), paired=paired)
        return Assumption(value=seen.mean, spread=spread, source=OBSERVED, seen=Share(seen.n), coverage=coverage)
    return Assumption(value=None, coverage=coverage)


def _paired(sd: float | None, *, paired: bool) -> float | None:
    """The spread of the difference of two models on one request, or of one model's value."""
    return sd * math.sqrt(2 * (1 - CORRELATION)) if sd is not None and paired else sd
