"""A network with one hidden layer of fixed random units; only the layer behind it is learnt, by logistic regression.

The units are tanh of random projections of the standardised features (Huang, Zhu and Siew, Extreme learning machine, 2006).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelctl.demo.logistic import Logistic, fit_logistic

UNITS = 200
SPREAD = 0.2


class RandomFeatures(NamedTuple):
    """`projection` has a column per unit and acts on (features - mean) / scale; `output` acts on the units."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    projection: NDArray[np.float64]
    shift: NDArray[np.float64]
    output: Logistic

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of class 1 for each line of `features`."""
        hidden = np.tanh((features - self.mean) / self.scale @ self.projection + self.shift)
        return self.output.probability(hidden)


def fit_random_features(features: NDArray[np.float64], target: NDArray[np.float64], *, seed: int) -> RandomFeatures:
    """The network for `target`, 0 or 1, on the lines of `features`. The same seed gives the same network."""
    chance = np.random.default_rng(seed)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    projection = chance.normal(0.0, SPREAD, size=(features.shape[1], UNITS))
    shift = chance.uniform(-1.0, 1.0, size=UNITS)
    hidden = np.tanh((features - mean) / scale @ projection + shift)
    return RandomFeatures(mean, scale, projection, shift, fit_logistic(hidden, target))
