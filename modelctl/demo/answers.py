"""What the two demonstration models answer.

v1 is a logistic regression, v2 a network with random hidden units: different models, equally good. v2 also carries a
planted fault, of the kind that a feature pipeline picks up when a new site is connected: it takes one length from clinic
`north` to be in centimetres and "corrects" it to millimetres, although `north` sends the same units as everybody. So its
answers are bad for `north`, and for nobody else.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelctl.demo.logistic import fit_logistic
from modelctl.demo.random_features import fit_random_features
from modelctl.demo.rows import LABELS, Dataset, Row, matrix, targets
from modelctl.errors import InvalidInput

VERSIONS = ("v1", "v2")
FAULTY_CLINIC = "north"
FAULTY_FEATURE = "mean perimeter"
MILLIMETRES_PER_CENTIMETRE = 10.0
_SEED = 1


class Question(msgspec.Struct, frozen=True):
    """The body of a request: every feature by its name."""

    features: dict[str, float]
    clinic: str = ""


class Prediction(msgspec.Struct, frozen=True):
    """The body of an answer. `probability` is that of the label."""

    label: str
    probability: float
    model: str


class Classifier(Protocol):
    """Gives the probability of malignancy for each line of a feature matrix."""

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]: ...


class Model(NamedTuple):
    """A trained classifier and how it reads its input: `units` is what each feature from the faulty clinic is multiplied by."""

    version: str
    names: tuple[str, ...]
    classifier: Classifier
    units: NDArray[np.float64]


class Answered(NamedTuple):
    """One row of the traffic and what both models say about it."""

    row: Row
    v1: str
    v2: str


def train(version: str, dataset: Dataset) -> Model:
    """The model of this version, trained on the training rows. Deterministic, under two seconds. Raises InvalidInput."""
    if version not in VERSIONS:
        raise InvalidInput(f"{version!r} is no demonstration model: use {' or '.join(VERSIONS)}")
    features, target = matrix(dataset.training), targets(dataset.training)
    if version == "v1":
        return Model(version, dataset.names, fit_logistic(features, target), np.ones(len(dataset.names)))
    units = np.array([MILLIMETRES_PER_CENTIMETRE if name == FAULTY_FEATURE else 1.0 for name in dataset.names])
    return Model(version, dataset.names, fit_random_features(features, target, seed=_SEED), units)


def predict(model: Model, question: Question) -> Prediction:
    """The model's answer. Raises InvalidInput when features are missing or unknown."""
    features = np.array([_in_order(question.features, model.names)])
    units = model.units if question.clinic == FAULTY_CLINIC else 1.0
    malignant = float(model.classifier.probability(features * units)[0])
    label = LABELS[int(malignant >= 0.5)]
    return Prediction(label, malignant if label == LABELS[1] else 1 - malignant, model.version)


def question_of(row: Row, names: tuple[str, ...]) -> Question:
    """The request that a client sends for a row."""
    return Question(dict(zip(names, row.features, strict=True)), row.clinic)


def answers_to_traffic(dataset: Dataset) -> tuple[Answered, ...]:
    """What both models say about every traffic row, without a network: the truth that a comparison of them must find."""
    v1, v2 = train("v1", dataset), train("v2", dataset)
    questions = [(row, question_of(row, dataset.names)) for row in dataset.traffic]
    return tuple(Answered(row, predict(v1, question).label, predict(v2, question).label) for row, question in questions)


def _in_order(features: Mapping[str, float], names: tuple[str, ...]) -> list[float]:
    missing = [name for name in names if name not in features]
    unknown = [name for name in features if name not in names]
    if missing:
        raise InvalidInput(f"{len(missing)} of {len(names)} features are missing, such as {missing[0]!r}")
    if unknown:
        raise InvalidInput(f"unknown feature {unknown[0]!r}: the features are {', '.join(names)}")
    return [features[name] for name in names]
