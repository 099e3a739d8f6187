"""What a rollout must prove: criteria with declared margins, as values and as the text people write.

    error_rate:guardrail:margin=0.5pt           not worse by half a percentage point or more
    error_rate:guardrail:margin=10%             not worse by a tenth of the baseline's
    slow_rate:guardrail:limit=1%,slower=250ms   at most 1 % slower than 250 ms, whatever the baseline does
    accuracy:success:mde=1pt                    better; 1 point is the effect that matters
    agreement:guardrail:limit=95%               the same prediction on 95 % of the requests or more
    prediction:equivalence:margin=0.02          neither higher nor lower by 0.02
    error_rate[device=phone]:guardrail:margin=1pt   the same of one slice of a declared dimension

There is no default margin: it is the harm that is tolerated, and only people can say that.
"""

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from modelctl.errors import InvalidInput
from modelctl.metric import METRICS, Design, Dimension, Field, Metric, Scale, Worse, metric_named

_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?(?:e-?[0-9]{1,2})?)(pt|%|)")
_THRESHOLD = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s)")
# The value of a slice is any text, so it ends at the last "]:": no option holds one.
_SLICED = re.compile(r"([^\[:]*)\[([^\[\]=]+)=(.*)\](:.*)", re.DOTALL)

SLICED: Mapping[str, frozenset[Design]] = MappingProxyType(
    {
        "error_rate": frozenset({Design.PAIRED, Design.SPLIT, Design.LIMIT}),
        "agreement": frozenset({Design.LIMIT}),
        "accuracy": frozenset({Design.SPLIT, Design.LIMIT}),
    }
)
"""The metrics that are summed up by slice, with the designs they can be compared in there."""


class GateRole(StrEnum):
    """What a criterion may do to the verdict."""

    GUARDRAIL = "guardrail"
    SUCCESS = "success"
    EQUIVALENCE = "equivalence"
    INFO = "info"


class MarginKind(StrEnum):
    """ABSOLUTE is in the metric's unit (a share of 1 for shares), RELATIVE is a share of the baseline's value."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


class Margin(msgspec.Struct, frozen=True):
    """The harm that is tolerated, above 0."""

    amount: float
    kind: MarginKind = MarginKind.ABSOLUTE

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise InvalidInput(f"a margin of {self.amount} tolerates nothing and cannot be proven: declare one above 0")


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One criterion. `limit` (a share of 1, or in the metric's unit) takes the place of a margin: the candidate alone against it.

    `slower_ms` is slow_rate's threshold. `mde` is the effect that a success metric is tuned for, absolute. `weight` is its part of
    the error level of rolling back. `zero_tolerance` rolls back on any proven harm, not only beyond the margin. `slice` is a
    dimension of the route and a value of it: the gate is about the requests there alone.
    """

    metric: str
    role: GateRole
    margin: Margin | None = None
    limit: float | None = None
    design: Design = Design.AUTO
    slower_ms: float = 0.0
    mde: float | None = None
    weight: float = 1.0
    zero_tolerance: bool = False
    slice: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1000:
            raise InvalidInput(f"the weight of {self.metric} must be above 0 and at most 1000, not {self.weight}")
        if self.margin is not None and self.limit is not None:
            raise InvalidInput(f"{self.metric} has a margin and a limit: declare one of them")
        if self.mde is not None and not (math.isfinite(self.mde) and self.mde > 0):
            raise InvalidInput(f"the effect (mde) of {self.metric} must be above 0, not {self.mde}")
        if not 0 <= self.slower_ms <= 3_600_000:
            raise InvalidInput(f"the threshold of {self.metric} must be from 0 to an hour, not {self.slower_ms} ms")
        if self.slice is not None and not all(self.slice):
            raise InvalidInput(f"a slice of {self.metric} is a dimension and a value, such as {self.metric}[device=phone]")

    @property
    def subject(self) -> str:
        """The metric, with the slice it is asked about."""
        return self.metric if self.slice is None else f"{self.metric}[{self.slice[0]}={self.slice[1]}]"

    @property
    def name(self) -> str:
        """What tells it from the other gates of a rollout."""
        parts = [self.subject, *([f"slower {self.slower_ms:g}ms"] if self.slower_ms else ())]
        return " ".join(parts + ([self.design.value] if self.design is not Design.AUTO else []))


