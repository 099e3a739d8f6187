"""Sticky units: what was assigned is the unit, so units are counted and the delta method has their sums."""

import math
import random
import re

import pytest

from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.judging import missing_for
from modelctl.controlplane.judgement.outlook import NEW_UNITS
from modelctl.latency import bucket_index
from modelctl.statistics import arm_given_event, clusters, difference_exact
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.clusters import ClusterStage, summarise
from modelctl.statistics.difference import Proportion, ProportionStage
from modelctl.store.summing import Sum
from tests.controlplane.judged import SHADOW, gated, judged, pairs, rows_of
from tests.controlplane.scene import counts, rollout, served

STICKY = "header:x-user"
HALF = rollout("canary", {"percent_bp": 5000})
RAMP = rollout("canary", {"percent_bp": 1000, "steps_bp": [5000]})
Users = list[tuple[float, float]]


def users(n: int, rate: float, *, seed: int) -> Users:
    """Failures and requests of each user; some users fail nearly always."""
    chance = random.Random(seed)
    found: Users = []
    for _ in range(n):
        requests, own = chance.randint(1, 40), chance.betavariate(rate * 2, (1 - rate) * 2)
        found.append((float(sum(chance.random() < own for _ in range(requests))), float(requests)))
    return found


def sums_of(arm: str, metric: str, found: Users, *, stage: int = 1, pivot: float = 0.0) -> list[Sum]:
    whole = summarise(found, pivot=pivot)
    return [
        Sum(stage, arm, f"unit:{metric}", "", whole.units, int(whole.n), whole.s, whole.ss, whole.sn),
        Sum(stage, arm, f"unit:{metric}", "size", whole.units, 0, 0.0, whole.nn, 0.0),
        Sum(stage, arm, "first_unit", "", whole.units),
    ]


def row(gate: str, sums: list[Sum], *, ladder: object = HALF, pivots: dict[str, float] | None = None) -> Row:
    return rows_of(gated(ladder, gate, unit=STICKY), sums, pivots=pivots)[0]  # type: ignore[arg-type]


A, B = users(600, 0.1, seed=1), users(600, 0.1, seed=2)


def test_a_difference_is_of_ratios_over_units_and_wider_than_that_of_requests() -> None:
    sums = [*sums_of("a", "error", A), *sums_of("b", "error", B)]
    found = row("error_rate:guardrail:margin=5pt", sums)
    expected = clusters.compare([ClusterStage(summarise(A), summarise(B))], tau=0.05, alpha=0.05)
    assert found.upper == pytest.approx(expected.upper)
    assert (found.n, found.counts) == (1200, "units")
    failures, requests = ([int(sum(user[place] for user in arm)) for arm in (A, B)] for place in (0, 1))
    iid = rows_of(
        gated(HALF, "error_rate:guardrail:margin=5pt"),
        [*served("a", requests[0], failures[0]), *served("b", requests[1], failures[1])],
    )[0]
    assert found.upper is not None
    assert iid.upper is not None
    assert found.upper - (found.estimate or 0) > 2 * (iid.upper - (iid.estimate or 0))


def test_the_errors_of_stages_that_share_their_users_add_up() -> None:
    sums = [
        *sums_of("a", "error", A),
        *sums_of("b", "error", B),
        *sums_of("a", "error", A, stage=2),
        *sums_of("b", "error", B, stage=2),
    ]
    once, twice = row("error_rate:guardrail:margin=5pt", sums[:6]), row("error_rate:guardrail:margin=5pt", sums, ladder=RAMP)
    assert twice.upper == pytest.approx(once.upper), "the same users again are no new evidence"


def test_a_relative_margin_counts_the_first_failure_of_each_user() -> None:
    sums = [
        *counts("a", "first_error", {"": 40}),
        *counts("b", "first_error", {"": 60}),
        *counts("b", "first_error", {"": 5}, stage=2),
    ]
    found = row("error_rate:guardrail:margin=20%", [*sums, *served("a", 5_000, 4_000)], ladder=RAMP)
    expected = arm_given_event.compare([EventStage(60, 100, 0.1), EventStage(5, 5, 0.5)], alpha=0.05)
    assert (found.lower, found.counts, found.n) == (expected.lower, "first events", 105)


def test_a_relative_margin_without_first_events_is_a_contrast_of_ratios() -> None:
    found = row("accuracy:guardrail:margin=30%,design=split", [*sums_of("a", "accuracy", A), *sums_of("b", "accuracy", B)])
    assert (found.method, found.unit, found.margin_unit) == ("contrast", "share", "relative")
    a, b = summarise(A).ratio, summarise(B).ratio
    assert a is not None
    assert b is not None
    assert found.estimate == pytest.approx(b / a - 1)


