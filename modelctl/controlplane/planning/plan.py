"""How long until a rollout can decide: each gate's need, its date at the observed rate, and what shortens it. Pure."""

import math

import msgspec

from modelctl.controlplane.planning.forecasting import Need, Question
from modelctl.controlplane.planning.levers import lever
from modelctl.controlplane.planning.setting import Setting
from modelctl.gate import Gate, GateRole, Margin, MarginKind, gate_text, metric_of
from modelctl.statistics import quantiles

# Where failures are rarer than this, half a point is the wider of the two margins that are suggested.
_FREQUENT = 0.05


class GatePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One gate, with what its baseline was assumed to be. `reason` says why there is no forecast.

    `needed` is in `unit`, `requests` in requests of the route and `counted` in what `max_n` counts, each until a decision with
    80 % power; `seen` is what is there of `needed`. `probability_now` is the chance to have decided by now, `probability_then`
    when all is there. `seconds` are from now on; None when the request rate is not known, and for never.
    """

    gate: str
    metric: str
    title: str
    role: str
    design: str
    baseline: float | None = None
    baseline_from: str = ""
    baseline_n: int = 0
    unit: str = ""
    needed: float | None = None
    seen: float = 0.0
    requests: float | None = None
    counted: float | None = None
    seconds: float | None = None
    at: int | None = None
    probability_now: float | None = None
    probability_then: float | None = None
    lever: str = ""
    reason: str = ""


class StepPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How long the slowest gate needs when all the evidence comes from this step. None: not known, or never."""

    title: str
    requests: float | None
    seconds: float | None


def plan_gates(setting: Setting, *, now: int) -> tuple[GatePlan, ...]:
    """The forecast of every gate in each of its designs at the setting's step, at Unix microsecond `now`."""
    return tuple(plan for gate in setting.gates for plan in _gate_plans(gate, setting, now=now))


def plan_steps(setting: Setting) -> tuple[StepPlan, ...]:
    """The forecast of every step, for the slowest of its gates."""
    questions, plans = setting.questions(), []
    for rung in setting.ladder:
        needs = [setting.need(question, rung) for question in questions]
        requests = max((found.requests for found in needs if isinstance(found, Need)), default=math.inf)
        plans.append(StepPlan(title=rung.title, requests=_finite(requests), seconds=_seconds(requests, setting.rate)))
    return tuple(plans)


def suggestions(setting: Setting) -> tuple[Gate, ...]:
    """Gates to start from: half a point of failures, or a tenth where failures are frequent; latency against the baseline's p99."""
    paired, split = any(one.shown for one in setting.ladder), any(one.split for one in setting.ladder)
    if not paired and not split:
        return (Gate(metric="error_rate", role=GateRole.GUARDRAIL, limit=0.01),)
    seen = setting.past.share("error").value or 0.0
    margin = Margin(0.1, MarginKind.RELATIVE) if seen >= _FREQUENT else Margin(0.005)
    gates = [Gate(metric="error_rate", role=GateRole.GUARDRAIL, margin=margin)]
    latency = setting.past.latency()
    if split and quantiles.enough(latency.n, 0.99):
        slow = quantiles.quantile(latency, 0.99) or 0.0
        gates.append(Gate(metric="slow_rate", role=GateRole.GUARDRAIL, margin=Margin(0.005), slower_ms=_rounded(slow / 1000)))
    return tuple(gates)


def _rounded(milliseconds: float) -> float:
    """Up to two digits, which people can read and repeat."""
    unit: float = 10.0 ** (math.floor(math.log10(max(milliseconds, 0.001))) - 1)
    return round(math.ceil(milliseconds / unit) * unit, 6)


def _gate_plans(gate: Gate, setting: Setting, *, now: int) -> list[GatePlan]:
    metric, questions = metric_of(gate, setting.fields), [one for one in setting.questions() if one.gate is gate]
    blank = GatePlan(gate=gate_text(gate), metric=metric.name, title=metric.title, role=gate.role.value, design=gate.design.value)
    if not questions:
        unknown = "how much of the traffic its slice gets is known when it runs"
        return [msgspec.structs.replace(blank, reason="nothing in this plan compares it" if gate.slice is None else unknown)]
    return [_planned(blank, question, setting=setting, now=now) for question in questions]


def _planned(blank: GatePlan, question: Question, *, setting: Setting, now: int) -> GatePlan:
    assumption = question.assumption
    blank = msgspec.structs.replace(
        blank,
        design=question.design.value,
        baseline=assumption.value,
        baseline_from=assumption.source,
        baseline_n=assumption.seen.n,
    )
    found = setting.need(question, setting.ladder[setting.at])
    if isinstance(found, str):
        return msgspec.structs.replace(blank, reason=found)
    return _forecast(blank, question, found=found, setting=setting, now=now)


def _forecast(blank: GatePlan, question: Question, *, found: Need, setting: Setting, now: int) -> GatePlan:
    forecast, seen = found.forecast, setting.seen.of(question, found.forecast)
    left = max(found.needed - seen, 0.0)
    seconds = _seconds(left / forecast.per_request if left and forecast.per_request else left and math.inf, setting.rate)
    return msgspec.structs.replace(
        blank,
        unit=forecast.unit.value,
        needed=found.needed,
        seen=seen,
        requests=_finite(found.requests),
        counted=_finite(found.requests * setting.ladder[setting.at].counted * setting.candidates),
        seconds=seconds,
        at=None if seconds is None else now + round(seconds * 1_000_000),
        probability_now=forecast.probability(seen) if seen else 0.0,
        probability_then=forecast.probability(max(found.needed, seen)),
        lever=lever(question, found, setting=setting),
    )


def _seconds(requests: float, rate: float | None) -> float | None:
    if not requests:
        return 0.0
    return requests / rate if rate and math.isfinite(requests) else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
