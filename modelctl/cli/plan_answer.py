"""What the CLI reads of `POST /v1/routes/NAME:plan`. Times named `at` are Unix microseconds."""

import msgspec


class GatePlan(msgspec.Struct, frozen=True):
    """One gate: what it needs in `unit`, when that is there, and the chance to have decided by then."""

    gate: str
    design: str = ""
    baseline: float | None = None
    baseline_from: str = ""
    unit: str = ""
    needed: float | None = None
    counted: float | None = None
    seen: float = 0.0
    requests: float | None = None
    seconds: float | None = None
    at: int | None = None
    probability_now: float | None = None
    probability_then: float | None = None
    lever: str = ""
    reason: str = ""


class StepPlan(msgspec.Struct, frozen=True):
    """How long the slowest gate needs on one step; None: not known, or never."""

    title: str
    requests: float | None = None
    seconds: float | None = None


class Plan(msgspec.Struct, frozen=True):
    """How long until a decision; `rollout` is None for one that would be started."""

    route: str
    strategy: str
    rollout: int | None = None
    candidates: tuple[str, ...] = ()
    step: int = 0
    steps: tuple[StepPlan, ...] = ()
    rate: float | None = None
    rate_from: str = ""
    suggested: bool = False
    gates: tuple[GatePlan, ...] = ()
    requests: float | None = None
    seconds: float | None = None
    refusal: str = ""
    notes: tuple[str, ...] = ()