def test_means_about_a_pivot_are_means_and_a_contrast_keeps_the_pivot() -> None:
    values = [[(total + 50 * rows, rows) for total, rows in arm] for arm in (A, B)]
    sums = [*sums_of("a", "number", values[0], pivot=50.0), *sums_of("b", "number", values[1], pivot=50.0)]
    found = row("prediction:equivalence:margin=5%,design=split", sums, pivots={"number": 50.0})
    a, b = (summarise(arm).ratio for arm in values)
    assert a is not None
    assert b is not None
    assert found.estimate == pytest.approx(b / a - 1, rel=1e-6)
    assert found.finding == "equivalent"
    assert found.upper is not None
    assert 0 < found.upper < 0.05


def test_a_limit_is_the_ratio_over_the_candidates_units() -> None:
    found = row("error_rate:guardrail:limit=30%", sums_of("b", "error", B))
    assert found.finding in ("not-worse", "worse-within-margin")
    assert found.estimate == pytest.approx(summarise(B).ratio)
    assert found.counts == "units"


SLOW = f"slow:{bucket_index(250_000.0)}"


def test_slow_answers_are_judged_by_unit_behind_the_gates_own_line() -> None:
    found = row("slow_rate:guardrail:margin=5pt,slower=250ms", [*sums_of("a", SLOW, A), *sums_of("b", SLOW, B)])
    expected = clusters.compare([ClusterStage(summarise(A), summarise(B))], tau=0.05, alpha=0.05)
    assert found.upper == pytest.approx(expected.upper)
    other = row("slow_rate:guardrail:margin=5pt,slower=300ms", [*sums_of("a", SLOW, A), *sums_of("b", SLOW, B)])
    assert other.finding == "no-data", "another gate's line is not this one's"
    ratio = row("slow_rate:guardrail:margin=20%,slower=250ms", [*counts("a", f"first_{SLOW}", {"": 40}), *served("a", 99, 9)])
    assert ratio.counts == "first events"


def test_users_who_were_all_spared_exclude_a_higher_rate() -> None:
    spared = [(0.0, 3.0)] * 600
    sums = [*sums_of("a", "error", spared), *sums_of("b", "error", spared)]
    found = row("error_rate:guardrail:margin=2pt", sums)
    expected = difference_exact.compare([ProportionStage(Proportion(600, 0), Proportion(600, 0))], alpha=0.05)
    assert found.upper == pytest.approx(expected.upper)
    assert found.method == "coin-box"
    assert found.finding == "not-worse"
    assert not missing_for(judged(gated(HALF, "error_rate:guardrail:margin=2pt", unit=STICKY), sums), 10_000)
    limit = row("error_rate:guardrail:limit=2%", sums)
    assert limit.upper is not None
    assert 0 < limit.upper < 0.02
    touched = row(
        "error_rate:guardrail:margin=2pt", [*sums_of("a", "error", [*spared, (1.0, 3.0)]), *sums_of("b", "error", spared)]
    )
    assert touched.method == "normal-mixture"


def test_a_sticky_rollout_is_promoted_and_rolled_back_on_its_units() -> None:
    of = gated(HALF, "error_rate:guardrail:margin=10pt", unit=STICKY)
    assert judged(of, [*sums_of("a", "error", A), *sums_of("b", "error", B)]).word == "continue", "600 users are below min_n"
    many = [*sums_of("a", "error", A * 3), *sums_of("b", "error", B * 3)]
    assert judged(of, many).word == "promote"
    worse = [*sums_of("a", "error", A * 3), *sums_of("b", "error", users(1_800, 0.4, seed=3))]
    assert judged(of, worse).word == "rollback"
    assert math.isclose(judged(of, many).n, 1_800)


def test_without_gates_as_well_the_failures_of_one_unit_are_one() -> None:
    of = gated(HALF, unit=STICKY)
    seen = [Sum(1, arm, "first_unit", "", 1_000) for arm in "ab"]
    sums = [*served("a", 10_000, 100), *served("b", 10_000, 900), *seen]
    assert judged(of, sums).word == "continue", "one user may have had all of them"
    first = [*counts("a", "first_error", {"": 10}), *counts("b", "first_error", {"": 60})]
    found = judged(of, [*sums, *first])
    assert found.word == "rollback"
    assert "(70 failures seen)" in found.sentence


def test_an_open_gate_on_units_says_why_it_has_no_forecast_and_one_on_pairs_has_its_forecast() -> None:
    few = [*sums_of("a", "error", A[:200]), *sums_of("b", "error", B[:200]), *served("a", 900, 90), *served("b", 900, 90)]
    split = row("error_rate:guardrail:margin=1pt", few)
    assert (split.finding, split.forecast) == ("open", NEW_UNITS)
    shadow = [*pairs(2, 2, 96), *served("a", 100, 2)]
    paired = row("error_rate:guardrail:margin=1pt", shadow, ladder=SHADOW)
    assert paired.finding == "open"
    assert re.fullmatch(r"About [0-9,]+ more requests \(.*", paired.forecast)
