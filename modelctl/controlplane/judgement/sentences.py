"""The fixed sentences of a verdict: each names what was measured, the interval, the margin, and what would change it. Pure."""

from collections.abc import Sequence

from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.judgement.exposure import largest_harm
from modelctl.controlplane.judgement.figures import amount, duration, figure, share
from modelctl.controlplane.judgement.funnel import Funnel

BOUNDED = frozenset({"guardrail", "equivalence"})
WITHHELD = "Results withheld; safe to roll back, not to promote."
NO_MARGINS = "No margins are declared, so this report never says promote: that decision is a person's."
NOT_COMPARED = (
    "Nothing is compared: no request goes to both arms and none is split between them at random, so the numbers below are "
    "not a randomised comparison."
)


def promoted(rows: Sequence[Row], *, candidate: str, baseline: str) -> str:
    """What the candidate has proven."""
    own = [row for row in rows if row.candidate_name == candidate]
    bounded = [row for row in own if row.role in BOUNDED]
    nearest = max(bounded, key=_nearness)
    count = {1: "its guardrail", 2: "both guardrails"}.get(len(bounded), f"all {len(bounded)} guardrails")
    excluded = f"+{amount(most_harm(nearest), nearest.margin_unit)}, margin {amount(nearest.margin, nearest.margin_unit)}"
    better = [f"better on {row.title} ({_effect(row)})" for row in own if row.role == "success" and row.finding == "better"]
    gained = f" and {', '.join(better)}" if better else ""
    return f"{candidate} is not worse than {baseline} on {count} (largest excluded harm: {nearest.title} {excluded}){gained}."


def worse(rows: Sequence[Row], *, lasted: float) -> str:
    """One sentence for each candidate, of its first proof; the table shows the others."""
    proofs = {row.candidate_name: row for row in reversed(rows) if row.finding == "worse"}
    after = max((row.n for row in proofs.values()), default=0)
    counts = next(iter(proofs.values())).counts
    return f"{' '.join(map(_harm, proofs.values()))} Decided after {after:,} {counts}, {duration(lasted)}."


def withheld(faults: Sequence[str]) -> str:
    """Why the evidence cannot be used."""
    return f"{' '.join(faults)} {WITHHELD}"


def undecided(rows: Sequence[Row]) -> str:
    """What the verdict waits for: the gate that is furthest from its margin."""
    waiting = [row for row in rows if is_open(row)]
    if not waiting:
        return "No verdict."
    row = max(waiting, key=_nearness)
    forecast = f" {row.forecast}" if row.forecast else ""
    return f"No verdict. {waits(row)}{forecast}"


def exhausted(rows: Sequence[Row], *, reached: str) -> str:
    """What was ruled out by the end, and that it was not enough."""
    waiting = [row for row in rows if is_open(row)]
    ruled_out = " ".join(_ruled_out(row) for row in waiting)
    return f"Reached {reached}. {ruled_out} Not promoted." if ruled_out else f"Reached {reached}. Not promoted."


def is_open(row: Row) -> bool:
    """Whether a gate still stands between the candidate and its promotion."""
    if row.role in BOUNDED:
        return row.finding in ("open", "no-data", "different", "worse")
    return row.role == "success" and row.finding != "better"


def waits(row: Row) -> str:
    """One gate's interval of effect and what it needs to be."""
    if row.finding == "no-data":
        return f"{row.candidate_name}, {row.title}: {row.reason}."
    return f"{row.candidate_name}, {row.title}: {_effect(row)} ({row.n:,} {row.counts}), needs {row.needs}."


def not_proven(row: Row) -> str:
    """The same where no margin is declared."""
    name = f"{row.candidate_name}, {row.title}"
    if row.finding == "no-data":
        return f"{name}: {row.reason}."
    between = f"{figure(row.lower, row.unit)} to {figure(row.upper, row.unit)}"
    if row.finding == "better":
        return f"{name}: better, {between} ({row.n:,} {row.counts})."
    return f"{name}: {between} ({row.n:,} {row.counts}), so neither harm nor its absence is proven."


