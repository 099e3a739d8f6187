"""The noise arm: a second copy for the baseline of a share of what every candidate is shown, and nobody else moves for it."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from modelctl.errors import InvalidInput
from modelctl.traffic import ALL, Arm, Role, Route, Split

SALT = "5ca1ab1e0ddba11c0ffee0123456789a"
UNITS = [f"user-{number}".encode() for number in range(40_000)]

salts = st.binary(min_size=16, max_size=16).map(bytes.hex)
units = st.binary(max_size=64)
some = st.integers(1, ALL)


def route(seen: Sequence[int], noise: int, *, salt: str = SALT, answers: int = 0) -> Route:
    """Baseline `a`, and a candidate that is shown each share of `seen`; the last one answers `answers`."""
    shares = [0] * (len(seen) - 1) + [answers]
    candidates = [
        Arm(backend=f"c{number}", role=Role.CANDIDATE, answers=shares[number], shown=share) for number, share in enumerate(seen)
    ]
    copy = (Arm(backend="a", role=Role.NOISE, shown=noise),) if noise else ()
    return Route(name="r", arms=(Arm(backend="a", role=Role.BASELINE, answers=ALL - answers), *candidates, *copy), salt=salt)


def shown(split: Split, unit: bytes) -> list[str]:
    return [arm.backend for arm in split.assignments[split.index(unit)].shown]


def answering(split: Split, unit: bytes) -> str:
    return split.assignments[split.index(unit)].arm.backend


@given(salts, units, st.lists(some, min_size=1, max_size=4), some, st.integers(0, ALL))
def test_who_is_in_the_noise_is_shown_to_every_candidate(salt: str, unit: bytes, seen: list[int], noise: int, answers: int) -> None:
    split = Split(route(seen, noise, salt=salt, answers=answers))
    copies = shown(split, unit)
    assert "a" not in copies or {f"c{number}" for number in range(len(seen))} < set(copies)
    assert "a" not in copies or answering(split, unit) == "a"
    assert all(0 <= split.index(other) < len(split.assignments) for other in UNITS[:20])


@given(salts, st.lists(some, min_size=1, max_size=3), some, st.integers(0, ALL))
def test_a_noise_arm_moves_nobody_else(salt: str, seen: list[int], noise: int, answers: int) -> None:
    without, with_it = (Split(route(seen, share, salt=salt, answers=answers)) for share in (0, noise))
    for unit in UNITS[:150]:
        assert answering(without, unit) == answering(with_it, unit)
        assert set(shown(without, unit)) == set(shown(with_it, unit)) - {"a"}


@given(salts, some, some, some)
def test_raising_the_noise_takes_no_request_away(salt: str, seen: int, one: int, other: int) -> None:
    low, high = (Split(route((seen,), share, salt=salt)) for share in sorted((one, other)))
    assert all(set(shown(low, unit)) <= set(shown(high, unit)) for unit in UNITS[:200])


@pytest.mark.parametrize(
    ("seen", "noise"), [((ALL,), 500), ((2_000,), 500), ((100,), 5_000), ((5_000, 2_000), 1_000), ((ALL,), ALL)]
)
def test_the_noise_is_its_share_of_what_is_shown(seen: tuple[int, ...], noise: int) -> None:
    split = Split(route(seen, noise))
    copies = [shown(split, unit) for unit in UNITS]
    expected = min(seen) * noise / (ALL * ALL)
    assert binomtest(sum("a" in copy for copy in copies), len(UNITS), expected).pvalue > 0.001
    for number, share in enumerate(seen):
        assert binomtest(sum(f"c{number}" in copy for copy in copies), len(UNITS), share / ALL).pvalue > 0.001


def test_less_than_a_hundredth_of_a_percent_can_be_noise() -> None:
    """5 % of 0.1 % is half a basis point: shares of shares are not rounded."""
    split = Split(route((10,), 5_000))
    noisy = sum("a" in shown(split, unit) for unit in UNITS)
    assert 0 < noisy < sum("c0" in shown(split, unit) for unit in UNITS)


def test_who_is_asked_first_is_an_even_chance_that_depends_on_nothing_else() -> None:
    split = Split(route((5_000,), 5_000, answers=3_000))
    first = [copy[0] == "a" for unit in UNITS if "a" in (copy := shown(split, unit))]
    assert len(first) > 6_000
    assert binomtest(sum(first), len(first), 0.5).pvalue > 0.001
    repeats = sum(one == other for one, other in itertools.pairwise(first))
    assert binomtest(repeats, len(first) - 1, 0.5).pvalue > 0.001


@given(salts, units, some)
def test_the_same_unit_gets_the_same_order(salt: str, unit: bytes, noise: int) -> None:
    made = route((ALL,), noise, salt=salt)
    assert shown(Split(made), unit) == shown(Split(made), unit)


BASELINE = Arm(backend="a", role=Role.BASELINE, answers=ALL)
SHOWN = Arm(backend="b", role=Role.CANDIDATE, shown=500)


@pytest.mark.parametrize(
    ("arms", "why"),
    [
        ((BASELINE, SHOWN, Arm(backend="b", role=Role.NOISE, shown=500)), "one more copy for its baseline"),
        ((BASELINE, SHOWN, Arm(backend="a", role=Role.NOISE)), "one more copy"),
        ((BASELINE, SHOWN, *[Arm(backend="a", role=Role.NOISE, shown=5)] * 2), "one more copy"),
        ((BASELINE, Arm(backend="b", role=Role.CANDIDATE), Arm(backend="a", role=Role.NOISE, shown=5)), "nothing to compare"),
        ((BASELINE, SHOWN, Arm(backend="a", role=Role.CANDIDATE, shown=5)), "one backend in two arms"),
    ],
)
def test_a_noise_arm_that_would_measure_no_noise_is_refused(arms: tuple[Arm, ...], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        Route(name="r", arms=arms)
