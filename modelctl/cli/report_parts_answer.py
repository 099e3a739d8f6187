"""What the CLI reads of a report's examples, paths over time, curves and digests. Times are Unix milliseconds unless said."""

import msgspec

from modelctl.cli.report_details_answer import Slice


class Curl(msgspec.Struct, frozen=True):
    """The command that asks one backend again."""

    backend: str
    command: str


class Disagreement(msgspec.Struct, frozen=True):
    """One request that was answered differently or wrongly; `at` is Unix microseconds."""

    request_id: str
    at: int
    candidate: str
    baseline_prediction: str
    candidate_prediction: str
    difference: float | None
    request_preview: str
    baseline_preview: str = ""
    candidate_preview: str = ""
    truth: str = ""
    redacted: bool = False
    commands: tuple[Curl, ...] = ()
    remark: str = ""


class SliceExamples(msgspec.Struct, frozen=True):
    """Examples of one slice, and the command that shows them."""

    candidate: str
    kind: str
    dimension: str
    value: str
    command: str
    found: tuple[Disagreement, ...] = ()
    note: str = ""


class StandsOut(msgspec.Struct, frozen=True):
    """A slice in which a candidate is worse or differs more."""

    slice: Slice
    also: tuple[str, ...] = ()
    examples: SliceExamples | None = None


class StandingOut(msgspec.Struct, frozen=True):
    """What is to be seen first."""

    sentence: str = ""
    first: tuple[StandsOut, ...] = ()


class Look(msgspec.Struct, frozen=True):
    """What was known at a moment; an end that is None is infinite."""

    at: int
    n: int
    lower: float | None
    estimate: float | None
    upper: float | None
    finding: str


class OverTime(msgspec.Struct, frozen=True):
    """How an interval came about."""

    candidate: str
    title: str
    gate: str
    unit: str
    margin: float | None
    null: float | None
    sentence: str
    looks: tuple[Look, ...] = ()
    note: str = ""


class LatencyCurve(msgspec.Struct, frozen=True):
    """How long an arm took; `of` is the candidate whose pairs these are, empty for answers to clients."""

    arm: str
    of: str
    n: int
    quantiles: dict[str, float]


class DifferenceBin(msgspec.Struct, frozen=True):
    """How many differences lie in a range."""

    low: float
    high: float
    n: int


class DifferenceSample(msgspec.Struct, frozen=True):
    """The newest differences between numbers."""

    candidate: str
    sentence: str
    bins: tuple[DifferenceBin, ...] = ()


class Reproduction(msgspec.Struct, frozen=True):
    """What somebody else needs to come to the same page."""

    version: str
    engine: str
    alpha_rollback: float
    alpha_promote: float
    sums: int
    evidence_sha256: str
    terms_sha256: str
    commands: tuple[str, ...] = ()
