"""The decision for one request: the same everywhere, in its shares, and moving only whom it must."""

import json
import re
import subprocess
import sys
from collections import Counter
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from modelctl.traffic import ALL, Arm, Reason, Role, Route, Split, assign

SALT = "5ca1ab1e0ddba11c0ffee0123456789a"
UNITS = [f"user-{number}".encode() for number in range(20_000)]

salts = st.binary(min_size=16, max_size=16).map(bytes.hex)
units = st.binary(max_size=64)
shares = st.integers(0, ALL)


def route(*answers: int, shown: tuple[int, ...] = (), salt: str = SALT) -> Route:
    """Baseline `a`, and one candidate for each of `answers`: `b`, `c` and so on, shown their share of `shown`."""
    seen = (*shown, *[0] * (len(answers) - len(shown)))
    candidates = [
        Arm(backend=chr(ord("b") + number), role=Role.CANDIDATE, answers=share, shown=seen[number])
        for number, share in enumerate(answers)
    ]
    baseline = Arm(backend="a", role=Role.BASELINE, answers=ALL - sum(answers))
    return Route(name="fraud", arms=(baseline, *candidates), salt=salt)


class Points(NamedTuple):
    """Where a unit falls, 0 to 9999, by the rule as it is published."""

    answering: int
    shown: int