def seen(rows: Sequence[Row]) -> str:
    """How much was compared."""
    most = max(rows, key=lambda row: row.n)
    return f"{most.n:,} {most.counts}" if most.n else "what was seen so far"


def silence(evidence: Evidence, funnels: Sequence[Funnel]) -> str:
    """Where the evidence stopped on its way."""
    for funnel in funnels:
        if funnel.sampled and not funnel.sent:
            return f"No request was sent to {funnel.candidate}: {', '.join(f'{n:,} {why}' for why, n in funnel.skipped.items())}."
        if funnel.sent and not funnel.answered:
            return f"{funnel.candidate} was sent {funnel.sent:,} requests and answered none completely: is it running?"
    names = " or ".join(evidence.rollout.candidates)
    return f"No evidence yet: no request has reached {names} since the rollout started."


def most_harm(row: Row) -> float | None:
    """The most harm that is not excluded."""
    return largest_harm(row.harm_lower, row.harm_upper, role=row.role)


def _nearness(row: Row) -> float:
    """How near the harm that is not excluded comes to the margin; 1 touches it."""
    most = most_harm(row)
    if most is None or row.finding == "no-data":
        return float("inf")
    return most / row.margin if row.margin else most


def _effect(row: Row) -> str:
    """The interval of the effect, in words of its unit."""
    if row.unit == "ratio":
        return f"ratio {figure(row.lower, row.unit)} to {figure(row.upper, row.unit)}"
    if row.margin_unit == "points":
        low, high = (amount(end, "points").removesuffix(" points") for end in (row.lower, row.upper))
        return f"{low} to {high} points"
    return f"{figure(row.lower, row.unit)} to {figure(row.upper, row.unit)}"


def _harm(row: Row) -> str:
    """What is proven. Failures without a margin are said as such."""
    name, tolerated = row.candidate_name, f", {_tolerated(row)}" if row.gate else ""
    figures = f"{figure(row.lower, row.unit)} to {figure(row.upper, row.unit)}"
    if row.unit == "ratio" and row.metric in ("failure_ratio", "error_rate"):
        return f"{name} fails {figures} times as often as the baseline ({row.n:,} failures seen{tolerated})."
    if row.unit == "ratio":
        return f"{name}, {row.title}: {figures} times the baseline's ({row.n:,} {row.counts}{tolerated})."
    values = f"{share(row.candidate)} against {share(row.baseline)}"
    if row.method == "grid-betting":
        values = f"only it was worse on {share(row.candidate)} of the requests, only the baseline on {share(row.baseline)}"
    if row.gate:
        sides = f"{values}, a difference of " if row.margin_unit == "points" else ""
        return f"{name} is worse: {row.title}, {sides}{_effect(row)} ({row.n:,} {row.counts}{tolerated})."
    return f"{name} fails more: {values}, a difference of {figures} ({row.n:,} {row.counts}; {row.title})."


def _tolerated(row: Row) -> str:
    """The margin or the limit, as it was declared."""
    if row.design == "limit":
        return f"limit {amount(row.null, row.margin_unit)}"
    return f"margin {amount(row.margin, row.margin_unit)}"


def _ruled_out(row: Row) -> str:
    name = f"{row.candidate_name}, {row.title}"
    most = most_harm(row)
    if row.finding == "no-data" or most is None:
        return f"{name}: {row.reason or 'no harm is excluded'}."
    if row.role == "success":
        return f"{name}: no improvement proven, {_effect(row)}."
    if row.design == "limit":
        return f"{name}: {_effect(row)}, {_tolerated(row)} not proven."
    return f"{name}: harm above {amount(most, row.margin_unit)} excluded; {_tolerated(row)} not reached."
