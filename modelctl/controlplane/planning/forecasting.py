"""How much one gate needs until it can decide, on one step of a ladder. Pure."""

import math
from dataclasses import dataclass

from modelctl.conduct import Conduct, Engine
from modelctl.controlplane.judgement.rungs import Rung
from modelctl.controlplane.planning.assuming import ASSUMED, GIVEN, Assumption
from modelctl.gate import Gate, GateRole, MarginKind
from modelctl.metric import Design, Metric, Scale, Worse
from modelctl.statistics import coin
from modelctl.statistics.designs import Limit, Means, PairedMeans, PairedOutcomes, Proportions, Rates, Unit
from modelctl.statistics.forecast import AnyDesign, Forecast, certified_without_errors, forecast
from modelctl.statistics.sample_size import Target
from modelctl.statistics.tuning import ALPHA, candidate_alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One gate, how it is compared, and what its baseline is assumed to be."""

    gate: Gate
    metric: Metric
    design: Design
    assumption: Assumption


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """`forecast` is in its unit; `needed` is that until a decision with 80 % power under the rollout's engine."""

    forecast: Forecast
    needed: float

    @property
    def requests(self) -> float:
        """`needed` in requests of the route; inf when they give no such units."""
        return self.needed / self.forecast.per_request if self.forecast.per_request else math.inf


def need(question: Question, rung: Rung, *, conduct: Conduct, parts: int) -> Need | str:
    """What the gate needs at this step with that part of the error level, or why that cannot be said."""
    missing = _missing(question, rung)
    if missing:
        return missing
    alpha = candidate_alpha(conduct.alpha_promote, parts)
    found = forecast(_planned(question, rung), Target(alpha=alpha))
    needed = {Engine.ANYTIME: found.n80, Engine.GROUP_SEQUENTIAL: found.max_n_group_sequential, Engine.FIXED: found.n_fixed}
    return Need(forecast=found, needed=max(needed[conduct.engine], _least(question, rung, alpha=alpha)))


def margin_of(gate: Gate, assumption: Assumption) -> float | None:
    """The gate's margin in the metric's unit; None without one, or when it is a share of a value that is not known."""
    if gate.margin is None:
        return None
    if gate.margin.kind is MarginKind.ABSOLUTE:
        return gate.margin.amount
    return None if assumption.value is None else gate.margin.amount * abs(assumption.value)


def hopeless(question: Question) -> str:
    """Why a candidate that is as good as its baseline can never pass; empty when it can."""
    gate, value = question.gate, question.assumption.value
    if gate.limit is None or value is None:
        return ""
    beyond = value <= gate.limit if question.metric.worse is Worse.LOWER else value >= gate.limit
    return f"the baseline's own {question.metric.name} is {_figure(question.metric, value)}" if beyond else ""


def proven_hopeless(question: Question) -> bool:
    """Whether what was given, or observed often enough, says so."""
    assumption, limit = question.assumption, question.gate.limit
    if limit is None or not hopeless(question) or assumption.source == ASSUMED:
        return False
    if assumption.source == GIVEN:
        return True
    lower, upper = coin.interval(assumption.seen.k, assumption.seen.n, alpha=ALPHA)
    return upper < limit if question.metric.worse is Worse.LOWER else lower > limit


def _least(question: Question, rung: Rung, *, alpha: float) -> float:
    """The units below which no verdict is given: 100 values or 10 expected events in the smaller arm, 30 pairs of values.

    Where events are rare, the exact intervals of both arms (at half the level each, for the first stage half of that) come first.
    """
    scale, assumption = question.metric.scale, question.assumption
    if question.design is Design.PAIRED:
        return 30.0 if scale is Scale.MEAN else 0.0
    if question.design is not Design.SPLIT or _by_ratio(question):
        return 0.0
    smaller = min(rung.candidate, rung.baseline) / (rung.candidate + rung.baseline)
    if scale is Scale.MEAN:
        return 100 / smaller
    margin, rate = margin_of(question.gate, assumption), assumption.value or 0.0
    events = 10 / rate if rate else math.inf
    exact = certified_without_errors(margin, Target(alpha=alpha / 4)) if margin and margin < 1 else math.inf
    return min(events, exact) / smaller


