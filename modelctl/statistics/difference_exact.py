"""Candidate minus baseline when events are rare: a box around both arms' own confidence sequences. Exact at every count.

The large-sample difference needs ten expected events; a canary without any errors never has them. Here each stage s = 1, 2, ...
has the level alpha/(s (s + 1)), which adds up to alpha over any number of stages, and half of it goes to each arm's coin interval
[L, U]. With the weights w of `difference.overlap` the difference lies within sum w [L_b - U_a, U_b - L_a]/sum w, whatever the
counts: all intervals hold at once with probability 1 - alpha, and then so does any weighted mean of them.
Sources: as in `coin`; weighted Bonferroni over stages and arms.
"""

from collections.abc import Sequence

import numpy as np

from modelctl.statistics import coin
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.difference import Proportion, ProportionStage, overlap
from modelctl.statistics.tuning import COIN_CONCENTRATION


def compare(stages: Sequence[ProportionStage], *, alpha: float, kappa: float = COIN_CONCENTRATION) -> Comparison:
    """The stage-weighted difference with its box. `stages` are all stages so far in the order they opened, empty ones too: a
    stage's place fixes its level."""
    used = [(stage, alpha / (place * (place + 1))) for place, stage in enumerate(stages, 1) if _two_armed(stage)]
    if not used:
        return _comparison(None, (-1.0, 1.0), n=0, alpha=alpha)
    ends = np.array([_box(stage, alpha=level, kappa=kappa) for stage, level in used])
    n_a, n_b = np.array([(float(stage.baseline.n), float(stage.candidate.n)) for stage, _ in used]).T
    low, gap, high = overlap(n_a, n_b) @ ends / overlap(n_a, n_b).sum()
    return _comparison(float(gap), (float(low), float(high)), n=int(n_a.sum() + n_b.sum()), alpha=alpha)


def proven_excess(stages: Sequence[ProportionStage], *, alpha: float, kappa: float = COIN_CONCENTRATION) -> float:
    """sum w (L_b - p_a)/sum w: how far the candidate's rate, as proven, is above the baseline's, as observed; -1 without data.

    Quicker than `compare`, because the baseline's own uncertainty is left out: for alarms, on top of another proof.
    """
    used = [(stage, alpha / (place * (place + 1))) for place, stage in enumerate(stages, 1) if _two_armed(stage)]
    if not used:
        return -1.0
    gaps = np.array(
        [
            coin.interval(stage.candidate.k, stage.candidate.n, alpha=level, kappa=kappa)[0] - stage.baseline.k / stage.baseline.n
            for stage, level in used
        ]
    )
    weights = overlap(*np.array([(float(stage.baseline.n), float(stage.candidate.n)) for stage, _ in used]).T)
    return float(weights @ gaps / weights.sum())


def _two_armed(stage: ProportionStage) -> bool:
    return bool(stage.baseline.n and stage.candidate.n)


def _box(stage: ProportionStage, *, alpha: float, kappa: float) -> tuple[float, float, float]:
    """L_b - U_a, p_b - p_a and U_b - L_a of one stage."""
    (low_a, p_a, high_a), (low_b, p_b, high_b) = (
        _arm(arm, alpha=alpha / 2, kappa=kappa) for arm in (stage.baseline, stage.candidate)
    )
    return low_b - high_a, p_b - p_a, high_b - low_a


def _arm(arm: Proportion, *, alpha: float, kappa: float) -> tuple[float, float, float]:
    low, high = coin.interval(arm.k, arm.n, alpha=alpha, kappa=kappa)
    return low, arm.k / arm.n, high


def _comparison(estimate: float | None, interval: tuple[float, float], *, n: int, alpha: float) -> Comparison:
    return Comparison(
        estimate=estimate,
        lower=interval[0],
        upper=interval[1],
        n=n,
        method="coin-box",
        alpha=alpha,
        state=State.OK if n else State.NO_DATA,
        reason="" if n else "an arm has no units yet",
    )
