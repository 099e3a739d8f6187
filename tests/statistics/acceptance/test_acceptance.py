"""Error levels, power and delays over thousands of simulated runs, each with a broken method that must be seen to break."""

import re
from pathlib import Path

import pytest

from tests.statistics.acceptance.__main__ import lines
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


def test_a_line_of_the_table_has_the_promise_with_its_control() -> None:
    promise = Measured(setting="watched", found=40, bound=77, runs=1000, nominal="0.05")
    broken_one = Measured(setting="naive", found=900, bound=700, at_least=True, runs=1000, control=True)
    control = "naive: 900 of 1,000 (90.0%), ≥ 700"
    assert list(lines([promise, broken_one])) == [f"| watched | 0.05 | 40 of 1,000 (4.0%) | ≤ 77 | {control} |"]
    assert list(lines([broken_one])) == [f"| the harness sees a broken method | | | | {control} |"]
    missed = Measured(setting="delay", found=12_000, bound=6_000)
    assert list(lines([missed])) == ["| delay |  | 12,000 | ≤ 6,000 **missed** |  |"]


def test_the_documentation_has_what_was_measured_for_every_promise() -> None:
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text()
    table = page.split("\n## Measured false alarms and delays\n")[1]
    assert {case.id for case in CASES} | {"A24"} <= set(re.findall(r"^\| (A\d+) \|", table, re.MULTILINE))
    assert "missed**" not in table
