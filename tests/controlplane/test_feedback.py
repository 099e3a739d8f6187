"""What turned out to be true: one value for a request, whenever it comes."""

import pytest
from sqlalchemy import Engine, select, update

from modelctl.controlplane.operations.feedback import FeedbackItem, Kind, Taken, record_feedback
from modelctl.errors import Conflict, InvalidInput
from modelctl.store.engine import reading as transaction
from modelctl.store.engine import writing
from modelctl.store.summing import sums
from modelctl.store.tables import feedback
from tests.controlplane.scene import AT, join_feedback, store_pair, store_prediction


def item(request: str = "r1", value: str | float | bool = "fraud", **more: object) -> FeedbackItem:
    return FeedbackItem(request_id=request, value=value, **more)  # type: ignore[arg-type]


def stored(engine: Engine) -> list[tuple[object, ...]]:
    columns = feedback.c
    with transaction(engine) as connection:
        query = select(columns.request_id, columns.value_label, columns.value_number, columns.prediction_id).order_by(columns.id)
        return [tuple(row) for row in connection.execute(query)]


def test_feedback_is_joined_to_the_prediction_of_its_request(engine: Engine) -> None:
    store_prediction(engine, "p1", request_id="r1")
    assert record_feedback(engine, [item("r1"), item("r2", 12.5)], at=AT) == Taken(accepted=2, duplicates=0, unmatched=1)
    assert stored(engine) == [("r1", "fraud", None, "p1"), ("r2", "12.5", 12.5, None)]


def test_the_same_again_changes_nothing(engine: Engine) -> None:
    record_feedback(engine, [item()], at=AT)
    assert record_feedback(engine, [item(), item()], at=AT) == Taken(accepted=0, duplicates=2, unmatched=1)


def test_a_different_value_is_refused_and_the_whole_batch_with_it(engine: Engine) -> None:
    record_feedback(engine, [item()], at=AT)
    with pytest.raises(Conflict, match="a different value is known for r1; nothing was stored"):
        record_feedback(engine, [item("r2"), item("r1", "legit")], at=AT)
    assert [row[0] for row in stored(engine)] == ["r1"]


def test_a_batch_that_contradicts_itself_is_refused(lite: Engine) -> None:
    with pytest.raises(Conflict, match="r1"):
        record_feedback(lite, [item("r1", "a"), item("r1", "b")], at=AT)


def test_a_different_value_replaces_the_earlier_one_when_asked_to(engine: Engine) -> None:
    record_feedback(engine, [item()], at=AT)
    assert record_feedback(engine, [item("r1", 0.5, replace=True)], at=AT) == Taken(accepted=1, duplicates=0, unmatched=1)
    assert stored(engine) == [("r1", "0.5", 0.5, None)]


def test_a_number_is_a_label_too_because_classes_are_often_numbered(lite: Engine) -> None:
    store_prediction(lite, "p1", request_id="r1", label="1")
    store_prediction(lite, "p2", request_id="r2", label="0")
    record_feedback(lite, [item("r1", 1.0), item("r2", 1.0)], at=AT)
    assert joined(lite)["a", "accuracy"] == (2, 1, 0.0)


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_one_to_a_thousand_items(lite: Engine, count: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 1000"):
        record_feedback(lite, [item(f"r{number}") for number in range(count)], at=AT)


def test_a_request_id_of_unreasonable_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match="1 to 256"):
        item("r" * 300)


Sums = dict[tuple[str, str], tuple[int, int, float]]


def joined(engine: Engine) -> Sums:
    """What the recorder makes of the feedback: n, k and s1 by arm and metric, under rollout 1."""
    join_feedback(engine)
    with transaction(engine) as connection:
        return {(one.arm, one.metric): (one.n, one.k, one.s1) for one in sums(connection, "fraud", rollout=1)}


def test_feedback_that_came_first_counts_once_the_prediction_is_there(engine: Engine) -> None:
    record_feedback(engine, [item("r1"), item("r2", "legit")], at=AT)
    assert joined(engine) == {}
    store_prediction(engine, "p1", request_id="r1", label="fraud")
    store_prediction(engine, "p2", request_id="r2", label="fraud")
    with writing(engine) as connection:
        connection.execute(update(feedback).values(join_at=0))
    assert joined(engine) == {("a", "labelled"): (2, 0, 0.0), ("a", "accuracy"): (2, 1, 0.0)}


def test_a_shadowed_candidate_is_scored_on_the_requests_it_was_shown(engine: Engine) -> None:
    store_prediction(engine, "p1", request_id="r1", number=10.0)
    store_pair(engine, "p1", request_id="r1", baseline_number=10.0, candidate_number=14.0)
    record_feedback(engine, [item("r1", 12.0)], at=AT)
    found = joined(engine)
    assert found["a", "absolute_error"] == (1, 0, 2.0)
    assert found["b", "shown_absolute_error"] == (1, 0, 2.0)
    assert found["b", "pair_absolute_error"] == (1, 0, 0.0)


def test_a_request_has_one_truth_and_one_reward(engine: Engine) -> None:
    store_prediction(engine, "p1", request_id="r1", label="fraud")
    record_feedback(engine, [item("r1"), item("r1", 7.0, kind=Kind.REWARD)], at=AT)
    assert record_feedback(engine, [item("r1", 7.0, kind=Kind.REWARD)], at=AT).duplicates == 1
    with pytest.raises(Conflict, match="a different value is known for r1"):
        record_feedback(engine, [item("r1", 8.0, kind=Kind.REWARD)], at=AT)
    assert joined(engine)["a", "reward"] == (1, 0, 0.0)


@pytest.mark.parametrize("value", ["high", True, float("inf")])
def test_a_reward_is_a_finite_number(value: str | float | bool) -> None:
    with pytest.raises(InvalidInput, match="a reward is a finite number"):
        item("r1", value, kind=Kind.REWARD)
