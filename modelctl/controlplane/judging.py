"""The word and the sentences that a rollout's comparisons come to. Pure.

In this version no margins are declared, so `promote` is never claimed: harm can be proven, harmlessness within a margin cannot.
"""

from collections.abc import Sequence

import msgspec

from modelctl.controlplane.comparison import Compared, Evidence, Row
from modelctl.controlplane.funnel import Funnel
from modelctl.rollout import Verb, legal_verbs
from modelctl.statistics.sample_ratio import SampleRatio
from modelctl.statistics.verdict import Mode, Sample, Word, decide

NO_DATA = "no-data"
NO_MARGINS = "No margins are declared, so this report never says promote: that decision is a person's."


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """`word` is rollback, invalid, no-data or continue. `needs` says what is still open; `commands` act on it."""

    word: str
    sentence: str
    needs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    margins: str = NO_MARGINS


def judge(
    evidence: Evidence, compared: Sequence[Compared], *, split: SampleRatio, sticky: bool, funnels: Sequence[Funnel]
) -> Judgement:
    """The first that applies: rollback (proven harm; also on a small or crooked sample), invalid, no-data, continue.

    With sticky units, requests of one unit come together, so the split of requests is shown and blocks nothing.
    """
    criteria = [one.criterion for one in compared if one.criterion is not None]
    rows = [one.row for one in compared if one.criterion is not None]
    sample = Sample(n=_seen(evidence), min_n=0, log_e_srm=0.0 if sticky else split.log_e)
    # Without a success metric this mode never promotes, whatever the intervals are.
    word = decide(criteria, sample, mode=Mode.SUPERIORITY).word
    if word is Word.ROLLBACK:
        # One sentence for each candidate, of its first proof; the table shows the others.
        proofs = {row.candidate_name: row for row in reversed(rows) if row.finding == "worse"}
        worse = " ".join(_harm(row) for row in proofs.values())
        return _said(evidence, word.value, sentence=worse)
    if word is Word.INVALID:
        return _said(evidence, word.value, sentence=_crooked(evidence, split))
    if not sample.n:
        return _said(evidence, NO_DATA, sentence=_silence(evidence, funnels))
    if not rows:
        sentence = (
            "Nothing is compared: no request goes to both arms and none is split between them at random, so the numbers below are "
            "not a randomised comparison."
        )
        return _said(evidence, word.value, sentence=sentence)
    needs = tuple(_open(row) for row in rows)
    return _said(evidence, word.value, sentence=f"No harm is proven after {_amount(rows)}.", needs=needs)


def share(number: float | None) -> str:
    """A share as people read it: 0.0312 is 3.12%."""
    return "unbounded" if number is None else f"{number * 100:.3g}%"


def figure(number: float | None, unit: str) -> str:
    """A number in a row's unit."""
    if number is None:
        return "unbounded"
    return share(number) if unit == "share" else f"{number:.4g}"


def _said(evidence: Evidence, word: str, *, sentence: str, needs: tuple[str, ...] = ()) -> Judgement:
    rollout = evidence.rollout
    verbs = legal_verbs(rollout)
    safe = [Verb.ROLLBACK] if word in (Word.ROLLBACK, Word.INVALID) else list(verbs)
    commands = tuple(f"modelctl {verb} {rollout.route}" for verb in safe if verb in verbs)
    return Judgement(word=word, sentence=sentence, needs=needs, commands=commands)


def _seen(evidence: Evidence) -> int:
    """Requests the candidates answered, and pairs."""
    return sum(evidence.sums.n(name, "requests") + evidence.sums.n(name, "pair_error") for name in evidence.rollout.candidates)


def _harm(row: Row) -> str:
    figures = f"{figure(row.lower, row.unit)} to {figure(row.upper, row.unit)}"
    if row.unit == "ratio":
        return f"{row.candidate_name} fails {figures} times as often as the baseline ({row.n:,} failures seen)."
    values = f"{share(row.candidate)} against {share(row.baseline)}"
    return f"{row.candidate_name} fails more: {values}, a difference of {figures} ({row.n:,} {row.counts}; {row.title})."


def _open(row: Row) -> str:
    name = f"{row.candidate_name}, {row.title}"
    if row.finding == "no-data":
        return f"{name}: {row.reason}."
    between = f"{figure(row.lower, row.unit)} to {figure(row.upper, row.unit)}"
    if row.finding == "better":
        return f"{name}: better, {between} ({row.n:,} {row.counts})."
    return f"{name}: {between} ({row.n:,} {row.counts}), so neither harm nor its absence is proven."


def _amount(rows: Sequence[Row]) -> str:
    most = max(rows, key=lambda row: row.n)
    return f"{most.n:,} {most.counts}" if most.n else "what was seen so far"


def _crooked(evidence: Evidence, split: SampleRatio) -> str:
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    seen = zip(arms, split.observed, split.expected, strict=True)
    parts = ", ".join(f"{arm} got {observed:,} requests instead of {expected:,.0f}" for arm, observed, expected in seen)
    return (
        f"The traffic was not split as assigned: {parts}. The comparison cannot be trusted; rolling back is safe, promoting is not."
    )


def _silence(evidence: Evidence, funnels: Sequence[Funnel]) -> str:
    for funnel in funnels:
        if funnel.sampled and not funnel.sent:
            return f"No request was sent to {funnel.candidate}: {', '.join(f'{n:,} {why}' for why, n in funnel.skipped.items())}."
        if funnel.sent and not funnel.answered:
            return f"{funnel.candidate} was sent {funnel.sent:,} requests and answered none completely: is it running?"
    names = " or ".join(evidence.rollout.candidates)
    return f"No evidence yet: no request has reached {names} since the rollout started."
