"""Whether gates can decide before the maximum that a rollout declares: what cannot is refused before it starts. Pure."""

import math
from collections.abc import Sequence

from modelctl.controlplane.judgement.rungs import Rung
from modelctl.controlplane.planning.forecasting import Need, Question, hopeless, proven_hopeless
from modelctl.controlplane.planning.setting import Setting
from modelctl.errors import InvalidInput
from modelctl.gate import gate_words
from modelctl.statistics.forecast import duration

Way = tuple[Rung, Need]


def require_reachable(setting: Setting) -> None:
    """Raises InvalidInput with the forecast for a gate that cannot be passed, or not before the maximum."""
    fault = unreachable(setting)
    if fault:
        raise InvalidInput(fault)


def unreachable(setting: Setting) -> str:
    """Why a gate cannot be passed, or not before the maximum, and what to give instead; empty when all can.

    A step counts at its best: refused is only what no step of the ladder can decide.
    """
    faults = ((question.gate, _fault(question, setting)) for question in setting.questions())
    return next((f"--gate {gate_words(gate)}: {fault}" for gate, fault in faults if fault), "")


def _fault(question: Question, setting: Setting) -> str:
    if proven_hopeless(question):
        return f"{hopeless(question)}, so a candidate that is as good can never pass: declare a limit beyond it, or a margin"
    needs = ((one, setting.need(question, one)) for one in setting.ladder)
    ways = [(one, found) for one, found in needs if isinstance(found, Need)]
    if not ways:
        return ""
    return _beyond_n(question, ways, setting=setting) or _beyond_time(question, ways, setting=setting)


def _beyond_n(question: Question, ways: Sequence[Way], *, setting: Setting) -> str:
    rung, found = min(ways, key=lambda way: way[1].requests * way[0].counted)
    # The maximum counts the units of all candidates.
    units, most = found.requests * rung.counted * setting.candidates, setting.conduct.max_n
    if not most or units <= most:
        return ""
    if math.isinf(units):
        return f"cannot decide before max_n at {_share(rung)}: no number of requests is enough ({_assumed(question)})"
    return (
        f"cannot decide before max_n at {_share(rung)}: about {units:,.0f} units of the candidate are needed "
        f"({found.requests:,.0f} requests of the route; {_assumed(question)}), and max_n is {most:,}; "
        f"give --max-n {_round_up(units)}, or a wider margin"
    )


def _beyond_time(question: Question, ways: Sequence[Way], *, setting: Setting) -> str:
    rung, found = min(ways, key=lambda way: way[1].requests)
    rate, most = setting.rate, setting.conduct.max_ms / 1000
    if not rate or not most or found.requests / rate <= most:
        return ""
    return (
        f"cannot decide before max_ms at {_share(rung)}: about {found.requests:,.0f} requests of the route are needed "
        f"({_assumed(question)}), {duration(found.requests / rate)} at {rate:.3g}/s, and max_ms is {duration(most)}; "
        "give a longer --max-time, a larger share, or a wider margin"
    )


def _share(rung: Rung) -> str:
    return f"{100 * (rung.candidate if rung.split else rung.shown or rung.candidate):g} %"


def _assumed(question: Question) -> str:
    value = question.assumption.value
    if value is None:
        return "with the spread that was seen"
    figure = f"{100 * value:.3g}%" if 0 < value <= 1 else f"{value:.4g}"
    return f"the baseline's {question.metric.name} is {question.assumption.source}: {figure}"


def _round_up(units: float) -> int:
    """To two digits."""
    unit: int = 10 ** max(math.floor(math.log10(max(units, 1.0))) - 1, 0)
    return math.ceil(units / unit) * unit
