"""How alike two texts, or two rankings, are."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.kinds import Value
from modelctl.kinds.similarity import PERSISTENCE, rank_overlap, similarity, word_overlap
from tests.kinds.answers import extract

ITEMS = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)
TEXTS = st.text(alphabet="ab ,é", max_size=40)


def text(value: str) -> Value:
    return Value(text=value)


def ranked(*items: str, wanted: str = "ranking") -> tuple[Value, ...]:
    return extract(list(items), wanted=wanted).values


def by_hand(a: Sequence[str], b: Sequence[str]) -> float:
    """Equation 32, term by term with sets."""
    short, long = sorted((a, b), key=len)
    s, n, p = len(short), len(long), PERSISTENCE
    common = [len(set(short[:d]) & set(long[:d])) for d in range(n + 1)]
    first = sum(common[d] / d * p**d for d in range(1, n + 1))
    second = sum(common[s] * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * (first + second) + ((common[n] - common[s]) / n + common[s] / s) * p**n


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("abc", "abc", 1.0),
        ("abc", "xyz", 0.0),
        ("", "", 1.0),
        ("", "a", 0.0),
        # Depths 1 and 2 share 0 and 2 items: 0.1/0.9 (0 + 1 * 0.81) + 1 * 0.81.
        ("ab", "ba", 0.9),
        # Of the last place nothing is shared: 0.1/0.9 (0.9 + 0.81 + 2/3 * 0.729) + 2/3 * 0.729.
        ("abc", "abd", 0.73),
    ],
)
def test_the_overlap_of_two_rankings_weighs_their_first_places_most(a: str, b: str, expected: float) -> None:
    assert rank_overlap(a, b) == pytest.approx(expected, abs=1e-12)


def test_a_swap_at_the_top_costs_more_than_one_at_the_end() -> None:
    assert rank_overlap("abcdef", "bacdef") < rank_overlap("abcdef", "abcdfe") < 1


@given(ITEMS, ITEMS)
def test_the_overlap_of_rankings_is_the_formulas_symmetric_and_from_0_to_1(a: list[str], b: list[str]) -> None:
    found = rank_overlap(a, b)
    assert 0 <= found <= 1
    assert found == rank_overlap(b, a)
    if a and b:
        assert found == pytest.approx(min(1.0, by_hand(a, b)), abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("the cat sat", "The cat, sat!", 1.0),
        ("the cat sat", "the dog sat", 2 / 3),
        ("yes yes", "yes", 2 / 3),
        ("yes", "no", 0.0),
        ("", "", 1.0),
        ("", "word", 0.0),
    ],
)
def test_the_overlap_of_two_texts_counts_their_words(a: str, b: str, expected: float) -> None:
    assert word_overlap(a, b) == pytest.approx(expected)


@given(TEXTS, TEXTS)
def test_the_overlap_of_texts_is_symmetric_and_from_0_to_1(a: str, b: str) -> None:
    assert 0 <= word_overlap(a, b) == word_overlap(b, a) <= 1
    assert word_overlap(a, a) == 1


def test_similarity_is_the_mean_over_the_instances_and_one_that_is_missing_counts_nothing() -> None:
    assert similarity([text("a b"), text("c")], [text("a b"), text("d")]) == 0.5
    assert similarity([text("a b"), text("c")], [text("a b")]) == 0.5


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        ((), (text("a"),)),
        ((Value(label="a"),), (Value(label="a"),)),
        ((Value(number=1.0),), (Value(number=1.0),)),
        ((text("a"),), (Value(label="a"),)),
        ((text('["a"]'),), ranked("a")),
    ],
)
def test_other_predictions_have_no_similarity(baseline: tuple[Value, ...], candidate: tuple[Value, ...]) -> None:
    assert similarity(baseline, candidate) is None


def test_a_ranking_is_read_best_first_with_each_item_once() -> None:
    (value,) = ranked("b", "a", "b", "c")
    assert value.ranking == ("b", "a", "c")
    assert value.text == '["b","a","c"]'


@pytest.mark.parametrize(
    ("document", "kind", "expected"),
    [
        (["x"], "json", [("x",)]),
        ([7, 3], "json", [("7", "3")]),
        ([], "json", [()]),
        ({"results": [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}, "json", [("2", "0")]),
        ([["a", "b"], ["c"]], "json", [("a", "b"), ("c",)]),
        ({"predictions": [["a", "b"], ["c"]]}, "v1", [("a", "b"), ("c",)]),
        ({"predictions": ["a", "b"]}, "v1", [("a", "b")]),
        ({"outputs": [{"name": "r", "datatype": "INT64", "shape": [2, 2], "data": [3, 1, 1, 3]}]}, "v2", [("3", "1"), ("1", "3")]),
    ],
)
def test_rankings_are_found_in_the_answers_of_servers(document: object, kind: str, expected: list[tuple[str, ...]]) -> None:
    assert [value.ranking for value in extract(document, kind, wanted="ranking").values] == expected


@pytest.mark.parametrize("document", ["a", 3, {"prediction": "a"}, [["a"], "b", None]])
def test_what_is_no_list_of_items_is_no_ranking(document: object) -> None:
    found = extract(document, wanted="ranking")
    assert found.values == ()
    assert found.problem


def test_a_long_ranking_is_compared_by_its_first_hundred_items() -> None:
    (value,) = ranked(*(str(number) for number in range(300)))
    assert value.ranking is not None
    assert len(value.ranking) == 100
