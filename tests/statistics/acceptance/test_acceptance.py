"""Error levels, power and delays over thousands of simulated runs, each with a broken method that must be seen to break."""

import pytest

from tests.statistics.acceptance.list import CASES
from tests.statistics.acceptance.promise import Case, Measured, most

QUICK = [case for case in CASES if case.quick]


def broken(case: Case, *, runs: int) -> list[Measured]:
    """What was not kept."""
    return [one for one in case.measure(runs) if not one.kept]


def test_the_bounds_are_those_of_the_acceptance_list() -> None:
    assert [most(300, 0.05), most(1000, 0.05), most(2000, 0.05), most(3000, 0.05)] == [31, 77, 138, 196]
    assert [most(1000, 0.01), most(2000, 0.01), most(5000, 0.05), most(5000, 0.01), most(5000, 0.001)] == [24, 38, 309, 78, 15]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.id)
def test_a_promise_is_kept_and_a_broken_method_is_seen_in_few_runs(case: Case) -> None:
    assert broken(case, runs=case.quick) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_promise_is_kept_and_a_broken_method_is_seen(case: Case) -> None:
    assert broken(case, runs=case.runs) == []


def test_what_misses_its_bound_is_not_kept() -> None:
    assert [Measured(setting="most", found=found, bound=3).kept for found in (3, 4)] == [True, False]
    assert [Measured(setting="least", found=found, bound=3, at_least=True).kept for found in (2, 3)] == [False, True]
