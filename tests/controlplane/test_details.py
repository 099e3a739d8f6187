"""What a report explains beyond the verdict: noise, places, mix of labels, late labels, and the numbers for one look."""

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import Engine

from modelctl.controlplane.judgement.companion import Companion
from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.report.content import Report, write_report
from modelctl.controlplane.report.details import Details, details, explained
from modelctl.controlplane.report.gathering import findings
from modelctl.controlplane.report.label_mix import LabelMix
from modelctl.controlplane.report.markdown import markdown
from modelctl.controlplane.report.noise_floor import NoiseFloor
from modelctl.evidence import Answer
from modelctl.statistics.difference import Proportion
from modelctl.statistics.proportions import newcombe, pooled_z
from modelctl.statistics.score_interval import miettinen_nurminen
from modelctl.store.summing import Sum
from tests.controlplane.folded import evidence as folded
from tests.controlplane.folded import said, stream
from tests.controlplane.judged import FIVE_PERCENT, NOW, SHADOW, evidence, gated, pairs
from tests.controlplane.scene import AT, counts, populate, rollout, served, start, store_sums

RAMP = rollout("canary", {"percent_bp": 500, "steps_bp": [5_000]})


def noise(raw: int, copy: int, both: int, neither: int) -> list[Sum]:
    return counts("b", "noise", {"raw": raw, "noise": copy, "both": both, "neither": neither})


def places(**by_path: tuple[int, int, int]) -> list[Sum]:
    kinds = ("raw", "noise", "both")
    keyed = {f'["{path}","{kind}"]': n for path, found in by_path.items() for kind, n in zip(kinds, found, strict=True)}
    return counts("b", "noise_field", keyed)


def floor_of(*sums: Sum) -> NoiseFloor:
    (found,) = details(evidence(SHADOW, sums)).noise
    return found


def test_a_candidate_that_differs_more_than_the_baseline_from_itself_is_said_to() -> None:
    found = floor_of(*noise(200, 40, 10, 1_750))
    assert (found.n, found.raw, found.noise, found.both) == (2_000, 210, 50, 10)
    assert found.excess.estimate == pytest.approx(0.08)
    assert found.excess.lower is not None
    assert 0 < found.excess.lower < 0.08
    assert found.measure.estimate == pytest.approx(200 / 240)
    assert (found.measure.log10_e or 0) > 3
    assert found.relative_percent == pytest.approx(100 * 160 / 260)
    assert found.absolute_percent == pytest.approx(100 * 160 / 2_000)
    assert "more than noise, by" in found.sentence


def test_noise_that_explains_the_candidate_is_said_to() -> None:
    assert "not proven to be more than noise" in floor_of(*noise(30, 25, 5, 940)).sentence
    assert "no more often than the baseline does from itself" in floor_of(*noise(25, 30, 5, 940)).sentence


def test_a_baseline_that_differs_from_itself_more_than_the_candidate_does_is_the_thing_to_look_into() -> None:
    found = floor_of(*noise(10, 200, 5, 785))
    assert "the baseline disagrees with itself more than the candidate does" in found.sentence
    assert "nor for it" in found.sentence


def test_places_with_more_than_noise_are_flagged_and_noisy_ones_proposed_for_exclusion() -> None:
    found = floor_of(*noise(100, 100, 0, 9_800), *places(score=(150, 10, 5), id=(20, 25, 9_900), name=(6, 5, 0)))
    assert [(one.path, one.flagged, one.exclude) for one in found.fields] == [
        ("score", True, False),
        ("name", False, False),
        ("id", False, True),
    ]
    assert (found.excluded, found.places, found.flagged) == (("id",), 3, 1)
    assert "consider leaving it out" in found.fields[2].sentence


def test_places_beyond_the_limit_are_in_no_noise_floor() -> None:
    found = floor_of(*noise(1, 1, 0, 98), *places(**{"…": (90, 90, 90), "a": (1, 0, 0)}))
    assert [one.path for one in found.fields] == ["a"]


def test_places_are_counted_by_how_they_differ_the_most_different_first() -> None:
    keyed = {'["a","equal"]': 90, '["a","value"]': 10, '["b","equal"]': 100}
    keyed |= {'["c","equal"]': 40, '["c","missing"]': 50, '["c","type"]': 10}
    (table,) = details(evidence(SHADOW, counts("b", "field", keyed))).fields
    assert [(one.path, one.equal, one.value, one.type, one.missing, one.extra) for one in table.first] == [
        ("c", 40, 0, 10, 50, 0),
        ("a", 90, 10, 0, 0, 0),
        ("b", 100, 0, 0, 0, 0),
    ]
    assert table.paths == 3
    assert table.differing == 2
    assert table.n == 100
    assert table.equal == pytest.approx(230 / 300)
    worst = table.first[0].measure
    assert worst is not None
    assert worst.estimate == pytest.approx(0.4)
    assert worst.lower is not None
    assert worst.lower < 0.4
    assert "most often c, equal in 40% of 100 pairs" in table.sentence


