"""Logistic regression on standardised features, fitted by Newton's method (iteratively reweighted least squares).

Minimises the negative log-likelihood plus ridge/2 times the squared weights; the intercept is not penalised
(Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 4.4.1 and 4.4.4).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RIDGE = 2.0
STEPS = 25
_CONVERGED = 1e-10


class Logistic(NamedTuple):
    """`weights` has one entry per feature and the intercept last; they act on (features - mean) / scale."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of class 1 for each line of `features`."""
        return sigmoid(_design((features - self.mean) / self.scale) @ self.weights)


def fit_logistic(features: NDArray[np.float64], target: NDArray[np.float64]) -> Logistic:
    """The regression of `target`, 0 or 1, on the lines of `features`. Deterministic."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    design = _design((features - mean) / scale)
    penalty = np.diag([RIDGE] * features.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        fitted = sigmoid(design @ weights)
        gradient = design.T @ (fitted - target) + penalty @ weights
        curvature = (design.T * (fitted * (1 - fitted))) @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if float(np.abs(step).max()) < _CONVERGED:
            break
    return Logistic(mean, scale, weights)


def sigmoid(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-score)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * score)), dtype=np.float64)


def _design(standardised: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([standardised, np.ones(len(standardised))])
