"""What makes a rollout decide sooner, in words: a larger share, or more requests shown. Pure."""

import math
from dataclasses import replace

from modelctl.controlplane.forecasting import Need, Question
from modelctl.controlplane.rungs import Rung
from modelctl.controlplane.setting import Setting
from modelctl.metric import Design
from modelctl.statistics.forecast import MOST_SHARE, duration

_FIRST_SHOWN = 0.2


def lever(question: Question, found: Need, *, setting: Setting) -> str:
    """The change that decides soonest, with what it saves; empty when none that is known does."""
    options = [
        (words, _requests(question, rung, setting=setting)) for words, rung in _changes(question, setting.ladder[setting.at])
    ]
    sooner = [option for option in options if option[1] < found.requests]
    if not sooner:
        return ""
    words, requests = min(sooner, key=lambda option: option[1])
    if setting.rate:
        return f"{words}: {duration(found.requests / setting.rate)} becomes {duration(requests / setting.rate)}"
    return f"{words}: {found.requests:,.0f} requests become {requests:,.0f}"


def _changes(question: Question, now: Rung) -> list[tuple[str, Rung]]:
    changes = []
    both = now.baseline + now.candidate
    more = min(2 * now.candidate, MOST_SHARE * both)
    if now.split and more > now.candidate:
        left = both - more
        changes.append(
            (
                f"raise share {100 * now.candidate:g} % to {100 * more:g} %",
                replace(now, candidate=more, baseline=left, shown=now.shown * left / now.baseline),
            )
        )
    part = now.shown / now.baseline if now.baseline else 1.0
    shown = min(1.0, 2 * part) if part else _FIRST_SHOWN
    pairs = Design.PAIRED in question.metric.designs or question.metric.name == "agreement"
    if pairs and shown > part:
        rest = " of the rest" if now.candidate else ""
        changes.append((f"show the candidate {100 * shown:g} %{rest}", replace(now, shown=shown * now.baseline)))
    return changes


def _requests(question: Question, rung: Rung, *, setting: Setting) -> float:
    """Requests until the gate decides if the step were this one; pairs are taken where there are any."""
    changed = setting.only(question.gate, rung)
    needs = [changed.need(one, rung) for one in changed.questions()]
    return min((found.requests for found in needs if isinstance(found, Need)), default=math.inf)
