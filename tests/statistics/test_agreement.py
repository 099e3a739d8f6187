import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics.agreement import Weights, bowker, cohen_kappa, stuart_maxwell
from modelctl.statistics.comparison import State

TABLES = st.integers(1, 5).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, 200), min_size=size, max_size=size), min_size=size, max_size=size)
)
Rows = list[list[int]]


def permuted(table: Rows, order: list[int]) -> Rows:
    return [[table[row][column] for column in order] for row in order]


@given(TABLES, st.sampled_from(Weights))
def test_any_table_gives_numbers_or_a_state_with_a_reason(table: Rows, weights: Weights) -> None:
    found = cohen_kappa(table, weights=weights)
    if found.state is State.OK:
        assert found.kappa is not None
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower <= found.kappa <= found.upper
        assert found.kappa <= 1 + 1e-12
    else:
        assert found.reason
        assert found.kappa is found.se is found.lower is None


@given(TABLES, st.data())
def test_naming_the_labels_in_another_order_changes_nothing(table: Rows, data: st.DataObject) -> None:
    other = permuted(table, data.draw(st.permutations(range(len(table)))))
    there, back = cohen_kappa(table), cohen_kappa(other)
    assert there.state == back.state
    if there.kappa is not None:
        assert back.kappa == pytest.approx(there.kappa, abs=1e-9)
        assert back.se == pytest.approx(there.se, abs=1e-7)
    for test in (stuart_maxwell, bowker):
        one, two = test(table), test(other)
        assert one.df == two.df
        assert one.p == pytest.approx(two.p, abs=1e-7)


def test_naming_ordinal_labels_in_another_order_changes_a_weighted_kappa() -> None:
    table = [[50, 8, 2], [6, 40, 9], [1, 7, 27]]
    there, back = (cohen_kappa(one, weights=Weights.LINEAR).kappa for one in (table, permuted(table, [1, 0, 2])))
    assert there != pytest.approx(back, abs=0.01)


@given(TABLES)
def test_swapping_the_arms_changes_neither_kappa_nor_the_tests(table: Rows) -> None:
    swapped = [list(column) for column in zip(*table, strict=True)]
    assert cohen_kappa(swapped).kappa == pytest.approx(cohen_kappa(table).kappa)
    assert stuart_maxwell(swapped).p == pytest.approx(stuart_maxwell(table).p, abs=1e-7)
    assert bowker(swapped) == bowker(table)


def test_full_agreement_is_kappa_one_without_any_error() -> None:
    found = cohen_kappa([[40, 0], [0, 60]])
    assert found.share == 1.0
    assert found.kappa == pytest.approx(1.0)
    assert found.se == pytest.approx(0.0, abs=1e-9)


def test_one_label_throughout_agrees_fully_and_has_no_kappa() -> None:
    found = cohen_kappa([[0, 0], [0, 3120]])
    assert (found.state, found.share, found.kappa) == (State.DEGENERATE, 1.0, None)
    assert found.reason == "both arms gave one label to all 3,120 pairs"


def test_each_arm_with_its_own_one_label_is_chance() -> None:
    assert cohen_kappa([[0, 50], [0, 0]]).kappa == pytest.approx(0.0)


def test_no_pairs_have_no_agreement() -> None:
    found = cohen_kappa([[0, 0], [0, 0]])
    assert (found.state, found.share) == (State.NO_DATA, None)
    assert stuart_maxwell([[0, 0], [0, 0]]).p == bowker([[0, 0], [0, 0]]).p == 1.0


def test_labels_that_never_move_leave_nothing_to_test() -> None:
    assert stuart_maxwell([[9, 0], [0, 7]]).df == bowker([[9, 0], [0, 7]]).df == 0


def test_a_label_that_nobody_used_costs_no_degree_of_freedom() -> None:
    table = [[50, 8, 2], [16, 40, 9], [5, 7, 27]]
    padded = [[*row, 0] for row in table] + [[0, 0, 0, 0]]
    assert stuart_maxwell(padded).statistic == pytest.approx(stuart_maxwell(table).statistic)
    assert (stuart_maxwell(padded).df, bowker(padded)) == (2, bowker(table))


def test_for_two_labels_both_tests_are_mcnemars() -> None:
    table = [[900, 15], [5, 80]]
    assert stuart_maxwell(table).statistic == pytest.approx(5.0)
    assert bowker(table).statistic == pytest.approx(5.0)


@pytest.mark.parametrize("table", [[[1, 2]], [[1, -2], [3, 4]]])
def test_what_is_no_table_of_labels_is_refused(table: Rows) -> None:
    with pytest.raises(InvalidInput, match="square"):
        cohen_kappa(table)
