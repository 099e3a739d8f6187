"""From the criteria of every candidate to one word. Pure.

Each candidate is decided by itself. Proven harm of any of them rolls the rollout back; then crooked evidence; then the first
candidate that has proven what was asked is promoted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modelctl.conduct import Engine
from modelctl.controlplane.judgement.comparison import Compared, Evidence, Row, seen_by
from modelctl.controlplane.judgement.engines import due_look, share_seen
from modelctl.controlplane.judgement.figures import duration
from modelctl.controlplane.judgement.trust import faults
from modelctl.statistics.verdict import Criterion, Finding, Mode, Role, Sample, Word, decide

_ORDER = (Word.ROLLBACK, Word.INVALID, Word.PROMOTE, Word.INCONCLUSIVE, Word.CONTINUE)
_BOUNDED = frozenset({Role.GUARDRAIL, Role.EQUIVALENCE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """`rows` are those that decide. `bounded` is whether any gate can exclude harm. `early` says what a promotion is too early
    for. `lasted` is milliseconds since the rollout started; `n` and `counts` say how much was seen of the candidates."""

    word: Word
    winner: str
    rows: tuple[Row, ...]
    bounded: bool
    faults: tuple[str, ...]
    early: tuple[str, ...]
    n: int
    counts: str
    lasted: int


def decide_rollout(evidence: Evidence, compared: Sequence[Compared], *, at: int) -> Decided:
    """The word at Unix millisecond `at`."""
    rollout, found = evidence.rollout, faults(evidence)
    sample = _sample(evidence, found, at=at)
    words = {name: _word(evidence, compared, candidate=name, sample=sample) for name in rollout.candidates}
    word = next(word for word in _ORDER if word in words.values())
    return Decided(
        word=word,
        winner=next((name for name, own in words.items() if own is word), "") if word is Word.PROMOTE else "",
        rows=tuple(one.row for one in compared if one.criterion is not None),
        bounded=bool(rollout.gates) and any(_is_bounded(one) for one in compared),
        faults=found,
        early=_early(evidence, sample, at=at),
        n=sample.n,
        counts=_counts(evidence),
        lasted=at - rollout.opened_at,
    )


def _sample(evidence: Evidence, found: tuple[str, ...], *, at: int) -> Sample:
    conduct, lasted = evidence.rollout.conduct, at - evidence.rollout.opened_at
    n = sum(seen_by(evidence, name) for name in evidence.rollout.candidates)
    return Sample(
        n=n,
        min_n=conduct.min_n,
        max_n=conduct.max_n or None,
        faults=found,
        warm=lasted >= conduct.min_ms,
        expired=bool(conduct.max_ms) and lasted >= conduct.max_ms,
    )


def _word(evidence: Evidence, compared: Sequence[Compared], *, candidate: str, sample: Sample) -> Word:
    own = [one for one in compared if one.row.candidate_name == candidate and one.criterion is not None]
    ready = _may_look(evidence)
    criteria = [one.criterion for one in own if one.criterion is not None and not _is_quiet(one) and (ready or one.fire)]
    bounded = bool(evidence.rollout.gates) and any(map(_is_bounded, own))
    improves = any(one.role is Role.SUCCESS for one in criteria)
    mode = Mode.NON_INFERIORITY if bounded and not improves else Mode.SUPERIORITY
    word = decide(criteria, sample, mode=mode).word
    if word is not Word.PROMOTE or (bounded and seen_by(evidence, candidate) >= sample.min_n):
        return word
    return Word.INCONCLUSIVE if sample.exhausted else Word.CONTINUE


def _may_look(evidence: Evidence) -> bool:
    """Whether the engine judges gates now: between its planned looks only an alarm for fires may end a rollout."""
    match evidence.rollout.conduct.engine:
        case Engine.FIXED:
            return share_seen(evidence) >= 1
        case Engine.GROUP_SEQUENTIAL:
            return due_look(evidence) > 0
    return True


def _is_quiet(one: Compared) -> bool:
    """An alarm that is silent is no criterion: it can roll back and stands in nobody's way."""
    return one.fire and one.criterion is not None and one.criterion.finding is not Finding.WORSE


def _is_bounded(one: Compared) -> bool:
    criterion: Criterion | None = one.criterion
    return criterion is not None and not one.fire and criterion.role in _BOUNDED


def _early(evidence: Evidence, sample: Sample, *, at: int) -> tuple[str, ...]:
    conduct, lasted = evidence.rollout.conduct, at - evidence.rollout.opened_at
    found = (
        []
        if sample.warm
        else [f"The minimum duration of {duration(conduct.min_ms)} is over in {duration(conduct.min_ms - lasted)}."]
    )
    if sample.n < sample.min_n:
        found.append(f"{sample.n:,} {_counts(evidence)} were seen of the candidates, at least {sample.min_n:,} are needed.")
    return tuple(found)


def _counts(evidence: Evidence) -> str:
    answered = "requests" if evidence.rollout.unit == "request" else "units"
    names = evidence.rollout.candidates
    parts = {
        answered: sum(seen_by(evidence, name) for name in names),
        "pairs": sum(evidence.sums.n(name, "pair_error") for name in names),
    }
    if not parts["pairs"]:
        return answered
    return "pairs" if parts[answered] == parts["pairs"] else f"{answered} and pairs"
