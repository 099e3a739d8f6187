"""What the CLI reads of a report. Times are Unix microseconds; those of the rollout and its stages are milliseconds."""

import msgspec

from modelctl.cli.event_lines import Event
from modelctl.cli.funnel import Funnel
from modelctl.cli.report_details_answer import Companion, Details
from modelctl.cli.report_parts_answer import (
    DifferenceSample,
    Disagreement,
    LatencyCurve,
    OverTime,
    Reproduction,
    SliceExamples,
    StandingOut,
)


class Judgement(msgspec.Struct, frozen=True):
    """The word, why, what is still open, and the commands that act on it."""

    word: str
    sentence: str
    needs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    margins: str = ""


class Attempt(msgspec.Struct, frozen=True):
    """The rollout the report is about."""

    id: int
    strategy: str
    phase: str
    baseline: str
    candidates: tuple[str, ...]
    step: int
    steps: tuple[str, ...]
    opened_at: int
    closed_at: int = 0
    winner: str = ""
    actor: str = ""
    reason: str = ""


class ArmSplit(msgspec.Struct, frozen=True):
    """Requests one arm answered, and how many its shares asked for."""

    arm: str
    observed: int
    expected: float


class StageLine(msgspec.Struct, frozen=True):
    """A period with constant shares in basis points, and the requests of each arm in it."""

    id: int
    opened_at: int
    closed_at: int
    answers: dict[str, int]
    shown: dict[str, int]
    requests: dict[str, int]


class Trust(msgspec.Struct, frozen=True):
    """Whether the traffic was split as assigned."""

    log10_e: float | None
    blocked: bool
    arms: tuple[ArmSplit, ...]
    stages: tuple[StageLine, ...]
    notes: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """One line of the decision table. A bound that is None is infinite; `unit` is share, ratio or value.

    Harm is in the unit of the margin; it is there for what a gate was declared for.
    """

    candidate_name: str
    title: str
    role: str
    unit: str
    n: int
    counts: str
    method: str
    finding: str
    baseline: float | None = None
    candidate: float | None = None
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    null: float | None = None
    log10_e: float | None = None
    reason: str = ""
    gate: str = ""
    design: str = ""
    margin: float | None = None
    margin_unit: str = ""
    harm_lower: float | None = None
    harm_upper: float | None = None
    forecast: str = ""
    source: str = ""
    companion: Companion | None = None


class Move(msgspec.Struct, frozen=True):
    """How often the baseline said one label and the candidate another."""

    baseline: str
    candidate: str
    n: int


class Confusion(msgspec.Struct, frozen=True):
    """Labels of the same requests: rows are the baseline's, columns the candidate's; `uncounted` had too many labels."""

    candidate: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    n: int
    equal: float | None = None
    kappa: float | None = None
    kappa_lower: float | None = None
    kappa_upper: float | None = None
    uncounted: int = 0
    reason: str = ""
    moves: tuple[Move, ...] = ()


class Numbers(msgspec.Struct, frozen=True):
    """Numbers of the same requests: the mean difference and the limits that hold 95% of the differences."""

    candidate: str
    n: int
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    bias: float | None = None
    sd: float | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None


class Quantile(msgspec.Struct, frozen=True):
    """One quantile in milliseconds with its interval; without `enough` values it says nothing."""

    q: float
    value: float | None
    lower: float | None
    upper: float | None
    enough: bool


class Latency(msgspec.Struct, frozen=True):
    """How long one arm took, for requests it answered or for requests it was shown."""

    arm: str
    shown: bool
    n: int
    quantiles: tuple[Quantile, ...]


class Outcomes(msgspec.Struct, frozen=True):
    """How one arm's answers to clients ended."""

    arm: str
    n: int
    counts: dict[str, int]
    failures: int
    failure_rate: float | None


class Accuracy(msgspec.Struct, frozen=True):
    """One arm against feedback."""

    arm: str
    shown: bool
    labels: int
    correct: int
    accuracy: float | None
    numbers: int
    mean_absolute_error: float | None


class Opened(msgspec.Struct, frozen=True):
    """When a stage began (Unix milliseconds)."""

    at: int
    title: str


class Report(msgspec.Struct, frozen=True):
    """Everything that is shown, from top to bottom."""

    report_version: int
    route: str
    generated_at: int
    evidence_at: int | None
    rollout: Attempt
    verdict: Judgement
    trust: Trust
    funnels: tuple[Funnel, ...] = ()
    rows: tuple[Row, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    numbers: tuple[Numbers, ...] = ()
    latencies: tuple[Latency, ...] = ()
    outcomes: tuple[Outcomes, ...] = ()
    feedback: tuple[Accuracy, ...] = ()
    worst: tuple[Disagreement, ...] = ()
    audit: tuple[Event, ...] = ()
    details: Details = Details()
    standing_out: StandingOut = StandingOut()
    over_time: tuple[OverTime, ...] = ()
    without_path: str = ""
    stages_opened: tuple[Opened, ...] = ()
    curves: tuple[LatencyCurve, ...] = ()
    differences: tuple[DifferenceSample, ...] = ()
    examples: tuple[SliceExamples, ...] = ()
    reproduction: Reproduction | None = None
