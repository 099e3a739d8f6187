"""Fixed-horizon numbers about pairs, for the report: McNemar, Bland-Altman, concordance. Valid for one look only.

Sources: McNemar (1947); Fagerland, Lydersen, Laake (2013) for mid-p; Bland & Altman (1999); Lin (1989).
"""

import math
from dataclasses import dataclass

from scipy.special import bdtr, chdtrc, gammaln, stdtrit

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.moments import Moments

LIMIT_Z = 1.96
"""Bland and Altman's own rounding of the normal quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """`delta` is the candidate's share right minus the baseline's, `se` its Wald error; both None without pairs."""

    n: int
    delta: float | None
    se: float | None
    exact_p: float
    mid_p: float
    chi2: float
    chi2_p: float
    chi2_corrected: float
    chi2_corrected_p: float


def mcnemar(both: int, baseline_only: int, *, candidate_only: int, neither: int) -> McNemar:
    """From the counts of pairs where both, one or no arm is right. Without discordant pairs every p is 1."""
    if min(both, baseline_only, candidate_only, neither) < 0:
        raise InvalidInput("a count of pairs is below 0")
    n, discordant = both + baseline_only + candidate_only + neither, baseline_only + candidate_only
    gap, fewer = candidate_only - baseline_only, min(baseline_only, candidate_only)
    exact = min(1.0, 2 * float(bdtr(fewer, discordant, 0.5)))
    chi2 = gap * gap / discordant if discordant else 0.0
    corrected = (abs(gap) - 1) ** 2 / discordant if discordant else 0.0
    return McNemar(
        n=n,
        delta=gap / n if n else None,
        se=math.sqrt(discordant - gap * gap / n) / n if n else None,
        exact_p=exact,
        mid_p=max(exact - _fair_coin(fewer, discordant), 0.0) if discordant else 1.0,
        chi2=chi2,
        chi2_p=float(chdtrc(1, chi2)),
        chi2_corrected=corrected,
        chi2_corrected_p=float(chdtrc(1, corrected)),
    )


def _fair_coin(heads: int, flips: int) -> float:
    """The probability of exactly this many heads."""
    ways = gammaln(flips + 1) - gammaln(heads + 1) - gammaln(flips - heads + 1)
    return math.exp(float(ways) - flips * math.log(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Mean difference and the limits that hold 95 % of differences, each limit with its own interval.

    `bias` is None without pairs, the rest below two pairs: `state` says which.
    """

    n: int
    bias: float | None
    sd: float | None = None
    bias_interval: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    lower_limit_interval: tuple[float, float] | None = None
    upper_limit_interval: tuple[float, float] | None = None
    state: State = State.OK


def bland_altman(differences: Moments, *, confidence: float = 0.95) -> BlandAltman:
    """Limits of agreement bias -+ 1.96 sd of candidate minus baseline; a limit's error is sd sqrt(1/n + 1.96^2/(2(n - 1)))."""
    n, bias, variance = differences.n, differences.mean, differences.variance
    if variance is None:
        return BlandAltman(n=n, bias=bias if n else None, state=State.NO_DATA)
    sd = math.sqrt(variance)
    t = float(stdtrit(n - 1, (1 + confidence) / 2))
    low, high = bias - LIMIT_Z * sd, bias + LIMIT_Z * sd
    limit = t * sd * math.sqrt(1 / n + LIMIT_Z**2 / (2 * (n - 1)))
    half = t * sd / math.sqrt(n)
    return BlandAltman(
        n=n,
        bias=bias,
        sd=sd,
        bias_interval=(bias - half, bias + half),
        limits=(low, high),
        lower_limit_interval=(low - limit, low + limit),
        upper_limit_interval=(high - limit, high + limit),
        state=State.DEGENERATE if differences.constant else State.OK,
    )


@dataclass(frozen=True, slots=True)
class Concordance:
    """Pearson's r and Lin's concordance; None where an arm's answers, or both together, do not vary."""

    pearson: float | None
    lin: float | None


def concordance(baseline: Moments, candidate: Moments, *, differences: Moments) -> Concordance:
    """From the moments of both arms over the same pairs and of their differences: 2 cov = var a + var b - var (b - a)."""
    if not baseline.n == candidate.n == differences.n:
        raise InvalidInput("the moments belong to different numbers of pairs; take all three over the same pairs")
    cross = (baseline.m2 + candidate.m2 - differences.m2) / 2
    product = math.sqrt(baseline.m2) * math.sqrt(candidate.m2)
    whole = baseline.m2 + candidate.m2 + baseline.n * (candidate.mean - baseline.mean) ** 2
    pearson = min(1.0, max(-1.0, cross / product)) if product else None
    return Concordance(pearson, 2 * cross / whole if whole else None)