def mix_of(of: Evidence) -> LabelMix:
    (found,) = details(of).labels
    return found


def test_the_mix_of_split_labels_has_distances_tests_and_evidence_at_any_look() -> None:
    sums = [*served("a", 9_500, 0), *served("b", 500, 0)]
    labels = [*counts("a", "label", {"no": 9_000, "yes": 500}), *counts("b", "label", {"no": 400, "yes": 100})]
    found = mix_of(evidence(FIVE_PERCENT, [*sums, *labels]))
    assert (found.design, found.n_baseline, found.n_candidate) == ("split", 9_500, 500)
    assert found.estimate == pytest.approx(0.2 - 500 / 9_500)
    assert found.expected_psi == pytest.approx(1 / 9_500 + 1 / 500)
    assert (found.psi or 0) > 10 * (found.expected_psi or 0)
    assert [test.name for test in found.tests] == ["chi-square", "G"]
    assert max(test.p for test in found.tests) < 1e-10
    assert (found.log10_e or 0) > 3
    assert (found.cramers_v or 0) > 0.1
    largest = found.largest.measure
    assert found.largest.label == "no"
    assert largest is not None
    assert (largest.upper or 9) < 1


def test_the_mix_on_the_same_requests_has_the_tests_of_pairs() -> None:
    cells = {'["no","no"]': 800, '["yes","yes"]': 100, '["no","yes"]': 80, '["yes","no"]': 20}
    sums = [*counts("b", "agreement", {"equal": 900, "different": 100}), *counts("b", "confusion", cells)]
    found = mix_of(evidence(SHADOW, sums))
    assert found.design == "paired"
    assert found.n == 1000
    assert found.estimate == pytest.approx(0.06)
    by_name = {test.name: test for test in found.tests}
    assert by_name["Stuart-Maxwell"].statistic == pytest.approx(60**2 / 100)
    assert by_name["Bowker"].statistic == pytest.approx(60**2 / 100)
    moved = next(one.measure for one in found.labels if one.label == "yes")
    assert moved is not None
    assert moved.estimate == pytest.approx(0.06)
    assert moved.lower is not None
    assert 0 < moved.lower < 0.06
    assert (found.log10_e or 0) > 3
    assert "The mixes are proven to differ" in found.sentence


def test_labels_that_are_not_independent_are_described_but_not_tested() -> None:
    labels = [*counts("a", "label", {"no": 19_000}), *counts("b", "label", {"no": 900, "yes": 100})]
    several = mix_of(evidence(FIVE_PERCENT, [*served("a", 9_500, 0), *served("b", 500, 0), *labels]))
    units = gated(FIVE_PERCENT, unit="header:x-user")
    sticky = mix_of(evidence(units, [*served("a", 19_000, 0), *served("b", 1_000, 0), *labels]))
    for found in (several, sticky):
        assert (found.tests, found.log10_e, found.largest.measure) == ((), None, None)
        assert found.estimate == pytest.approx(0.1)
        assert found.untested
    assert "several labels" in several.sentence
    assert "kept on their arm" in sticky.sentence


ACCURACY = "accuracy:guardrail:margin=1pt"


def labelled(a: int, b: int) -> list[Sum]:
    both = [Sum(1, arm, "labelled", "", n) for arm, n in (("a", a), ("b", b))]
    return [*served("a", 9_500, 0), *served("b", 500, 0), *both]


def test_labels_are_provisional_until_nearly_all_have_come_for_every_arm() -> None:
    of = gated(FIVE_PERCENT, ACCURACY)
    for a, b, state in ((9_000, 400, "provisional"), (9_000, 470, "confirmed"), (0, 0, "provisional")):
        found = details(evidence(of, labelled(a, b))).truth
        assert found is not None
        assert (found.state, found.n, found.labelled) == (state, 10_000, a + b)
        assert f"a verdict on them is {state}" in found.sentence
        assert all(one.measure.lower is not None and one.measure.lower <= one.labelled / one.n for one in found.arms)


