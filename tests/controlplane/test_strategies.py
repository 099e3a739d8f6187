"""Recipes: what a person asks for becomes steps, or a sentence that says what is wrong."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.controlplane.compiler import compile_route
from modelctl.controlplane.strategies import STRATEGIES, percent, plan, recipe_for
from modelctl.errors import InvalidInput
from modelctl.rollout import Step
from modelctl.store.catalog import RouteEntry
from modelctl.traffic import ALL, Role
from tests.controlplane.scene import AT, rollout


def steps_of(strategy: str, *candidates: str, **parameters: object) -> tuple[Step, ...]:
    return plan(recipe_for(strategy, parameters), "a", candidates=candidates)


def shares(step: Step) -> dict[str, tuple[int, int]]:
    return {arm.backend: (arm.answers, arm.shown) for arm in step.arms}


def test_a_canary_gives_the_candidate_its_share_and_the_baseline_the_rest() -> None:
    assert [shares(step) for step in steps_of("canary", "b", percent_bp=500)] == [{"a": (9500, 0), "b": (500, 0)}]


def test_a_canary_with_steps_climbs_them_and_a_first_step_equal_to_the_percent_is_not_doubled() -> None:
    climbed = steps_of("canary", "b", percent_bp=500, steps_bp=[2500, 10_000])
    assert [shares(step)["b"][0] for step in climbed] == [500, 2500, 10_000]
    assert climbed == steps_of("canary", "b", percent_bp=500, steps_bp=[500, 2500, 10_000])


def test_a_canary_can_be_shown_what_the_baseline_answers_at_every_step() -> None:
    climbed = steps_of("canary", "b", percent_bp=500, steps_bp=[2500], shadow_bp=2000)
    assert [shares(step)["b"] for step in climbed] == [(500, 2000), (2500, 2000)]


def test_a_shadow_answers_nothing_and_every_candidate_is_shown_its_share() -> None:
    (step,) = steps_of("shadow", "b", "c", percent_bp=2000, max_inflight=8)
    assert shares(step) == {"a": (ALL, 0), "b": (0, 2000), "c": (0, 2000)}
    assert {arm.max_inflight for arm in step.arms if arm.role is Role.CANDIDATE} == {8}


def test_a_shadow_without_a_percent_is_shown_everything() -> None:
    assert shares(steps_of("shadow", "b")[0])["b"] == (0, ALL)


def test_green_is_only_reachable_at_the_preview_address_until_the_switch_gives_it_everything() -> None:
    preview, switched = steps_of("blue-green", "b")
    assert (preview.title, preview.preview, shares(preview)) == ("preview", "b", {"a": (ALL, 0), "b": (0, 0)})
    assert (switched.title, shares(switched)) == ("switched", {"a": (0, 0), "b": (ALL, 0)})


def test_a_canary_holds_where_it_is_told_to_and_bakes_at_every_step() -> None:
    climbed = steps_of("canary", "b", percent_bp=100, steps_bp=[500, 2000], holds_bp=[500], bake_ms=60_000)
    assert [(step.hold, step.bake_ms) for step in climbed] == [(False, 60_000), (True, 60_000), (False, 60_000)]


def test_a_shadow_with_noise_shows_the_baseline_its_share_of_what_the_candidates_are_shown() -> None:
    (step,) = steps_of("shadow", "b", "c", percent_bp=2000, noise_bp=500, max_inflight=8)
    noise = step.arms[-1]
    assert (noise.backend, noise.role, noise.answers, noise.shown, noise.max_inflight) == ("a", Role.NOISE, 0, 500, 8)
    assert [arm.backend for arm in step.arms] == ["a", "b", "c", "a"]
    assert steps_of("shadow", "b")[0].arms == steps_of("shadow", "b", noise_bp=0)[0].arms


def test_green_can_be_judged_against_blue_before_the_switch() -> None:
    preview, switched = steps_of("blue-green", "b", percent_bp=500, shadow_bp=2000, bake_ms=1000)
    assert (preview.title, shares(preview)) == ("preview, 5% to b, 20% shown", {"a": (9500, 0), "b": (500, 2000)})
    assert (switched.title, shares(switched)) == ("switched", {"a": (0, 0), "b": (ALL, 0)})
    assert {(step.preview, step.bake_ms) for step in (preview, switched)} == {("b", 1000)}
    assert steps_of("blue-green", "b", shadow_bp=ALL)[0].title == "preview, 100% shown"


@pytest.mark.parametrize(
    ("strategy", "parameters", "words"),
    [
        ("canary", {"percent_bp": 100, "steps_bp": [500, 2000], "holds_bp": [500]}, "b --percent 1% --steps 5%!,20%"),
        ("canary", {"percent_bp": 100, "holds_bp": [100], "bake_ms": 5}, "b --percent 1% --steps 1%! --bake 5ms"),
        ("canary", {"percent_bp": 100, "shadow_bp": 2000}, "b --percent 1% --shadow-percent 20%"),
        ("shadow", {"noise_bp": 500}, "b --percent 100% --noise-control 5%"),
        ("blue-green", {}, "b"),
        ("blue-green", {"percent_bp": 500, "shadow_bp": 100}, "b --percent 5% --shadow-percent 1%"),
        ("ab", {"shares_bp": {"a": 5000, "b": 5000}}, "a=50% b=50%"),
    ],
)
def test_what_was_asked_for_can_be_said_as_a_command(strategy: str, parameters: dict[str, object], words: str) -> None:
    assert recipe_for(strategy, parameters).command(("b",)) == words


def test_an_ab_test_gives_every_arm_its_share() -> None:
    (step,) = steps_of("ab", "b", "c", shares_bp={"a": 5000, "b": 3000, "c": 2000})
    assert shares(step) == {"a": (5000, 0), "b": (3000, 0), "c": (2000, 0)}


def test_an_ab_test_names_its_backends_itself() -> None:
    assert recipe_for("ab", {"shares_bp": {"a": 5000, "b": 5000}}).named == ("a", "b")
    assert recipe_for("canary", {"percent_bp": 1}).named == ()


@pytest.mark.parametrize(
    ("strategy", "parameters", "sentence"),
    [
        ("canary", {"percent_bp": 0}, "from 1 to 10000"),
        ("canary", {"percent_bp": 10_001}, "from 1 to 10000"),
        ("canary", {}, "percent_bp"),
        ("canary", {"percent_bp": "5"}, "Expected `int`"),
        ("canary", {"percent_bp": 500, "steps_bp": [400]}, "5% -> 4% does not"),
        ("canary", {"percent_bp": 500, "steps_bp": [500, 500]}, "must rise"),
        ("canary", {"percent_bp": 500, "shadow_bp": -1}, "shadow_bp must be from 0"),
        ("canary", {"percent_bp": 500, "bake": 1}, "unknown field `bake`"),
        ("shadow", {"percent_bp": 0}, "percent_bp must be from 1"),
        ("blue-green", {"steps_bp": [1]}, "unknown field"),
        ("blue-green", {"percent_bp": 10_000}, "before the switch"),
        ("blue-green", {"percent_bp": -1}, "percent_bp must be from 0"),
        ("blue-green", {"shadow_bp": 10_001}, "shadow_bp must be from 0"),
        ("blue-green", {"bake_ms": -1}, "366 days"),
        ("canary", {"percent_bp": 500, "bake_ms": 366 * 86_400_000 + 1}, "366 days"),
        ("canary", {"percent_bp": 500, "holds_bp": [400]}, "names 4%, which is no step of this canary; its steps are 5%"),
        ("shadow", {"noise_bp": 10_001}, "noise_bp must be from 0"),
        ("shadow", {"noise_bp": -1}, "noise_bp must be from 0"),
        ("ab", {"shares_bp": {"a": 10_000}}, "at least two arms"),
        ("ab", {"shares_bp": {"a": 5000, "b": 4000}}, "add up to 100%, not 90%"),
        ("ab", {"shares_bp": {"a": 10_000, "b": 0}}, "from 1 to 10000"),
        ("ab", {"shares_bp": {"A!": 5000, "b": 5000}}, "no name for a backend"),
        ("red-black", {}, "there are canary, shadow, blue-green, ab"),
    ],
)
def test_wrong_parameters_are_refused_with_the_reason(strategy: str, parameters: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(sentence)):
        recipe_for(strategy, parameters)


@pytest.mark.parametrize(
    ("strategy", "candidates", "parameters", "sentence"),
    [
        ("canary", (), {"percent_bp": 1}, "at least one candidate"),
        ("canary", ("a",), {"percent_bp": 1}, "cannot be compared with itself"),
        ("canary", ("b", "c"), {"percent_bp": 1}, "exactly one candidate, not 2"),
        ("blue-green", ("b", "c"), {}, "exactly one candidate"),
        ("shadow", ("b", "b"), {}, "must be different backends"),
        ("ab", ("b",), {"shares_bp": {"c": 5000, "b": 5000}}, "the baseline 'a' must be one of the arms"),
        ("ab", ("c",), {"shares_bp": {"a": 5000, "b": 5000}}, "are not the arms that have shares"),
        ("shadow", ("b",), {"max_inflight": 0}, "max_inflight of arm 'b'"),
    ],
)
def test_wrong_arms_are_refused_with_the_reason(
    strategy: str, candidates: tuple[str, ...], parameters: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(sentence)):
        steps_of(strategy, *candidates, **parameters)


@pytest.mark.parametrize(("share", "text"), [(500, "5%"), (1, "0.01%"), (10_000, "100%"), (1250, "12.5%")])
def test_a_share_is_written_as_people_write_it(share: int, text: str) -> None:
    assert percent(share) == text


any_share = st.integers(1, ALL)
ladders = st.lists(any_share, min_size=1, max_size=6, unique=True).map(sorted)


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, tuple[str, ...], dict[str, object]]:
    """A strategy with parameters it takes."""
    name = draw(st.sampled_from(sorted(STRATEGIES)))
    if name == "canary":
        first, *rest = draw(ladders)
        holds = draw(st.lists(st.sampled_from([first, *rest])))
        return name, ("b",), {"percent_bp": first, "steps_bp": rest, "holds_bp": holds, "shadow_bp": draw(st.integers(0, ALL))}
    if name == "shadow":
        noise = draw(st.integers(0, ALL))
        return name, ("b", "c"), {"percent_bp": draw(any_share), "noise_bp": noise, "max_inflight": draw(st.integers(1, 1000))}
    if name == "ab":
        cut, other = sorted(draw(st.lists(st.integers(1, ALL - 1), min_size=2, max_size=2, unique=True)))
        return name, ("b", "c"), {"shares_bp": {"a": cut, "b": other - cut, "c": ALL - other}}
    return name, ("b",), {"percent_bp": draw(st.integers(0, ALL - 1)), "shadow_bp": draw(st.integers(0, ALL))}


@given(asked())
def test_every_step_of_every_strategy_makes_a_route_a_router_accepts(
    wanted: tuple[str, tuple[str, ...], dict[str, object]],
) -> None:
    name, candidates, parameters = wanted
    entry = RouteEntry(name="fraud", baseline="a", created_at=AT)
    started = rollout(name, parameters, candidates=candidates)
    for number, step in enumerate(started.steps):
        route = compile_route(entry, msgspec.structs.replace(started, step=number))
        assert route.arms == step.arms
        assert route.baseline.backend == "a"
        assert sum(arm.answers for arm in step.arms) == ALL
