"""What to do with the candidate, from one interval per metric. A pure table; the order of its rows is the law.

1. rollback       some guardrail or success metric is surely worse than its margin. Allowed on bad data and small samples:
                  stopping is safe.
2. invalid        the data cannot be trusted: the traffic or the labels are not split as assigned, or a data check failed.
3. promote        warm, n >= min_n, every guardrail surely below its margin, every equivalence metric surely inside, and some
                  success metric surely better; or no success metric at all in non-inferiority mode.
4. inconclusive   the maximum of n or of time is reached. Never promotes.
5. continue       otherwise.

Harm is how much worse the candidate is; an interval of harm is [lower, upper]. No data is "not proven" and never promotes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.sample_ratio import BLOCK_LOG_E


class Role(StrEnum):
    """What a metric may do to a verdict."""

    GUARDRAIL = "guardrail"
    SUCCESS = "success"
    EQUIVALENCE = "equivalence"
    INFO = "info"


class Mode(StrEnum):
    """What promotes when the guardrails pass: a proven improvement, or, without success metrics, that alone."""

    SUPERIORITY = "superiority"
    NON_INFERIORITY = "non_inferiority"


class Word(StrEnum):
    """The verdict."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CONTINUE = "continue"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


class Finding(StrEnum):
    """What is proven about one metric."""

    NO_DATA = "no data"
    WORSE = "worse"
    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE_WITHIN_MARGIN = "worse, within margin"
    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    OPEN = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One metric's interval of harm against its margin, both in the metric's units. Margins are 0 or more.

    `rollback_at` is the harm beyond which it is proven worse: the margin when it is None, less where any harm rolls back.
    """

    name: str
    role: Role
    margin: float
    lower: float = -math.inf
    upper: float = math.inf
    has_data: bool = True
    why_no_data: str = "no data yet"
    rollback_at: float | None = None

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            raise InvalidInput(f"the margin of {self.name} is {self.margin}; it is the harm that is tolerated, 0 or more")
        if not self.lower <= self.upper:
            raise InvalidInput(f"the interval of {self.name} is [{self.lower}, {self.upper}]; its lower end is above its upper end")

    @property
    def finding(self) -> Finding:
        """What is proven, the worst first. Strict on both sides: an interval that touches the margin proves nothing."""
        if not self.has_data:
            return Finding.NO_DATA
        if self.role is Role.EQUIVALENCE:
            return self._two_sided()
        if self.lower > (self.margin if self.rollback_at is None else self.rollback_at):
            return Finding.WORSE
        if self.upper < 0:
            return Finding.BETTER
        if self.upper < self.margin:
            return Finding.WORSE_WITHIN_MARGIN if self.lower > 0 else Finding.NOT_WORSE
        return Finding.OPEN

    def _two_sided(self) -> Finding:
        if -self.margin < self.lower and self.upper < self.margin:
            return Finding.EQUIVALENT
        return Finding.DIFFERENT if self.lower > self.margin or self.upper < -self.margin else Finding.OPEN

    @property
    def reason(self) -> str:
        """One sentence with the arithmetic."""
        if not self.has_data:
            return f"{self.name}: {self.why_no_data}"
        return f"{self.name}: {self.finding}; harm {self.lower:.4g} to {self.upper:.4g}, margin {self.margin:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How much has been seen and whether it may be trusted. `faults` are sentences of failed data checks.

    `warm` is whether warm-up and minimum duration are over, `expired` whether the maximum time is reached.
    """

    n: int
    min_n: int
    max_n: int | None = None
    log_e_srm: float = 0.0
    faults: tuple[str, ...] = ()
    warm: bool = True
    expired: bool = False

    @property
    def exhausted(self) -> bool:
        """Whether the declared maximum is reached."""
        return self.expired or (self.max_n is not None and self.n >= self.max_n)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One metric's finding and the sentence that shows it."""

    name: str
    role: Role
    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, one sentence why, and a judgement for every criterion in the order given."""

    word: Word
    reason: str
    judgements: tuple[Judgement, ...]


def criterion(
    name: str, role: Role, *, margin: float, higher_is_better: bool, for_rollback: Comparison, for_promote: Comparison
) -> Criterion:
    """A criterion from the same comparison at two error levels.

    The harmful end is the one that may roll back (alpha_rollback times the metric's weight), the safe end the one that may
    promote (alpha_promote), so the interval that is shown is the one that decides.
    """
    unusable = [side for side in (for_rollback, for_promote) if not side.usable]
    if unusable:
        return Criterion(name=name, role=role, margin=margin, has_data=False, why_no_data=unusable[0].reason)
    lower, _ = for_rollback.harm(higher_is_better=higher_is_better)
    other, upper = for_promote.harm(higher_is_better=higher_is_better)
    lower = min(lower, other) if role is Role.EQUIVALENCE else lower
    return Criterion(name=name, role=role, margin=margin, lower=lower, upper=upper)


def decide(criteria: Sequence[Criterion], sample: Sample, *, mode: Mode) -> Verdict:
    """The verdict by the table above; the first row that applies wins."""
    worse = [one for one in criteria if one.role in (Role.GUARDRAIL, Role.SUCCESS) and one.finding is Finding.WORSE]
    missing = _unproven(criteria, sample, mode=mode)
    faults = _faults(sample)
    if worse:
        word, reason = Word.ROLLBACK, "; ".join(one.reason for one in worse)
    elif faults:
        word, reason = Word.INVALID, "; ".join(faults)
    elif not missing:
        word, reason = Word.PROMOTE, _proof(criteria)
    elif sample.exhausted:
        word, reason = Word.INCONCLUSIVE, f"the maximum is reached at n = {sample.n:,} without proof: {'; '.join(missing)}"
    else:
        word, reason = Word.CONTINUE, "; ".join(missing)
    judgements = tuple(Judgement(one.name, one.role, one.finding, one.reason) for one in criteria)
    return Verdict(word, reason, judgements)


def _faults(sample: Sample) -> list[str]:
    faults = list(sample.faults)
    if sample.log_e_srm >= BLOCK_LOG_E:
        faults.insert(0, f"traffic is not split as assigned (ln E = {sample.log_e_srm:.4g}, {BLOCK_LOG_E:.4g} blocks)")
    return faults


def _unproven(criteria: Sequence[Criterion], sample: Sample, *, mode: Mode) -> list[str]:
    """What stands between the candidate and promotion, as sentences; empty means promote."""
    missing = [] if sample.warm else ["warm-up or minimum duration is not over"]
    if sample.n < sample.min_n:
        missing.append(f"n = {sample.n:,}, at least {sample.min_n:,} are needed")
    missing += [_ruled_out(one) for one in criteria if one.role in _PASSES and one.finding not in _PASSES[one.role]]
    success = [one for one in criteria if one.role is Role.SUCCESS]
    if success and not any(one.finding is Finding.BETTER for one in success):
        missing += [f"no improvement proven: {one.reason}" for one in success]
    if not success and mode is Mode.SUPERIORITY:
        missing.append("no success metric is declared, so nothing can prove an improvement")
    if not any(one.role is not Role.INFO for one in criteria):
        missing.append("no criterion is declared, so nothing is proven")
    return missing


_PASSES = {
    Role.GUARDRAIL: frozenset({Finding.BETTER, Finding.NOT_WORSE, Finding.WORSE_WITHIN_MARGIN}),
    Role.EQUIVALENCE: frozenset({Finding.EQUIVALENT}),
}


def _ruled_out(one: Criterion) -> str:
    if not one.has_data or math.isinf(one.upper):
        return one.reason
    return f"{one.name}: harm above {one.upper:.4g} is excluded, margin {one.margin:.4g} is not reached"


def _proof(criteria: Sequence[Criterion]) -> str:
    return "; ".join(one.reason for one in criteria if one.role is not Role.INFO)
