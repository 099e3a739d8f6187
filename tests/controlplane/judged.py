"""Rollouts with gates, and what is made of rollups written by hand."""

from collections.abc import Sequence

import msgspec

from modelctl.conduct import Conduct
from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.judgement.funnel import funnels_of
from modelctl.controlplane.judgement.judging import Judgement, judge
from modelctl.controlplane.judgement.sums import Sums
from modelctl.gate import check_gate, parse_gate
from modelctl.metric import Field
from modelctl.rollout import Rollout
from modelctl.store.summing import Sum
from tests.controlplane.scene import AT, counts, rollout, stages_of

START = AT // 1000
NOW = START + 3_600_000
GATE = "error_rate:guardrail:margin=0.5pt"
FIVE_PERCENT = rollout("canary", {"percent_bp": 500})
SHADOW = rollout("shadow")


def gated(of: Rollout, *gates: str, fields: tuple[Field, ...] = (), unit: str = "request", **conduct: object) -> Rollout:
    """The rollout with these gates."""
    asked = tuple(parse_gate(text) for text in gates)
    for gate in asked:
        check_gate(gate, fields)
    return msgspec.structs.replace(of, gates=asked, conduct=msgspec.convert(conduct, Conduct), fields=fields, unit=unit)


def evidence(of: Rollout, sums: Sequence[Sum], *, pivots: dict[str, float] | None = None) -> Evidence:
    """One stage for each step of the ladder."""
    return Evidence(rollout=of, stages=stages_of(of), sums=Sums(sums), pivots=pivots or {}, newest=AT // 60_000_000)


def judged(of: Rollout, sums: Sequence[Sum], *, at: int = NOW, pivots: dict[str, float] | None = None) -> Judgement:
    """The judgement of these sums, an hour after the start."""
    found = evidence(of, sums, pivots=pivots)
    return judge(found, at=at, funnels=funnels_of(found))


def rows_of(of: Rollout, sums: Sequence[Sum], *, pivots: dict[str, float] | None = None) -> list[Row]:
    """The decision table."""
    return [one.row for one in compare(evidence(of, sums, pivots=pivots), at=NOW)]


def pairs(candidate_only: int, baseline_only: int, same: int, *, metric: str = "error") -> list[Sum]:
    """The sums of compared pairs, by who was worse."""
    keyed = counts("b", f"pair_{metric}", {"-": candidate_only, "+": baseline_only, "0": same})
    n = candidate_only + baseline_only + same
    return [*keyed, *counts("b", "funnel", {"sent": n, "paired": n, "answered": n})]