def test_labels_that_come_for_one_arm_alone_cannot_be_compared() -> None:
    found = details(evidence(gated(FIVE_PERCENT, ACCURACY), labelled(4_000, 500))).truth
    assert found is not None
    assert found.blocked
    assert "more often for one arm" in found.sentence
    assert details(evidence(FIVE_PERCENT, labelled(0, 0))).truth is None
    without = details(evidence(FIVE_PERCENT, labelled(100, 5))).truth
    assert without is not None
    assert (without.state, without.blocked) == ("unused", False)


def rows(of: Evidence) -> tuple[Row, ...]:
    return explained(of, compare(of, at=NOW))


def beside(of: Evidence, place: int = 0) -> Companion:
    found = rows(of)[place].companion
    assert found is not None
    assert found.note == "valid for one look only"
    return found


GUARDED = gated(FIVE_PERCENT, "error_rate:guardrail:margin=1pt")


def test_shares_have_newcombe_and_the_pooled_z_beside_them() -> None:
    found = beside(evidence(GUARDED, [*served("a", 9_500, 475), *served("b", 500, 40)]))
    arms = Proportion(9_500, 475), Proportion(500, 40)
    assert found.method == "newcombe"
    assert found.estimate == pytest.approx(0.03)
    assert (found.lower, found.upper) == pytest.approx(newcombe(*arms))
    assert found.p == pytest.approx(pooled_z(*arms).p)


def test_rare_events_have_miettinen_nurminen_beside_them() -> None:
    found = beside(evidence(GUARDED, [*served("a", 9_500, 9), *served("b", 500, 2)]))
    assert found.method == "miettinen-nurminen"
    assert (found.lower, found.upper) == pytest.approx(miettinen_nurminen(Proportion(9_500, 9), Proportion(500, 2)))


def test_stages_of_a_ramp_are_not_put_in_one_heap() -> None:
    drift = [*served("a", 9_500, 95), *served("b", 500, 5), *served("a", 5_000, 500, stage=2), *served("b", 5_000, 500, stage=2)]
    found = beside(evidence(gated(RAMP, "error_rate:guardrail:margin=1pt"), drift))
    assert found.method == "stratified-z"
    assert found.estimate == pytest.approx(0.0)


def test_pairs_have_mcnemar_beside_them() -> None:
    found = beside(evidence(gated(SHADOW, "error_rate:guardrail:margin=1pt"), pairs(30, 10, 960)))
    assert found.method == "mcnemar-mid-p"
    assert found.n == 1000
    assert found.estimate == pytest.approx(0.02)
    assert (found.p or 1) < 0.01
    better = beside(evidence(gated(SHADOW, ACCURACY), pairs(30, 10, 960, metric="accuracy")))
    assert better.estimate == pytest.approx(-0.02)


def test_pairs_that_never_differ_have_nothing_beside_them() -> None:
    (row, *_) = rows(evidence(SHADOW, pairs(0, 0, 300)))
    assert row.companion is None


def test_means_have_welch_and_the_paired_t_beside_them() -> None:
    sums = [Sum(1, "a", "number", "", 950, 0, 0.0, 950.0), Sum(1, "b", "number", "", 50, 0, 50.0, 100.0)]
    found = beside(evidence(FIVE_PERCENT, sums), -1)
    assert found.method == "welch"
    assert found.estimate == pytest.approx(1.0)
    assert found.unit == "value"
    assert (found.p or 1) < 1e-6
    paired = beside(evidence(SHADOW, [Sum(1, "b", "difference", "", 400, 0, 40.0, 404.0)]), -1)
    assert paired.method == "paired-t"
    assert paired.estimate == pytest.approx(0.1)


def test_limits_have_wilson_beside_them_and_units_their_own_error() -> None:
    limit = gated(FIVE_PERCENT, "error_rate:guardrail:limit=2%")
    found = beside(evidence(limit, [*served("a", 9_500, 95), *served("b", 500, 5)]))
    assert found.method == "wilson"
    assert found.estimate == pytest.approx(0.01)
    assert found.p is None
    units = gated(FIVE_PERCENT, "error_rate:guardrail:margin=1pt", unit="header:x-user")
    sums = [Sum(1, arm, "unit:error", "", n, 2 * n, n / 10, n / 10, n / 5) for arm, n in (("a", 1_900), ("b", 100))]
    sums += [Sum(1, arm, "unit:error", "size", 0, 0, 0.0, 4.5 * n) for arm, n in (("a", 1_900), ("b", 100))]
    assert beside(evidence(units, sums)).method == "unit-z"


