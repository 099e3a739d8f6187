"""Feedback is joined exactly once to every prediction and pair of its request, whichever of them comes first."""

import math
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.controlplane.operations.feedback import FeedbackItem, Kind, record_feedback
from modelctl.evidence import Compared, Served
from modelctl.recorder.labels import pause
from modelctl.store.engine import connect
from tests.recorder.evidence import all_sums, copied, failed, lively, over_minutes, request, said, sticky, template
from tests.recorder.stream import START, Recording, rows

SECOND = 1_000_000


@pytest.fixture
def url(database_url: str) -> str:
    sticky(database_url)
    return database_url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("labels"))


def tell(url: str, number: int, value: str | float, *, kind: Kind = Kind.TRUTH, replace: bool = False) -> None:
    engine = connect(url)
    item = FeedbackItem(request_id=f"r{number}", value=value, kind=kind, replace=replace)
    record_feedback(engine, [item], at=START)
    engine.dispose()


def record(url: str, records: Sequence[Served | Compared], *, join: bool = True) -> None:
    recording = Recording(url)
    recording.take(records)
    if join:
        recording.join()
    recording.engine.dispose()


def pair(number: int, baseline: object, candidate: object, *, amount: int = 0) -> list[Served | Compared]:
    first = request(number, said("old", baseline), user="u1", amount=amount or number, shown=["new"])
    return [first, Compared(first, said("new", candidate))]


def test_a_label_counts_at_the_minute_stage_and_arm_of_the_prediction(url: str) -> None:
    tell(url, 1, "yes")
    tell(url, 2, "no")
    record(url, [request(1, said("old", "yes")), request(2, said("new", "yes")), request(3, said("old", "yes"))])
    assert over_minutes(url, "labelled") == {("old", ""): (1, 0, 0, 0, 0), ("new", ""): (1, 0, 0, 0, 0)}
    assert over_minutes(url, "accuracy") == {("old", ""): (1, 1, 0, 0, 0), ("new", ""): (1, 0, 0, 0, 0)}
    assert [row["joined"] for row in rows(url, "feedback")] == [1, 1]
    minutes = {minute for (_, _, metric, _, minute) in all_sums(url) if metric == "accuracy"}
    assert minutes == {minute for (_, _, metric, _, minute) in all_sums(url) if metric == "units"}


def test_losses_are_those_of_the_probability_of_the_label(url: str) -> None:
    tell(url, 1, "yes")
    tell(url, 2, "no")
    record(url, [request(number, said("old", "yes", score=0.75)) for number in (1, 2)])
    right, wrong = -math.log(0.75), -math.log(0.25)
    assert over_minutes(url, "log_loss")["old", ""] == pytest.approx((2, 0, right + wrong, right**2 + wrong**2, 0), abs=1e-5)
    assert over_minutes(url, "brier")["old", ""] == pytest.approx((2, 0, 0.0625 + 0.5625, 0.0625**2 + 0.5625**2, 0), abs=1e-5)


def test_a_certain_miss_costs_no_infinity(url: str) -> None:
    tell(url, 1, "no")
    record(url, [request(1, said("old", "yes", score=1.0))])
    assert over_minutes(url, "log_loss")["old", ""][2] == pytest.approx(-math.log(1e-15))


def test_a_number_is_compared_with_the_number_that_was_true(url: str) -> None:
    tell(url, 1, 12.0)
    tell(url, 2, 1.0)
    record(url, [request(1, said("old", 9.5)), request(2, said("old", 0.75))])
    assert over_minutes(url, "absolute_error")["old", ""] == (2, 0, 2.75, 2.5**2 + 0.25**2, 0)
    assert over_minutes(url, "brier")["old", ""] == pytest.approx((1, 0, 0.0625, 0.0625**2, 0), abs=1e-5)
    assert over_minutes(url, "accuracy") == {}


