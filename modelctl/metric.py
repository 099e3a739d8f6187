"""What can be measured of an arm: a named number read from predictions, pairs or feedback, and which direction is worse.

METRICS are built in; a route declares more of its own (`Field`), found by path in answers. A design is how two arms are compared:

    paired    both answered the same requests (shadow)
    split     each answered its share, drawn at random
    limit     one arm alone against a fixed number that is declared (an SLO)

Feedback comes later, so metrics that need it are compared on the requests whose truth is known.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from modelctl.errors import InvalidInput

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


class Worse(StrEnum):
    """The direction that harms. EITHER has no good side: such a metric can only be held equivalent or shown."""

    HIGHER = "higher"
    LOWER = "lower"
    EITHER = "either"


class Scale(StrEnum):
    """A share of units (0 to 1), or a mean in the metric's own unit."""

    SHARE = "share"
    MEAN = "mean"


class Design(StrEnum):
    """How the arms are compared. AUTO takes paired where the ladder shows requests, else split; both are judged when both exist."""

    AUTO = "auto"
    PAIRED = "paired"
    SPLIT = "split"
    LIMIT = "limit"


class Source(StrEnum):
    """Where the number comes from."""

    OUTCOME = "outcome"
    LATENCY = "latency"
    PREDICTION = "prediction"
    FEEDBACK = "feedback"
    FIELD = "field"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. `designs` are those it can be compared in; AUTO is never among them."""

    name: str
    title: str
    scale: Scale
    worse: Worse
    source: Source
    designs: frozenset[Design]

    @property
    def is_of_pairs(self) -> bool:
        """Whether it says how alike both answers to one request are: one number a pair, to be held against a limit."""
        return self.source is Source.PREDICTION and self.designs == _ALONE


_ALL = frozenset({Design.PAIRED, Design.SPLIT, Design.LIMIT})
_ALONE = frozenset({Design.LIMIT})
_UNPAIRED = frozenset({Design.SPLIT, Design.LIMIT})
_COMPARED = frozenset({Design.PAIRED, Design.SPLIT})


def _share(name: str, title: str, *, source: Source, worse: Worse = Worse.HIGHER, designs: frozenset[Design] = _ALL) -> Metric:
    return Metric(name=name, title=title, scale=Scale.SHARE, worse=worse, source=source, designs=designs)


def _mean(name: str, title: str, *, source: Source, worse: Worse = Worse.HIGHER, designs: frozenset[Design] = _ALL) -> Metric:
    return Metric(name=name, title=title, scale=Scale.MEAN, worse=worse, source=source, designs=designs)


def _alike(name: str, title: str) -> Metric:
    return _share(name, title, source=Source.PREDICTION, worse=Worse.LOWER, designs=_ALONE)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _share("error_rate", "failed answers", source=Source.OUTCOME),
            _share("timeout_rate", "answers that came too late", source=Source.OUTCOME, designs=_UNPAIRED),
            # A shadow's latency is not a client's: other caches, other queues. So it is never compared in pairs.
            _share("slow_rate", "answers slower than the threshold", source=Source.LATENCY, designs=_UNPAIRED),
            _alike("agreement", "same prediction on the same request"),
            _alike("similarity", "how alike texts or rankings are"),
            _mean("prediction", "predicted number", source=Source.PREDICTION, worse=Worse.EITHER, designs=_COMPARED),
            _share("accuracy", "predictions that were right", source=Source.FEEDBACK, worse=Worse.LOWER),
            _mean("log_loss", "log-loss", source=Source.FEEDBACK),
            _mean("brier", "Brier score", source=Source.FEEDBACK),
            _mean("absolute_error", "absolute error", source=Source.FEEDBACK),
            _mean("reward", "reward", source=Source.FEEDBACK, worse=Worse.LOWER, designs=frozenset({Design.SPLIT})),
        )
    }
)


OF_PAIRS = frozenset(name for name, metric in METRICS.items() if metric.is_of_pairs)


class FieldType(StrEnum):
    """What stands at a field's path: a number, or a yes or no (true/false, 1/0)."""

    NUMBER = "number"
    FLAG = "flag"


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric that a route declares: the value at `path` (JSON pointer or JSONPath) of an answer's body.

    A number beyond `low` or `high` counts as that bound: a cap that is declared beforehand keeps means of heavy tails honest.
    """

    name: str
    path: str
    type: FieldType = FieldType.NUMBER
    worse: Worse = Worse.HIGHER
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in METRICS:
            raise InvalidInput(
                f"{self.name!r} is no name for a metric of your own: use 1 to 48 lower-case letters, digits or '_', starting with "
                f"a letter, and none of {', '.join(METRICS)}"
            )
        if not self.path.startswith(("/", "$")) or len(self.path) > 512:
            raise InvalidInput(
                f"the path of metric {self.name!r} must be a JSON pointer such as /score or a JSONPath such as $.score"
            )
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise InvalidInput(f"the bounds of metric {self.name!r} are {self.low} and {self.high}: the first must be lower")

    @property
    def metric(self) -> Metric:
        """The field as a metric."""
        scale = Scale.SHARE if self.type is FieldType.FLAG else Scale.MEAN
        designs = _ALL if scale is Scale.SHARE else _COMPARED
        return Metric(name=self.name, title=self.name, scale=scale, worse=self.worse, source=Source.FIELD, designs=designs)


class DimensionSource(StrEnum):
    """Where the value of a slice comes from."""

    HEADER = "header"  # a field of the request; the route's capture must keep it
    REQUEST = "request"  # a place in the request's JSON body
    HOUR = "hour"  # the hour of the day, UTC


class Dimension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way to slice a route's traffic. `place` is a header's name or a path in the body; `cuts` turn numbers into ranges."""

    name: str
    source: DimensionSource
    place: str = ""
    cuts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"{self.name!r} is no name for a dimension: use lower-case letters, digits or '_'")
        if (self.source is DimensionSource.HOUR) == bool(self.place):
            raise InvalidInput(f"dimension {self.name!r} needs a header's name or a path, and none for the hour")
        if list(self.cuts) != sorted(set(self.cuts)):
            raise InvalidInput(f"the cuts of dimension {self.name!r} must rise: {self.cuts}")


def metric_named(name: str, fields: tuple[Field, ...] = ()) -> Metric:
    """A metric that is built in or declared by a route. Raises InvalidInput, naming all there are."""
    own = {field.name: field.metric for field in fields}
    found = METRICS.get(name) or own.get(name)
    if found is None:
        there_are = ", ".join([*METRICS, *own])
        raise InvalidInput(f"there is no metric {name!r}; there are {there_are}; a route's own: modelctl route metric add")
    return found