def test_every_number_names_its_method_and_where_that_is_explained() -> None:
    def model(arm: str) -> Callable[[str, random.Random], Answer]:
        return lambda device, chance: said(arm, "no" if chance.random() < 0.2 else "yes", failed=chance.random() < 0.05)

    of = folded(stream(model("old"), model("new"), count=800, seed=1))
    whole = details(of)
    assert [(one.candidate, one.design) for one in whole.labels] == [("new", "split"), ("new", "paired")]
    assert [one.path for one in whole.fields[0].first] == ["model.name", "prediction"]
    assert whole.slices is not None
    numbers = list(measures(msgspec.to_builtins(whole)))
    assert len(numbers) > 20
    for one in numbers:
        assert one["source"].startswith("docs/statistics.md#"), one
        assert one["estimate"] is None or math.isfinite(one["estimate"])
    for row in explained(of, compare(of, at=NOW)):
        assert row.source.startswith("docs/statistics.md#"), row.method
        assert row.companion is None or row.companion.source.startswith("docs/statistics.md#"), row.companion


def measures(value: object) -> Iterator[dict[str, Any]]:
    """Every Measure in it."""
    if isinstance(value, dict):
        if "log10_e" in value and "counts" in value:
            yield value
        for part in value.values():
            yield from measures(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from measures(part)


def test_a_report_without_such_evidence_explains_nothing() -> None:
    assert details(evidence(FIVE_PERCENT, [*served("a", 950, 1), *served("b", 50, 0)])) == Details()


def report(engine: Engine) -> Report:
    return write_report(findings(engine, "fraud"), at=AT + 90_000_000)


def test_the_report_as_markdown_has_every_part_with_its_sentence(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite, "shadow")
    answers = {'["x|`y","equal"]': 90, '["x|`y","value"]': 10}
    pair_errors = {'["device","phone","-"]': 40, '["device","phone","0"]': 60, '["device","tv","0"]': 100}
    labels = {'["no","no"]': 80, '["no","yes"]': 20}
    sums = [
        *pairs(40, 0, 160),
        *noise(60, 3, 2, 35),
        *places(score=(30, 1, 0), id=(1, 2, 90)),
        *counts("b", "field", answers),
        *counts("b", "slice:pair_error", pair_errors),
        *counts("b", "agreement", {"equal": 80, "different": 20}),
        *counts("b", "confusion", labels),
        *served("a", 200, 0),
        Sum(1, "a", "labelled", "", 100),
    ]
    store_sums(lite, sums, rollout=1)
    found = report(lite)
    text = markdown(found)
    parts = found.details
    assert parts.slices is not None
    assert parts.truth is not None
    for part in (parts.slices, parts.noise[0], parts.fields[0], parts.labels[0], parts.truth):
        assert part.sentence in text
    assert "| `device phone` | failures on the same requests | b |" in text
    assert "[mcnemar-mid-p](docs/statistics.md#" in text
    assert "valid for one look only" in text
    assert "Proposed for exclusion (nothing is excluded by itself): `id`" in text
    assert "| `x\\|'y` | 100 |" in text
    assert "PSI" in text
    assert "when nothing changed" in text
    assert "Stuart-Maxwell" in text


def mixed(seed: int) -> bool:
    """Two arms of one mix on a ramp, while it drifts: are they ever said to differ, at 20 looks?"""
    chance = np.random.default_rng(seed)
    counted = np.zeros((2, 2, 3), dtype=np.int64)
    for look in range(20):
        stage, share = (0, 0.05) if look < 10 else (1, 0.5)
        mix = chance.multinomial(1_000, (0.6, 0.3, 0.1) if look < 10 else (0.2, 0.3, 0.5))
        of_b = chance.binomial(mix, share)
        counted[stage] += (mix - of_b, of_b)
        sums = [
            Sum(stage_ + 1, arm, "label", name, int(counted[stage_, place, label]))
            for stage_ in range(2)
            for place, arm in enumerate("ab")
            for label, name in enumerate(("x", "y", "z"))
        ]
        totals = [*served("a", 20_000, 0), *served("b", 20_000, 0)]
        if "are proven to differ" in mix_of(evidence(RAMP, [*totals, *sums])).sentence:
            return True
    return False


def test_equal_mixes_that_drift_on_a_ramp_are_seldom_said_to_differ() -> None:
    assert sum(mixed(seed) for seed in range(40)) <= 9, "the 1e-4 upper tail of 40 streams at 0.05"
