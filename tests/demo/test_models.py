"""The two models and the planted fault."""

import time
from collections import Counter

import numpy as np
import pytest

from modelctl.demo.answers import Answered, Question, answers_to_traffic, predict, question_of, train
from modelctl.demo.logistic import RIDGE, fit_logistic, sigmoid
from modelctl.demo.rows import CLINICS, LABELS, Dataset, clinic_of, matrix, read_dataset, targets
from modelctl.errors import InvalidInput


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return read_dataset()


@pytest.fixture(scope="module")
def answered(dataset: Dataset) -> tuple[Answered, ...]:
    return answers_to_traffic(dataset)


def right(answers: list[Answered], version: str) -> float:
    hits = [(answer.v1 if version == "v1" else answer.v2) == answer.row.label for answer in answers]
    return sum(hits) / len(hits)


def in_north(answers: tuple[Answered, ...]) -> list[Answered]:
    return [answer for answer in answers if answer.row.clinic == "north"]


def elsewhere(answers: tuple[Answered, ...]) -> list[Answered]:
    return [answer for answer in answers if answer.row.clinic != "north"]


def test_the_data_are_the_569_rows_of_the_source(dataset: Dataset) -> None:
    rows = (*dataset.training, *dataset.traffic)
    assert len(dataset.training) == 285
    assert len(dataset.traffic) == 284
    assert Counter(row.label for row in rows) == {"benign": 357, "malignant": 212}
    assert all(len(row.features) == len(dataset.names) == len(set(dataset.names)) == 30 for row in rows)
    assert dataset.training[0].features[:3] == (17.99, 10.38, 122.8)
    assert matrix(rows)[:, dataset.names.index("mean radius")].mean() == pytest.approx(14.127291739894552)


def test_no_traffic_row_was_learnt_from(dataset: Dataset) -> None:
    assert not {row.features for row in dataset.training} & {row.features for row in dataset.traffic}


def test_one_row_in_five_is_from_the_north_and_that_says_nothing_about_its_label(dataset: Dataset) -> None:
    rows = (*dataset.training, *dataset.traffic)
    assert {row.clinic for row in rows} == set(CLINICS)
    north = [row for row in rows if row.clinic == "north"]
    assert 0.16 < len(north) / len(rows) < 0.24
    malignant = sum(row.label == "malignant" for row in north) / len(north)
    assert abs(malignant - 212 / 569) < 0.12
    assert all(row.clinic == clinic_of(row.features) for row in rows)


def test_the_fault_of_v2_shows_in_the_north(answered: tuple[Answered, ...]) -> None:
    assert right(in_north(answered), "v1") > 0.93
    assert right(in_north(answered), "v2") < 0.7


def test_the_fault_of_v2_shows_nowhere_else(answered: tuple[Answered, ...]) -> None:
    others = elsewhere(answered)
    assert right(others, "v1") > 0.93
    assert abs(right(others, "v1") - right(others, "v2")) < 0.02
    for clinic in set(CLINICS) - {"north"}:
        there = [answer for answer in others if answer.row.clinic == clinic]
        assert sum(answer.v1 == answer.v2 for answer in there) / len(there) > 0.95


def test_v2_without_its_clinic_is_as_good_as_v1(dataset: Dataset) -> None:
    model = train("v2", dataset)
    answers = [predict(model, question_of(row._replace(clinic=""), dataset.names)).label for row in dataset.traffic]
    assert np.mean([label == row.label for label, row in zip(answers, dataset.traffic, strict=True)]) > 0.94


def test_the_offline_answers_cover_all_traffic_rows_in_their_order(dataset: Dataset, answered: tuple[Answered, ...]) -> None:
    assert tuple(answer.row for answer in answered) == dataset.traffic
    assert {answer.v1 for answer in answered} == {answer.v2 for answer in answered} == set(LABELS)


def test_training_is_quick_and_always_gives_the_same_model(dataset: Dataset) -> None:
    start = time.process_time()
    first = [train(version, dataset) for version in ("v1", "v2")]
    assert time.process_time() - start < 2
    question = question_of(dataset.traffic[0], dataset.names)
    for model in first:
        assert predict(train(model.version, dataset), question) == predict(model, question)


def test_a_probability_is_that_of_the_label(dataset: Dataset) -> None:
    for version in ("v1", "v2"):
        model = train(version, dataset)
        predictions = [predict(model, question_of(row, dataset.names)) for row in dataset.traffic[:40]]
        assert {prediction.label for prediction in predictions} == set(LABELS)
        assert all(0.5 <= prediction.probability <= 1 for prediction in predictions)
        assert all(prediction.model == version for prediction in predictions)


def test_the_logistic_regression_ends_where_the_gradient_is_zero(dataset: Dataset) -> None:
    features, target = matrix(dataset.training), targets(dataset.training)
    model = fit_logistic(features, target)
    design = np.column_stack([(features - model.mean) / model.scale, np.ones(len(features))])
    penalty = RIDGE * np.append(model.weights[:-1], 0.0)
    gradient = design.T @ (sigmoid(design @ model.weights) - target) + penalty
    assert np.abs(gradient).max() < 1e-8


def test_the_order_of_the_features_in_a_request_does_not_matter(dataset: Dataset) -> None:
    model = train("v1", dataset)
    question = question_of(dataset.traffic[0], dataset.names)
    backwards = Question(dict(reversed(question.features.items())), question.clinic)
    assert predict(model, backwards) == predict(model, question)


def test_missing_and_unknown_features_are_refused_by_name(dataset: Dataset) -> None:
    model = train("v1", dataset)
    features = question_of(dataset.traffic[0], dataset.names).features
    with pytest.raises(InvalidInput, match="1 of 30 features are missing, such as 'worst area'"):
        predict(model, Question({name: value for name, value in features.items() if name != "worst area"}))
    with pytest.raises(InvalidInput, match="unknown feature 'age'"):
        predict(model, Question({**features, "age": 50.0}))


def test_an_unknown_version_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InvalidInput, match="use v1 or v2"):
        train("v3", dataset)
