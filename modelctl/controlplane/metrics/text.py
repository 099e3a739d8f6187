"""The text that Prometheus reads: its own format 0.0.4, or OpenMetrics 1.0.0, which has exemplars. Pure.

Sources: prometheus.io/docs/instrumenting/exposition_formats; OpenMetrics 1.0.0, sections 4 and 5.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from modelctl.controlplane.metrics.catalog import Metric, Type
from modelctl.counts import BUCKETS, Exemplar

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

BOUNDS: tuple[tuple[str, str], ...] = (*((edge, str(int(edge) / 1e6)) for edge in BUCKETS[:-1]), (BUCKETS[-1], "+Inf"))
"""Every bucket as workers name it (µs) and as Prometheus does (seconds)."""
_UNITS = ("seconds", "bytes", "ratio")


class Sample(NamedTuple):
    """The values of a metric's labels, in their order, and the number."""

    labels: tuple[str, ...]
    value: float


class Durations(NamedTuple):
    """One histogram: how many fell into each bucket, by its edge in µs, their sum in seconds, and who stands for a bucket."""

    labels: tuple[str, ...]
    buckets: dict[str, int]
    total: float
    exemplars: dict[str, Exemplar]


class Family(NamedTuple):
    """A metric with its numbers: Durations for a histogram, Samples for all others."""

    metric: Metric
    numbers: Sequence[Sample | Durations]


def wants_openmetrics(accept: str) -> bool:
    """Whether who asks with this Accept field reads OpenMetrics."""
    return "application/openmetrics-text" in accept


def exposition(families: Iterable[Family], *, openmetrics: bool) -> str:
    """The whole text. A family without numbers is described all the same."""
    lines = [line for family in families for line in _family(family, openmetrics=openmetrics)]
    return "\n".join([*lines, "# EOF"] if openmetrics else lines) + "\n"


def _family(family: Family, *, openmetrics: bool) -> Iterator[str]:
    metric = family.metric
    name = metric.name.removesuffix("_total") if openmetrics and metric.type is Type.COUNTER else metric.name
    yield f"# HELP {name} {_escaped(metric.help)}"
    yield f"# TYPE {name} {metric.type}"
    if openmetrics and name.endswith(_UNITS):
        yield f"# UNIT {name} {name.rpartition('_')[2]}"
    for one in sorted(family.numbers, key=lambda one: one.labels):
        if isinstance(one, Durations):
            yield from _histogram(metric, one, openmetrics=openmetrics)
        else:
            yield f"{metric.name}{_labels(metric.labels, one.labels)} {_number(one.value)}"


def _histogram(metric: Metric, one: Durations, *, openmetrics: bool) -> Iterator[str]:
    names, seen = (*metric.labels, "le"), 0
    for edge, bound in BOUNDS:
        seen += one.buckets.get(edge, 0)
        exemplar = one.exemplars.get(edge) if openmetrics else None
        behind = "" if exemplar is None else _exemplar(exemplar)
        yield f"{metric.name}_bucket{_labels(names, (*one.labels, bound))} {seen}{behind}"
    labels = _labels(metric.labels, one.labels)
    yield f"{metric.name}_sum{labels} {_number(one.total)}"
    yield f"{metric.name}_count{labels} {seen}"


def _exemplar(one: Exemplar) -> str:
    return f' # {{trace_id="{_escaped(one.trace)}"}} {_number(one.took / 1e6)} {one.at / 1e6:.3f}'


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