def check_gate(gate: Gate, fields: tuple[Field, ...] = (), *, dimensions: tuple[Dimension, ...] = ()) -> Metric:
    """The gate's metric. Raises InvalidInput with the reason when the two do not go together, or the slice is of no dimension."""
    metric = metric_of(gate, fields)
    fault = _slice_fault(gate, dimensions) or next((sentence for wrong, sentence in _faults(gate, metric) if wrong), "")
    if fault:
        raise InvalidInput(f"--gate {gate_words(gate)}: {fault}")
    return metric


def metric_of(gate: Gate, fields: tuple[Field, ...] = ()) -> Metric:
    """The gate's metric; in a slice with the designs it can be compared in there. Raises InvalidInput when there is none."""
    metric = metric_named(gate.metric, fields)
    if gate.slice is None:
        return metric
    title = f"{metric.title} where {gate.slice[0]} is {gate.slice[1]}"
    return msgspec.structs.replace(metric, title=title, designs=SLICED.get(metric.name, metric.designs))


def _slice_fault(gate: Gate, dimensions: tuple[Dimension, ...]) -> str:
    if gate.slice is None:
        return ""
    if gate.metric not in SLICED:
        return f"{gate.metric} is not summed up by slice; {', '.join(SLICED)} are"
    names = [dimension.name for dimension in dimensions]
    if gate.slice[0] in names:
        return ""
    there_are = f"there are {', '.join(names)}" if names else "it has none yet"
    return f"the route has no dimension {gate.slice[0]!r}; {there_are}; declare one: modelctl route dimension add"


def _faults(gate: Gate, metric: Metric) -> tuple[tuple[bool, str], ...]:
    bounded = gate.role in (GateRole.GUARDRAIL, GateRole.EQUIVALENCE)
    designs = ", ".join(sorted(metric.designs))
    limited = gate.limit is not None
    return (
        (
            bounded and gate.margin is None and not limited,
            f"a {gate.role} needs a margin, the harm you tolerate: margin=0.5pt or margin=10%; `modelctl plan` suggests one",
        ),
        (gate.role is GateRole.SUCCESS and limited, "a success metric is compared with the baseline: it has no limit"),
        (gate.role is GateRole.EQUIVALENCE and limited, "equivalence is about the baseline: declare a margin"),
        (
            metric.worse is Worse.EITHER and gate.role in (GateRole.GUARDRAIL, GateRole.SUCCESS),
            f"{metric.name} has no worse side: make it an equivalence or info",
        ),
        (limited and Design.LIMIT not in metric.designs, f"{metric.name} cannot have a limit; it supports {designs}"),
        (
            not limited and metric.designs == {Design.LIMIT} and gate.role is not GateRole.INFO,
            f"{metric.name} is compared with a fixed number: declare limit=95%",
        ),
        (
            gate.design not in (Design.AUTO, *metric.designs),
            f"{metric.name} cannot be compared {gate.design}; it supports {designs}",
        ),
        (
            limited and metric.scale is Scale.SHARE and not 0 < (gate.limit or 0) < 1,
            "the limit of a share lies between 0% and 100%, both excluded",
        ),
        (metric.name == "slow_rate" and not gate.slower_ms, "slow_rate needs its threshold, such as slower=250ms"),
        (metric.name != "slow_rate" and bool(gate.slower_ms), "only slow_rate has a threshold"),
    )


LONGEST = 300
"""Characters of a gate that is written."""


