"""The rules that every file of the project keeps. `tests/architecture` holds the rules and shows that each one bites."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.architecture import budgets, layers, words
from tests.architecture.sources import Source, read_sources

ROOT = Path(__file__).parent.parent
Rule = Callable[[Sequence[Source]], list[str]]


@pytest.fixture(scope="module")
def program() -> tuple[Source, ...]:
    """Every file of modelctl."""
    return read_sources(ROOT / "modelctl")


@pytest.fixture(scope="module")
def tests() -> tuple[Source, ...]:
    """Every file of the tests."""
    return read_sources(ROOT / "tests")


def kept(rule: Rule, sources: Sequence[Source]) -> None:
    """Fails with every fault that `rule` finds."""
    assert len(sources) > 20, "the sources were not found"
    faults = rule(sources)
    if faults:
        pytest.fail(f"{len(faults)} faults:\n" + "\n".join(faults), pytrace=False)


def test_every_file_stands_in_a_part_of_the_design(program: tuple[Source, ...]) -> None:
    kept(layers.unknown_parts, program)


def test_a_part_imports_only_what_stands_to_its_right(program: tuple[Source, ...]) -> None:
    kept(layers.forbidden_imports, program)


def test_a_folder_of_the_control_plane_imports_only_what_comes_before_it(program: tuple[Source, ...]) -> None:
    kept(layers.backward_imports, program)


def test_a_part_uses_only_its_own_third_party_packages(program: tuple[Source, ...]) -> None:
    kept(layers.forbidden_packages, program)


def test_no_modules_import_each_other(program: tuple[Source, ...]) -> None:
    kept(layers.cycles, program)


def test_imports_stand_at_the_top_of_their_file(program: tuple[Source, ...]) -> None:
    kept(layers.lazy_imports, program)


def test_nouns_kinds_and_statistics_touch_nothing_outside(program: tuple[Source, ...]) -> None:
    kept(layers.impurities, program)


def test_files_are_short(program: tuple[Source, ...]) -> None:
    kept(budgets.long_files, program)


def test_functions_are_short(program: tuple[Source, ...]) -> None:
    kept(budgets.long_functions, program)


def test_the_median_file_and_function_are_short(program: tuple[Source, ...]) -> None:
    kept(budgets.long_on_the_whole, program)


def test_functions_have_few_parameters(program: tuple[Source, ...]) -> None:
    kept(budgets.crowded_functions, program)


def test_parameters_after_the_first_two_are_keyword_only(program: tuple[Source, ...]) -> None:
    kept(budgets.positional_functions, program)


def test_every_exception_to_the_rule_on_parameters_is_needed(program: tuple[Source, ...]) -> None:
    kept(budgets.idle_exceptions, program)


def test_every_function_says_what_it_returns(program: tuple[Source, ...]) -> None:
    kept(budgets.unannotated_returns, program)


def test_modules_and_classes_are_named_after_what_they_are(program: tuple[Source, ...]) -> None:
    kept(words.empty_names, program)


def test_nothing_is_left_to_be_done(program: tuple[Source, ...], tests: tuple[Source, ...]) -> None:
    kept(words.unfinished, [*program, *tests])


def test_tests_replace_nothing_of_the_program_and_all_run(tests: tuple[Source, ...]) -> None:
    kept(words.doubtful_tests, tests)


def test_every_error_stands_in_the_drawn_tree_and_has_a_code_of_its_own(program: tuple[Source, ...]) -> None:
    kept(words.misdrawn_errors, program)


def test_the_declared_dependencies_are_the_used_ones(program: tuple[Source, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["parquet"]]
    declared = {re.split(r"[^a-z0-9-]", text)[0].replace("-", "_") for text in texts}
    opentelemetry = {text.partition("-")[0] for text in project["optional-dependencies"]["otel"]}
    assert {package for source in program for _, package in layers.packages(source)} == declared | opentelemetry


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("modelctl.router.__main__", "alembic sqlalchemy numpy scipy starlette httpx typer click rich uvicorn opentelemetry"),
        ("modelctl.supervisor.__main__", "alembic sqlalchemy numpy scipy starlette httpx typer click rich uvicorn httptools"),
        ("modelctl.recorder.__main__", "scipy starlette httpx typer click rich uvicorn httptools opentelemetry"),
        ("modelctl.cli", "alembic sqlalchemy numpy scipy starlette uvicorn httptools uvloop pyarrow"),
    ],
)
def test_a_process_loads_only_what_it_works_with(module: str, absent: str) -> None:
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True).stdout)
    assert module in loaded
    assert sorted(set(absent.split()) & set(loaded)) == []