def test_rewards_are_summed_from_the_first_one_and_are_no_truth(url: str) -> None:
    for number, reward in enumerate([100.0, 103.0, 99.0], start=1):
        tell(url, number, reward, kind=Kind.REWARD)
    record(url, [request(number, said("old", "yes"), user="u1") for number in (1, 2, 3)])
    assert over_minutes(url, "reward") == {("old", ""): (3, 0, 2, 10, 0)}
    assert over_minutes(url, "unit:reward")["old", ""] == (1, 3, 2, 4, 6)
    assert over_minutes(url, "labelled") == {}


def test_pairs_are_joined_too_and_a_candidate_without_an_answer_was_wrong(url: str) -> None:
    for number in (1, 2, 3, 4):
        tell(url, number, "yes")
    broken = request(4, said("old", "yes"), amount=4, shown=["new"])
    record(url, [*pair(1, "yes", "no"), *pair(2, "no", "yes"), *pair(3, "yes", "yes"), broken, Compared(broken, failed("new"))])
    assert over_minutes(url, "pair_accuracy") == {
        ("new", "-"): (2, 0, 0, 0, 0),
        ("new", "+"): (1, 0, 0, 0, 0),
        ("new", "0"): (1, 0, 0, 0, 0),
    }
    assert over_minutes(url, "shown_accuracy") == {("new", ""): (3, 2, 0, 0, 0)}
    assert over_minutes(url, "pair_brier")["new", ""][0] == 3
    assert over_minutes(url, "accuracy") == {("old", ""): (4, 3, 0, 0, 0)}


def test_a_pair_that_asks_again_has_no_label_either(url: str) -> None:
    tell(url, 1, "yes")
    tell(url, 2, "yes")
    record(url, [*pair(1, "yes", "no", amount=5), *pair(2, "yes", "no", amount=5)])
    assert over_minutes(url, "pair_accuracy") == {("new", "-"): (1, 0, 0, 0, 0)}
    assert over_minutes(url, "accuracy")["old", ""] == (2, 2, 0, 0, 0)


def test_labels_are_sliced_like_their_requests(url: str) -> None:
    tell(url, 1, "yes")
    tell(url, 3, "yes")
    record(url, [request(1, said("old", "yes"), amount=9), request(3, said("old", "no"), amount=1)])
    assert over_minutes(url, "slice:accuracy") == {
        ("old", '["country","de"]'): (1, 1, 0, 0, 0),
        ("old", '["country","fr"]'): (1, 0, 0, 0, 0),
        ("old", '["amount",">=3"]'): (1, 1, 0, 0, 0),
        ("old", '["amount","<3"]'): (1, 0, 0, 0, 0),
    }


STEP = st.tuples(
    st.sampled_from(["tell", "reward", "record", "join"]), st.integers(1, 12), st.sampled_from(["yes", "no", 0.5, 3.0])
)
_numbers = iter(range(1_000_000))


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), steps=st.lists(STEP, max_size=25))
def test_before_after_between_or_replaced_the_sums_are_the_same(
    empty: Path, seed: int, steps: list[tuple[str, int, str | float]]
) -> None:
    records = lively(seed, 12)
    mixed, plain = copied(empty, next(_numbers)), copied(empty, next(_numbers))
    told: dict[tuple[int, Kind], str | float] = {(1, Kind.REWARD): 3.0, (2, Kind.TRUTH): "yes"}
    recording, recorded = Recording(mixed), 0
    for (number, kind), value in told.items():
        tell(mixed, number, value, kind=kind)
    for what, number, value in steps:
        if what == "record":
            recording.take(records[recorded : recorded + number])
            recorded += number
        elif what == "join":
            recording.join()
        else:
            kind = Kind.REWARD if what == "reward" else Kind.TRUTH
            told[number, kind] = 3.0 if kind is Kind.REWARD and isinstance(value, str) else value
            tell(mixed, number, told[number, kind], kind=kind, replace=True)
    recording.take(records[recorded:])
    recording.join()
    recording.engine.dispose()
    for (number, kind), value in told.items():
        tell(plain, number, value, kind=kind)
    record(plain, records)
    assert _unshifted(mixed) == pytest.approx(_unshifted(plain), abs=1e-4)