def parse_gate(text: str) -> Gate:
    """The gate that `METRIC:ROLE[:KEY=VALUE,...]` means. Raises InvalidInput; `check_gate` looks whether it can be."""
    if len(text) > LONGEST:
        raise InvalidInput(f"a gate has at most {LONGEST} characters, not {len(text):,}: {text[:40]!r}...")
    found = _SLICED.fullmatch(text)
    name, _, rest = (found[1] + found[4] if found else text).partition(":")
    role, _, options = rest.partition(":")
    if not name or role not in list(GateRole):
        raise InvalidInput(
            f"{text!r} is no gate: write METRIC:ROLE:margin=AMOUNT, such as error_rate:guardrail:margin=0.5pt; "
            f"roles are {', '.join(GateRole)}"
        )
    pairs: list[tuple[str, Any]] = [_option(text, part) for part in options.split(",") if part]
    given = dict(pairs)
    if len(given) != len(pairs):
        raise InvalidInput(f"{text!r} says the same thing twice: give each option once")
    return Gate(metric=name, role=GateRole(role), slice=(found[2], found[3]) if found else None, **given)


def _option(text: str, part: str) -> tuple[str, object]:
    key, _, value = part.partition("=")
    match key:
        case "margin":
            return "margin", _margin(text, value)
        case "limit":
            return "limit", _amount(text, value)[0]
        case "mde":
            return "mde", _amount(text, value)[0]
        case "slower":
            return "slower_ms", _milliseconds(text, value)
        case "weight":
            return "weight", _amount(text, value)[0]
        case "design" if value in list(Design):
            return "design", Design(value)
        case "zero-tolerance" if not value:
            return "zero_tolerance", True
    raise InvalidInput(
        f"{part!r} in {text!r} is not understood; there are margin, limit, mde, slower, weight, design=paired|split, zero-tolerance"
    )


def _margin(text: str, value: str) -> Margin:
    amount, unit = _amount(text, value)
    return Margin(amount, MarginKind.RELATIVE if unit == "%" else MarginKind.ABSOLUTE)


def _amount(text: str, value: str) -> tuple[float, str]:
    match = _AMOUNT.fullmatch(value)
    if match is None:
        raise InvalidInput(f"{value!r} in {text!r} is no amount: write 0.5pt (percentage points), 10% or a number such as 0.02")
    return float(match[1]) / (100 if match[2] else 1), match[2]


def _milliseconds(text: str, value: str) -> float:
    match = _THRESHOLD.fullmatch(value)
    if match is None:
        raise InvalidInput(f"{value!r} in {text!r} is no threshold: write 250ms or 1.5s")
    return float(match[1]) * (1000 if match[2] == "s" else 1)


def gate_text(gate: Gate) -> str:
    """The gate as it is written: `parse_gate` reads it back."""
    return _written(gate, share=False)


def gate_words(gate: Gate) -> str:
    """The same as people say it: of built-in shares the margin in percentage points and the limit in percent."""
    metric = METRICS.get(gate.metric)
    return _written(gate, share=metric is not None and metric.scale is Scale.SHARE)


def _written(gate: Gate, *, share: bool) -> str:
    parts = []
    if gate.margin is not None:
        relative = gate.margin.kind is MarginKind.RELATIVE
        parts.append(
            f"margin={_number(gate.margin.amount * 100)}%" if relative else f"margin={_amount_of(gate.margin.amount, share)}"
        )
    parts += [f"limit={_number(gate.limit * 100)}%" if share else f"limit={_number(gate.limit)}"] if gate.limit is not None else []
    parts += [f"slower={_number(gate.slower_ms)}ms"] if gate.slower_ms else []
    parts += [f"mde={_amount_of(gate.mde, share)}"] if gate.mde is not None else []
    parts += [f"weight={_number(gate.weight)}"] if gate.weight != 1 else []
    parts += [f"design={gate.design}"] if gate.design is not Design.AUTO else []
    parts += ["zero-tolerance"] if gate.zero_tolerance else []
    return ":".join([gate.subject, gate.role.value, *([",".join(parts)] if parts else [])])


def _amount_of(value: float, share: bool) -> str:
    return f"{_number(value * 100)}pt" if share else _number(value)


def _number(value: float) -> str:
    return f"{value:.12g}"
