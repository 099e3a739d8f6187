"""The chance that a sum of normal steps is above a boundary at one of a few looks, and the boundary for a given chance.

At information t (a share of a whole, or 1/se^2) the sum S has mean drift t and variance t. The density of S where no look
was above its boundary is carried from look to look by numerical integration, on panels finer than a step's deviation.
Sources: Armitage, McPherson, Rowe (1969); Jennison & Turnbull (2000), chapter 19.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from modelctl.statistics.arrays import Floats

FARTHEST = 8.0
"""Deviations beyond which nothing is integrated, and no boundary is set: a chance of 6e-16."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_PANEL = 1.25
"""The length of a panel of 8 nodes, in deviations of a step."""


@dataclass(frozen=True, slots=True)
class Below:
    """The density of S at information `t`, at `nodes` below every boundary so far; `mass` is it times the nodes' weights."""

    t: float
    nodes: Floats
    mass: Floats


START = Below(0.0, np.zeros(1), np.ones(1))
"""Before the first look S is 0."""


def chance_above(before: Below, t: float, *, bound: float, drift: float = 0.0) -> float:
    """The chance to be below every boundary up to `before` and then above `bound` at the later information `t`."""
    step = t - before.t
    return float(before.mass @ ndtr((before.nodes + drift * step - bound) / math.sqrt(step)))


def carry(before: Below, t: float, *, bound: float, drift: float = 0.0, next_step: float = math.inf) -> Below:
    """The density at `t` below `bound`. `next_step` is how much information the look after it adds: it sets the panels."""
    step = t - before.t
    low, high = drift * t - FARTHEST * math.sqrt(t), min(bound, drift * t + FARTHEST * math.sqrt(t))
    if high <= low:
        return Below(t, np.zeros(1), np.zeros(1))
    panels = math.ceil((high - low) / (_PANEL * math.sqrt(min(step, next_step))))
    half = (high - low) / panels / 2
    centres = low + half * (2 * np.arange(panels) + 1)
    nodes, weights = (centres[:, None] + half * _NODES).ravel(), np.tile(half * _WEIGHTS, panels)
    gaps = (nodes[:, None] - before.nodes - drift * step) / math.sqrt(step)
    density = np.exp(-0.5 * gaps * gaps) @ before.mass / math.sqrt(2 * math.pi * step)
    return Below(t, nodes, density * weights)


def bound_for(before: Below, t: float, *, chance: float) -> float:
    """The boundary at `t` that is first crossed there with this chance, without drift; at most 8 deviations."""
    most = FARTHEST * math.sqrt(t)
    if chance_above(before, t, bound=most) >= chance:
        return most
    return float(brentq(lambda bound: chance_above(before, t, bound=bound) - chance, -most, most, xtol=1e-12 * math.sqrt(t)))


def first_crossings(information: Floats, bounds: Floats, *, drift: float) -> Floats:
    """For each look the chance that it is the first above its boundary. `information` grows from look to look."""
    steps = np.append(np.diff(information), math.inf)
    chances, state = [], START
    for t, bound, following in zip(information, bounds, steps, strict=True):
        chances.append(chance_above(state, float(t), bound=float(bound), drift=drift))
        state = carry(state, float(t), bound=float(bound), drift=drift, next_step=float(following))
    return np.array(chances)