def _by_ratio(question: Question) -> bool:
    """Whether the arms are compared by the ratio of their events."""
    margin = question.gate.margin
    relative = margin is not None and margin.kind is MarginKind.RELATIVE
    rises = question.metric.scale is Scale.SHARE and question.metric.worse is Worse.HIGHER
    return question.design is Design.SPLIT and question.gate.role is GateRole.GUARDRAIL and relative and rises


def _figure(metric: Metric, value: float) -> str:
    return f"{100 * value:.3g}%" if metric.scale is Scale.SHARE else f"{value:.4g}"


def _missing(question: Question, rung: Rung) -> str:
    gate, metric, assumption = question.gate, question.metric, question.assumption
    if gate.role is GateRole.INFO:
        return "it is shown and decides nothing"
    if gate.role is GateRole.SUCCESS and gate.mde is None:
        return "say which effect matters, such as mde=1pt"
    if metric.scale is Scale.MEAN and not assumption.spread:
        return f"no values of {metric.name} were seen yet; say what they are: --baseline {metric.name}=12.5,sd=3"
    if gate.limit is None and gate.mde is None and not margin_of(gate, assumption):
        return f"a margin in percent of {metric.name} says nothing while the baseline's is 0: declare it as a number"
    reached = {Design.PAIRED: rung.shown > 0, Design.SPLIT: rung.split}
    seen = rung.shown if metric.is_of_pairs else rung.candidate
    if not reached.get(question.design, seen > 0):
        return f"nothing is compared at this step ({rung.title})"
    return hopeless(question)


def _planned(question: Question, rung: Rung) -> AnyDesign:
    gate, metric, assumption = question.gate, question.metric, question.assumption
    superior = gate.role is GateRole.SUCCESS
    harm = -(gate.mde or 0.0) if superior else 0.0
    margin = 0.0 if superior else margin_of(gate, assumption) or 0.0
    if question.design is Design.LIMIT:
        return _limited(question, rung)
    if question.design is Design.PAIRED:
        share = rung.shown * assumption.coverage
        if metric.scale is Scale.MEAN:
            return PairedMeans(sd=assumption.spread or 0.0, harm=harm, margin=margin, share=share)
        return PairedOutcomes(discordance=max(assumption.discordance, abs(harm)), harm=harm, margin=margin, share=share)
    return _split(question, rung, harm=harm, margin=margin)


def _limited(question: Question, rung: Rung) -> AnyDesign:
    """A metric that is worse when lower is planned by its complement: 95 % agreement is at most 5 % disagreement."""
    rate, limit = question.assumption.value or 0.0, question.gate.limit or 0.0
    share = rung.shown if question.metric.is_of_pairs else rung.candidate
    lower = question.metric.worse is Worse.LOWER
    return Limit(rate=1 - rate if lower else rate, limit=1 - limit if lower else limit, share=share * question.assumption.coverage)


def _split(question: Question, rung: Rung, *, harm: float, margin: float) -> AnyDesign:
    gate, metric, assumption = question.gate, question.metric, question.assumption
    both = rung.baseline + rung.candidate
    share, per_request = rung.candidate / both, both * assumption.coverage
    if metric.scale is Scale.MEAN:
        sd = assumption.spread or 0.0
        return Means(baseline_sd=sd, candidate_sd=sd, share=share, harm=harm, margin=margin, per_request=per_request)
    rate = assumption.value or 0.0
    if gate.margin is not None and _by_ratio(question):
        return Rates(ratio=1.0, share=share, baseline_rate=rate * per_request, margin=gate.margin.amount)
    better = metric.worse is Worse.LOWER
    candidate = min(1.0, max(0.0, rate - harm if better else rate + harm))
    return Proportions(
        baseline=rate, candidate=candidate, share=share, margin=margin, higher_is_better=better, per_request=per_request
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an open rollout has seen of its candidate: requests of both arms while both answered, its own requests, and pairs."""

    requests: int = 0
    alone: int = 0
    pairs: int = 0

    def of(self, question: Question, found: Forecast) -> float:
        """The same in the units of a gate's forecast."""
        assumption = question.assumption
        if question.design is Design.LIMIT:
            return (self.pairs if question.metric.is_of_pairs else self.alone) * assumption.coverage
        if found.unit is Unit.PAIRS:
            return self.pairs * assumption.coverage
        return self.requests * assumption.coverage * ((assumption.value or 0.0) if found.unit is Unit.EVENTS else 1.0)