def points(salt: str, unit: bytes) -> Points:
    digest = blake2b(unit, digest_size=16, key=bytes.fromhex(salt)).digest()
    return Points(int.from_bytes(digest[:8], "big") * ALL // 2**64, int.from_bytes(digest[8:], "big") * ALL // 2**64)


def answering(split: Split, unit: bytes) -> str:
    return split.assignments[split.index(unit)].arm.backend


def shown(split: Split, unit: bytes) -> set[str]:
    return {arm.backend for arm in split.assignments[split.index(unit)].shown}


def _between(cuts: list[int]) -> list[int]:
    return [high - low for low, high in pairwise([0, *sorted(cuts)])]


splits = st.lists(shares, min_size=1, max_size=4).map(_between)


@given(salts, units, splits, st.lists(shares, max_size=4))
def test_the_decision_is_the_published_rule(salt: str, unit: bytes, answers: list[int], seen: list[int]) -> None:
    made = route(*answers, shown=tuple(seen[: len(answers)]), salt=salt)
    place = points(salt, unit)
    wanted, reached = "a", 0
    for arm in made.arms[1:]:
        reached += arm.answers
        if place.answering < reached:
            wanted = arm.backend
            break
    decided = assign(made, unit)
    assert decided.arm.backend == wanted
    copied = {arm.backend for arm in made.arms if place.shown < arm.shown} if wanted == "a" else set()
    assert {arm.backend for arm in decided.shown} == copied


@given(salts, units, splits, st.lists(shares, max_size=4))
def test_the_same_unit_gets_the_same_decision(salt: str, unit: bytes, answers: list[int], seen: list[int]) -> None:
    made = route(*answers, shown=tuple(seen[: len(answers)]), salt=salt)
    split = Split(made)
    assert assign(made, unit) == assign(made, unit) == split.assignments[split.index(bytes(bytearray(unit)))]


@given(salts, shares, shares)
def test_raising_a_candidates_share_moves_units_only_from_the_baseline_into_it(salt: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    before, after = Split(route(low, salt=salt)), Split(route(high, salt=salt))
    for unit in UNITS[:300]:
        was, now = answering(before, unit), answering(after, unit)
        assert was == now or (was, now) == ("a", "b")


@given(salts, splits, st.data())
def test_raising_the_last_of_several_candidates_moves_nobody_between_the_others(
    salt: str, answers: list[int], data: st.DataObject
) -> None:
    more = data.draw(st.integers(0, ALL - sum(answers)))
    last = chr(ord("a") + len(answers))
    before, after = Split(route(*answers, salt=salt)), Split(route(*answers[:-1], answers[-1] + more, salt=salt))
    for unit in UNITS[:200]:
        was, now = answering(before, unit), answering(after, unit)
        assert was == now or (was, now) == ("a", last)


def test_a_ramp_moves_each_unit_once() -> None:
    ramp = [Split(route(share)) for share in (0, 100, 500, 2_000, 5_000, ALL)]
    for unit in UNITS[:2_000]:
        path = [answering(split, unit) for split in ramp]
        assert path == sorted(path)
        assert (path[0], path[-1]) == ("a", "b")


@pytest.mark.parametrize("answers", [(500,), (1,), (5_000,), (9_999,), (2_500, 2_500, 2_500), (3_333, 100, 17)])
def test_shares_are_hit_within_what_chance_allows(answers: tuple[int, ...]) -> None:
    made = route(*answers)
    split = Split(made)
    counted = Counter(answering(split, unit) for unit in UNITS)
    arms = [arm for arm in made.arms if arm.answers]
    expected = [len(UNITS) * arm.answers / ALL for arm in arms]
    assert sum(counted.values()) == len(UNITS)
    assert set(counted) <= {arm.backend for arm in arms}
    for arm in arms:
        assert binomtest(counted[arm.backend], len(UNITS), arm.answers / ALL).pvalue > 0.001
    if min(expected) >= 5:
        assert chisquare([counted[arm.backend] for arm in arms], expected).pvalue > 0.001


def test_every_hundredth_gets_its_part_of_the_units() -> None:
    split = Split(route(*[100] * 99))
    counted = Counter(answering(split, unit) for unit in UNITS)
    assert len(counted) == 100
    assert chisquare(list(counted.values())).pvalue > 0.001


def test_another_salt_shuffles_the_units_anew() -> None:
    here, there = Split(route(5_000)), Split(route(5_000, salt="0" * 32))
    both = sum(answering(here, unit) == answering(there, unit) for unit in UNITS)
    assert binomtest(both, len(UNITS), 0.5).pvalue > 0.001


@given(salts, units, st.lists(shares, min_size=1, max_size=4))
def test_an_arm_with_a_larger_share_is_shown_whatever_one_with_a_smaller_share_is(salt: str, unit: bytes, seen: list[int]) -> None:
    made = route(*[0] * len(seen), shown=tuple(seen), salt=salt)
    copied = shown(Split(made), unit)
    by_share = sorted(made.arms[1:], key=lambda arm: arm.shown)
    assert all(low.backend not in copied or high.backend in copied for low, high in pairwise(by_share))


@given(salts, shares, shares)
def test_raising_a_shown_share_takes_no_request_away(salt: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    before, after = Split(route(0, shown=(low,), salt=salt)), Split(route(0, shown=(high,), salt=salt))
    assert all(shown(before, unit) <= shown(after, unit) for unit in UNITS[:300])


@given(salts, units, splits, st.lists(shares, max_size=4))
def test_only_requests_that_the_baseline_answers_are_shown(salt: str, unit: bytes, answers: list[int], seen: list[int]) -> None:
    decided = assign(route(*answers, shown=tuple(seen[: len(answers)]), salt=salt), unit)
    assert decided.arm.role is Role.BASELINE or decided.shown == ()
    assert decided.arm not in decided.shown


def test_who_answers_and_who_is_shown_are_drawn_independently() -> None:
    split = Split(route(5_000, shown=(3_000,)))
    stays = [unit for unit in UNITS if answering(split, unit) == "a"]
    copied = sum(shown(split, unit) == {"b"} for unit in stays)
    assert binomtest(len(stays), len(UNITS), 0.5).pvalue > 0.001
    assert binomtest(copied, len(stays), 0.3).pvalue > 0.001


@given(salts, units, splits)
def test_the_probability_of_a_decision_is_the_share_of_the_arm(salt: str, unit: bytes, answers: list[int]) -> None:
    made = route(*answers, salt=salt)
    decided = assign(made, unit)
    assert decided.arm in made.arms
    assert decided.probability == decided.arm.answers > 0
    alone = decided.probability == ALL
    assert decided.reason is (Reason.ONLY if alone else Reason.SPLIT)


@given(salts, splits, st.lists(shares, max_size=4))
def test_every_index_points_at_an_assignment(salt: str, answers: list[int], seen: list[int]) -> None:
    split = Split(route(*answers, shown=tuple(seen[: len(answers)]), salt=salt))
    assert all(0 <= split.index(unit) < len(split.assignments) for unit in UNITS[:100])


class Vector(NamedTuple):
    """One published test vector. `arm` is who answers when one candidate has a share of 5%."""

    salt: str
    unit: str
    answering: int
    shown: int
    arm: str


VECTORS = [Vector(**row) for row in json.loads(Path(__file__).with_name("assignment_vectors.json").read_text(encoding="utf-8"))]
DOCUMENT = (Path(__file__).parents[2] / "docs" / "assignment.md").read_text(encoding="utf-8")


def test_there_are_twelve_vectors_with_both_arms_and_several_salts() -> None:
    assert len(VECTORS) == len({(vector.salt, vector.unit) for vector in VECTORS}) == 12
    assert {vector.arm for vector in VECTORS} == {"baseline", "candidate"}
    assert len({vector.salt for vector in VECTORS}) >= 3


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.unit)
def test_a_vector_follows_from_the_rule_by_hashlib_alone(vector: Vector) -> None:
    place = points(vector.salt, vector.unit.encode())
    assert place == (vector.answering, vector.shown)
    assert vector.arm == ("candidate" if place.answering < 500 else "baseline")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.unit)
def test_a_vector_is_what_a_router_decides(vector: Vector) -> None:
    unit = vector.unit.encode()
    assert assign(route(500, salt=vector.salt), unit).arm.role == vector.arm
    at, above = Split(route(vector.answering, salt=vector.salt)), Split(route(vector.answering + 1, salt=vector.salt))
    assert (answering(at, unit), answering(above, unit)) == ("a", "b")
    at, above = (
        Split(route(0, shown=(vector.shown,), salt=vector.salt)),
        Split(route(0, shown=(vector.shown + 1,), salt=vector.salt)),
    )
    assert (shown(at, unit), shown(above, unit)) == (set(), {"b"})


def test_the_table_in_the_document_is_the_vectors() -> None:
    rows = re.findall(r"^\| `([0-9a-f]{32})` \| `([^`]+)` \| (\d+) \| (\d+) \| (\w+) \|$", DOCUMENT, re.MULTILINE)
    assert [Vector(salt, unit, int(first), int(second), arm) for salt, unit, first, second, arm in rows] == VECTORS


def test_the_ten_lines_in_the_document_print_the_table(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(program.splitlines()) <= 10
    vectors = Path(__file__).with_name("assignment_vectors.json").read_bytes()
    (tmp_path / "assignment_vectors.json").write_bytes(vectors)
    printed = subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    wanted = [f"{vector.unit} {vector.answering} {vector.shown} {vector.arm}" for vector in VECTORS]
    assert printed.splitlines() == wanted
