"""The result of a fixed-horizon method: an estimate with its test and its interval, valid for one look only."""

import math
from dataclasses import dataclass

from scipy.special import ndtr, ndtri, stdtr, stdtrit

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedHorizon:
    """`estimate` with its standard error, and the test that it is 0. Valid for one look only.

    `df` are the degrees of freedom of Student's t; None for the normal distribution. While `state` is not OK, `statistic` and
    `p` are None and the interval is the whole line; `se` is 0 when degenerate, else None. `reason` is a sentence, empty when OK.
    """

    estimate: float | None
    n: int
    method: str
    se: float | None = None
    df: float | None = None
    statistic: float | None = None
    p: float | None = None
    lower: float = -math.inf
    upper: float = math.inf
    state: State = State.OK
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided tests: is the effect above `low`, is it below `high`? Equivalent at level alpha when `p` < alpha.

    All None when the effect has no standard error, or one of 0.
    """

    t_lower: float | None = None
    p_lower: float | None = None
    t_upper: float | None = None
    p_upper: float | None = None

    @property
    def p(self) -> float | None:
        """The larger of the two: both must reject."""
        return None if self.p_lower is None or self.p_upper is None else max(self.p_lower, self.p_upper)


def critical(confidence: float, df: float | None = None) -> float:
    """How many standard errors an interval reaches to each side. Raises InvalidInput unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise InvalidInput(f"a confidence of {confidence} is no share between 0 and 1; 0.95 is usual")
    tail = (1 - confidence) / 2
    return -float(ndtri(tail) if df is None else stdtrit(df, tail))


def below(statistic: float, df: float | None = None) -> float:
    """The probability of a smaller value: of Student's t, or of the normal distribution. Of a larger one: `below(-statistic)`."""
    return float(ndtr(statistic) if df is None else stdtr(df, statistic))


def against_0(
    estimate: float, se: float, *, n: int, method: str, df: float | None = None, confidence: float = 0.95
) -> FixedHorizon:
    """An estimate with a standard error of 0 or more, tested against 0 on both sides; degenerate when the error is 0."""
    if not se:
        reason = f"no variation in {n:,} observations"
        return FixedHorizon(estimate=estimate, n=n, method=method, se=0.0, df=df, state=State.DEGENERATE, reason=reason)
    half = critical(confidence, df) * se
    statistic = estimate / se
    return FixedHorizon(
        estimate=estimate,
        n=n,
        method=method,
        se=se,
        df=df,
        statistic=statistic,
        p=2 * below(-abs(statistic), df),
        lower=estimate - half,
        upper=estimate + half,
    )


def without_error(estimate: float | None, *, n: int, method: str, state: State, reason: str) -> FixedHorizon:
    """What is known when there is no standard error: the estimate at most."""
    return FixedHorizon(estimate=estimate, n=n, method=method, state=state, reason=reason)


def equivalence(effect: FixedHorizon, *, low: float, high: float) -> Equivalence:
    """Does the effect lie inside (low, high)? TOST, Schuirmann (1987). Raises InvalidInput unless low < high."""
    if not low < high:
        raise InvalidInput(f"the range of equivalence goes from {low} to {high}; its lower end must be below its upper one")
    if not effect.se or effect.estimate is None:
        return Equivalence()
    t_lower, t_upper = (effect.estimate - low) / effect.se, (effect.estimate - high) / effect.se
    return Equivalence(t_lower, below(-t_lower, effect.df), t_upper, below(t_upper, effect.df))