def _unshifted(url: str) -> dict[str, float]:
    """Sums by name, those of rewards without their pivot, which depends on which reward came first."""
    pivots = {row["metric"]: row["value"] for row in rows(url, "pivot")}
    found: dict[str, float] = {}
    for key, (n, k, s1, s2, sp) in all_sums(url).items():
        pivot = pivots.get("reward", 0.0) if key[2] == "reward" else 0.0
        values = (n, k, s1 + n * pivot, s2 + 2 * pivot * s1 + n * pivot * pivot, sp)
        if key[2] != "unit:reward":
            found |= {f"{key} {name}": value for name, value in zip(("n", "k", "s1", "s2", "sp"), values, strict=True) if value}
    return found


def test_feedback_nobody_asked_for_waits_longer_and_longer_and_is_joined_when_its_request_comes(url: str) -> None:
    tell(url, 1, "yes")
    recording = Recording(url)
    recording.join(at=START)
    (row,) = rows(url, "feedback")
    assert (row["joined"], row["tries"], row["join_at"]) == (0, 1, START + SECOND)
    recording.join(at=START + SECOND)
    (row,) = rows(url, "feedback")
    assert (row["tries"], row["join_at"]) == (2, START + 3 * SECOND)
    recording.take([request(1, said("old", "yes"))])
    recording.join(at=START + SECOND)
    recording.engine.dispose()
    assert over_minutes(url, "accuracy") == {("old", ""): (1, 1, 0, 0, 0)}


def test_the_pause_grows_to_an_hour_and_no_further() -> None:
    assert [pause(tries) // SECOND for tries in (0, 1, 2, 5, 11, 12, 1_000)] == [1, 2, 4, 32, 2_048, 3_600, 3_600]


def test_more_feedback_than_a_batch_holds_is_joined_batch_by_batch(url: str) -> None:
    engine = connect(url)
    items = [FeedbackItem(request_id=f"r{number}", value="yes") for number in range(1, 601)]
    record_feedback(engine, items, at=START)
    engine.dispose()
    record(url, [request(number, said("old", "yes")) for number in range(1, 601)])
    assert over_minutes(url, "accuracy") == {("old", ""): (600, 600, 0, 0, 0)}


def test_every_prediction_of_a_request_id_that_clients_used_twice_is_joined(url: str) -> None:
    first, second = request(1, said("old", "yes")), request(2, said("old", "no"))
    second = type(second)(second.id, b"r1", second.at, second.context, second.request, second.answer)
    tell(url, 1, "yes")
    recording = Recording(url)
    recording.take([first])
    recording.join()
    recording.take([second])
    recording.join()
    recording.engine.dispose()
    assert over_minutes(url, "accuracy") == {("old", ""): (2, 1, 0, 0, 0)}


def test_recorders_that_join_while_others_record_and_people_replace_lose_nothing(postgres_url: str) -> None:
    sticky(postgres_url)
    numbers = range(1, 61)
    errors: list[BaseException] = []

    def guarded(work: object) -> None:
        try:
            assert callable(work)
            work()
        except BaseException as error:  # noqa: BLE001  (a thread's error is the test's)
            errors.append(error)

    def recorder(name: str, part: int) -> None:
        recording = Recording(postgres_url, name)
        for number in numbers[part::2]:
            first, second = pair(number, "yes", "no")
            recording.take([first])
            recording.join()
            recording.take([second])
        recording.engine.dispose()

    def people() -> None:
        for value in ("no", "yes"):
            for number in numbers:
                tell(postgres_url, number, value, replace=True)

    work = [lambda: recorder("a", 0), lambda: recorder("b", 1), people]
    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    last = Recording(postgres_url, "last")
    last.join()
    last.engine.dispose()
    assert over_minutes(postgres_url, "accuracy") == {("old", ""): (60, 60, 0, 0, 0)}
    assert over_minutes(postgres_url, "pair_accuracy") == {("new", "-"): (60, 0, 0, 0, 0)}
    assert over_minutes(postgres_url, "unit:accuracy")["old", ""] == (1, 60, 60, 3_600, 3_600)
