"""What makes a rollout decide sooner, in words: a larger share, or requests that both answer. Pure."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import msgspec

from modelctl.controlplane.judgement.rungs import Rung
from modelctl.controlplane.planning.forecasting import Need, Question
from modelctl.controlplane.planning.setting import Setting
from modelctl.gate import Gate
from modelctl.metric import Design
from modelctl.statistics.forecast import MOST_SHARE, duration

_FIRST_SHOWN = 0.2


class Change(NamedTuple):
    """Another step or another gate, in words."""

    words: str
    gate: Gate
    rung: Rung


def lever(question: Question, found: Need, *, setting: Setting) -> str:
    """The change that decides soonest, with what it saves; empty when none that is known does."""
    options = [(change.words, _requests(change, question, setting=setting)) for change in _changes(question, setting)]
    sooner = [option for option in options if option[1] < found.requests]
    if not sooner:
        return ""
    words, requests = min(sooner, key=lambda option: option[1])
    if setting.rate:
        return f"{words}: {duration(found.requests / setting.rate)} becomes {duration(requests / setting.rate)}"
    return f"{words}: {found.requests:,.0f} requests become {requests:,.0f}"


def _changes(question: Question, setting: Setting) -> Iterator[Change]:
    gate, now = question.gate, setting.ladder[setting.at]
    both = now.baseline + now.candidate
    more = min(2 * now.candidate, MOST_SHARE * both)
    if now.split and question.design is not Design.PAIRED and more > now.candidate:
        left = both - more
        words = f"raise share {100 * now.candidate:g} % to {100 * more:g} %"
        yield Change(words, gate, replace(now, candidate=more, baseline=left, shown=now.shown * left / now.baseline))
    part = now.shown / now.baseline if now.baseline else 1.0
    shown = min(1.0, 2 * part) if part else _FIRST_SHOWN
    wider = replace(now, shown=shown * now.baseline)
    if question.design is Design.PAIRED or question.metric.is_of_pairs:
        rest = " of the rest" if now.candidate else ""
        yield Change(f"show the candidate {100 * shown:g} %{rest}", gate, wider)
    elif Design.PAIRED in question.metric.designs and gate.limit is None:
        pairs = msgspec.structs.replace(gate, design=Design.PAIRED)
        yield Change(f"judge it on pairs, --shadow-percent {100 * shown:g} and design=paired", pairs, wider)


def _requests(change: Change, question: Question, *, setting: Setting) -> float:
    """Requests until the gate decides in the design that is asked about, or in the only one that is left."""
    changed = setting.only(change.gate, change.rung)
    asked = changed.questions()
    mine = [one for one in asked if one.design is question.design] or asked
    needs = [changed.need(one, change.rung) for one in mine]
    return max((found.requests for found in needs if isinstance(found, Need)), default=math.inf)
