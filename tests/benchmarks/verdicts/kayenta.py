"""A rule like Kayenta's judge: the error rates of intervals by a Mann-Whitney interval for their shift.

From spinnaker/kayenta, MannWhitneyClassifier and MannWhitney (after R's wilcox.test with a normal approximation, corrected for
ties and continuity): a metric is High when the 98 % interval's lower end is above 0.25 times the absolute Hodges-Lehmann estimate,
Low alike. One metric that is High or Low scores 0 of 100, and below 75 the canary fails. 50 intervals a run, as its documents
advise. Roots are exact here, where it searches for them with a tolerance; and data without any variation pass.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import ndtri

from modelctl.statistics.arrays import Floats
from tests.benchmarks.verdicts.rules import Rule
from tests.benchmarks.verdicts.streams import Streams

POINTS = 50
CONFIDENCE = 0.98
TOLERANCE = 0.25


def shift(control: Floats, experiment: Floats) -> tuple[Floats, Floats, Floats]:
    """Lower end, Hodges-Lehmann estimate and upper end of experiment - control. The last axis is the point; 0 when all are tied."""
    m, n = experiment.shape[-1], control.shape[-1]
    gaps = np.sort((experiment[..., :, None] - control[..., None, :]).reshape(*experiment.shape[:-1], m * n), axis=-1)
    ties = tied(experiment) + tied(control)
    sigma = np.sqrt(m * n / 12 * np.maximum(m + n + 1 - ties / ((m + n) * (m + n - 1)), 0.0))
    rank = np.clip(np.floor(m * n / 2 + ndtri((1 + CONFIDENCE) / 2) * sigma + 0.5).astype(np.int64), 0, m * n - 1)
    lower = np.take_along_axis(gaps, m * n - 1 - rank[..., None], axis=-1)[..., 0]
    upper = np.take_along_axis(gaps, rank[..., None], axis=-1)[..., 0]
    estimate = (gaps[..., m * n // 2] + gaps[..., (m * n - 1) // 2]) / 2
    return np.where(sigma > 0, lower, 0.0), estimate, np.where(sigma > 0, upper, 0.0)


def tied(points: Floats) -> Floats:
    """The sum of t^3 - t over groups of t equal points: for each point, how many equal it, squared, minus 1."""
    equal: Floats = (points[..., :, None] == points[..., None, :]).sum(axis=-1)
    result: Floats = (equal * equal - 1.0).sum(axis=-1)
    return result


def judge(control: Floats, experiment: Floats) -> Floats:
    """+1 High, -1 Low, 0 Pass."""
    lower, estimate, upper = shift(control, experiment)
    means = control.mean(axis=-1), experiment.mean(axis=-1)
    effect = np.where(means[0] > 0, means[1] / np.where(means[0] > 0, means[0], 1.0), 1.0)
    bound = TOLERANCE * np.abs(estimate)
    return np.where((lower > bound) & (effect >= 1), 1.0, np.where((upper < -bound) & (effect <= 1), -1.0, 0.0))


def every_fifty(streams: Streams) -> Floats:
    """A run after every 50 intervals, over those 50."""
    control, experiment = streams.points
    claims = np.zeros_like(control)
    for end in range(POINTS, streams.looks + 1, POINTS):
        now = np.s_[:, end - POINTS : end]
        claims[:, end - 1] = judge(control[now], experiment[now])
    return claims


def sliding(streams: Streams) -> Floats:
    """A run at every interval, over the last 50."""
    claims = np.zeros_like(streams.points[0])
    for run, (control, experiment) in enumerate(zip(*streams.points, strict=True)):
        claims[run, POINTS - 1 :] = judge(sliding_window_view(control, POINTS), sliding_window_view(experiment, POINTS))
    return claims


RULES = (
    Rule("Kayenta-like, every 50 intervals", every_fifty),
    Rule("Kayenta-like, the last 50 at each", sliding),
)
