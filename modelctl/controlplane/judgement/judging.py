"""The word and the sentences that a rollout's comparisons come to, and the gate that a larger share must pass. Pure.

The order is that of `statistics.verdict`: proven harm, crooked evidence, promotion, the declared maximum, and else it goes on. A
rollout without guardrails or equivalences never promotes: harm can be proven there, harmlessness within a margin cannot.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from modelctl.controlplane.judgement import sentences
from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Compared, Evidence
from modelctl.controlplane.judgement.deciding import Decided, decide_rollout
from modelctl.controlplane.judgement.engines import due_look
from modelctl.controlplane.judgement.exposure import Harm, harm_of, missing_at
from modelctl.controlplane.judgement.figures import duration
from modelctl.controlplane.judgement.funnel import Funnel
from modelctl.controlplane.judgement.sentences import BOUNDED, NO_MARGINS
from modelctl.rollout import Rollout, Verb, legal_verbs
from modelctl.statistics.verdict import Word
from modelctl.traffic import Role

NO_DATA = "no-data"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """`word` is promote, rollback, continue, inconclusive, invalid or no-data. `needs` says what is still open; `commands` act on
    it. `winner` is the candidate that is promoted, else empty. `harms` are those of guardrails and equivalences; `faults` say why
    the evidence cannot be used. `n` counts the candidates' requests (units, when these are sticky) and pairs. `look` is the share
    of max_n at which the engine gst takes a planned look with this judgement, else 0: it is spent, so it must be stored."""

    word: str
    sentence: str
    needs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    margins: str = ""
    winner: str = ""
    n: int = 0
    harms: tuple[Harm, ...] = ()
    faults: tuple[str, ...] = ()
    look: float = 0.0


def judge(evidence: Evidence, *, at: int, funnels: Sequence[Funnel] = ()) -> Judgement:
    """The judgement at Unix millisecond `at`."""
    return judge_compared(evidence, compare(evidence, at=at), at=at, funnels=funnels)


def judge_compared(evidence: Evidence, compared: Sequence[Compared], *, at: int, funnels: Sequence[Funnel] = ()) -> Judgement:
    """The same, of what `compare` gave."""
    decided = decide_rollout(evidence, compared, at=at)
    silent = decided.word is Word.CONTINUE and not decided.n
    return Judgement(
        word=NO_DATA if silent else decided.word.value,
        sentence=sentences.silence(evidence, funnels) if silent else _SENTENCES[decided.word](evidence, decided),
        needs=_needs(decided) if decided.word in (Word.CONTINUE, Word.INCONCLUSIVE) and not silent else (),
        commands=_commands(evidence, decided),
        margins="" if decided.bounded else NO_MARGINS,
        winner=decided.winner,
        n=decided.n,
        harms=tuple(harm_of(row, silent=_silent(evidence.rollout)) for row in decided.rows if row.role in BOUNDED),
        faults=decided.faults,
        look=due_look(evidence),
    )


def missing_for(judgement: Judgement, candidate_share_bp: int) -> tuple[str, ...]:
    """What is not proven for giving the candidate that share, as sentences; empty means that the gate of the step is passed."""
    found = list(judgement.faults)
    if judgement.word == Word.ROLLBACK.value:
        found.append(judgement.sentence)
    if not judgement.harms:
        found.append("No guardrail or equivalence is declared, so no harm is ever excluded.")
    now = [harm for harm in judgement.harms if not harm.later]
    if judgement.harms and not now:
        found.append("Every gate is a limit on answers to clients, and the candidate has given none: nothing is known of it.")
    return (*found, *(text for harm in now if (text := missing_at(harm, candidate_share_bp))))


def _silent(rollout: Rollout) -> frozenset[str]:
    """The candidates that answer no client in the current step."""
    return frozenset(arm.backend for arm in rollout.current.arms if arm.role is Role.CANDIDATE and not arm.answers)


def _rolled_back(evidence: Evidence, decided: Decided) -> str:
    return sentences.worse(decided.rows, lasted=decided.lasted)


def _invalid(evidence: Evidence, decided: Decided) -> str:
    return sentences.withheld(decided.faults)


def _promoted(evidence: Evidence, decided: Decided) -> str:
    return sentences.promoted(decided.rows, candidate=decided.winner, baseline=evidence.rollout.baseline)


def _exhausted(evidence: Evidence, decided: Decided) -> str:
    most = evidence.rollout.conduct.max_n
    reached = f"{decided.n:,} {decided.counts}" if most and decided.n >= most else duration(decided.lasted)
    return sentences.exhausted(decided.rows, reached=reached)


def _going_on(evidence: Evidence, decided: Decided) -> str:
    if not decided.rows:
        return sentences.NOT_COMPARED
    if not decided.bounded:
        return f"No harm is proven after {sentences.seen(decided.rows)}."
    return sentences.undecided(decided.rows)


_SENTENCES = MappingProxyType(
    {
        Word.ROLLBACK: _rolled_back,
        Word.INVALID: _invalid,
        Word.PROMOTE: _promoted,
        Word.INCONCLUSIVE: _exhausted,
        Word.CONTINUE: _going_on,
    }
)


def _needs(decided: Decided) -> tuple[str, ...]:
    if not decided.bounded:
        return tuple(sentences.not_proven(row) for row in decided.rows)
    return (*decided.early, *(sentences.waits(row) for row in decided.rows if sentences.is_open(row)))


def _commands(evidence: Evidence, decided: Decided) -> tuple[str, ...]:
    rollout = evidence.rollout
    named = f" --winner {decided.winner}" if decided.winner and len(rollout.candidates) > 1 else ""
    wanted: Mapping[Word, list[Verb]] = {
        Word.ROLLBACK: [Verb.ROLLBACK],
        Word.INVALID: [Verb.ROLLBACK],
        Word.PROMOTE: [Verb.PROMOTE, *(verb for verb in Verb if verb is not Verb.PROMOTE)],
    }
    legal = legal_verbs(rollout)
    verbs = [verb for verb in wanted.get(decided.word, list(Verb)) if verb in legal]
    return tuple(f"modelctl {verb} {rollout.route}{named if verb is Verb.PROMOTE else ''}" for verb in verbs)
