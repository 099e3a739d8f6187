import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import difference
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.difference import Proportion, ProportionStage
from modelctl.statistics.sample_ratio import BLOCK_LOG_E
from modelctl.statistics.verdict import Criterion, Finding, Mode, Role, Sample, Verdict, Word, criterion, decide
from tests.statistics.acceptance.verdict_table import MARGIN, STATES, about, word_by_the_book

MODES = tuple(Mode)
READY = Sample(n=5_000, min_n=1_000, max_n=50_000)
SAMPLES = {
    "small": replace(READY, n=999),
    "cold": replace(READY, warm=False),
    "ready": READY,
    "just enough": replace(READY, n=1_000),
    "full": replace(READY, n=50_000),
    "expired": replace(READY, expired=True),
    "full but cold": replace(READY, n=50_000, warm=False),
    "unlimited": replace(READY, n=10**9, max_n=None),
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_every_combination_of_states_gives_the_word_of_the_table(sample: Sample) -> None:
    absent = object()
    choices = [absent, *STATES.values()]
    trust = [{}, {"log_e_srm": BLOCK_LOG_E}, {"log_e_srm": BLOCK_LOG_E - 1e-9}, {"faults": ("pairs are missing",)}]
    seen = set()
    for states, doubt, mode in itertools.product(itertools.product(choices, repeat=3), trust, MODES):
        roles = zip((Role.GUARDRAIL, Role.SUCCESS, Role.EQUIVALENCE), states, strict=True)
        harms = {role: state for role, state in roles if state is not absent}
        judged = replace(sample, **doubt)  # type: ignore[arg-type]
        found = decide([about(role, harm) for role, harm in harms.items()], judged, mode=mode)  # type: ignore[arg-type]
        assert found.word == word_by_the_book(harms, judged, mode=mode)  # type: ignore[arg-type]
        assert found.reason
        seen.add(found.word)
    assert {Word.ROLLBACK, Word.INVALID} <= seen
    assert (Word.PROMOTE in seen) == (sample.warm and sample.n >= sample.min_n)


CRITERIA = st.lists(
    st.builds(
        lambda role, state, margin: about(role, STATES[state], margin=margin, name=f"{role}-{state}"),
        st.sampled_from(Role),
        st.sampled_from(sorted(STATES)),
        st.sampled_from([0.0, MARGIN, math.inf]),
    ),
    max_size=5,
)


@given(CRITERIA, st.data())
def test_the_order_of_metrics_does_not_matter(criteria: list[Criterion], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(criteria))
    for mode in MODES:
        assert decide(criteria, READY, mode=mode).word == decide(shuffled, READY, mode=mode).word


@given(CRITERIA)
def test_a_metric_shown_for_information_never_changes_the_word(criteria: list[Criterion]) -> None:
    decisive = [one for one in criteria if one.role is not Role.INFO]
    for mode in MODES:
        assert decide(criteria, READY, mode=mode).word == decide(decisive, READY, mode=mode).word


@given(CRITERIA)
def test_every_criterion_is_judged_in_its_own_sentence(criteria: list[Criterion]) -> None:
    found = decide(criteria, READY, mode=Mode.SUPERIORITY)
    assert [judgement.name for judgement in found.judgements] == [one.name for one in criteria]
    assert all(judgement.reason.startswith(judgement.name) for judgement in found.judgements)


@given(CRITERIA)
def test_a_lost_metric_never_promotes(criteria: list[Criterion]) -> None:
    lost = about(Role.GUARDRAIL, None)
    assert decide([*criteria, lost], READY, mode=Mode.NON_INFERIORITY).word is not Word.PROMOTE


def errors(k_a: int, k_b: int, *, alpha: float = 0.05, margin: float = MARGIN) -> Verdict:
    stage = ProportionStage(Proportion(10_000, k_a), Proportion(10_000, k_b))
    found = difference.compare_proportions([stage], tau=MARGIN, alpha=alpha)
    rate = criterion("error-rate", Role.GUARDRAIL, margin=margin, higher_is_better=False, for_rollback=found, for_promote=found)
    return decide([rate], replace(READY, n=20_000), mode=Mode.NON_INFERIORITY)


def test_more_errors_move_the_word_from_promote_to_continue_to_rollback_and_never_back() -> None:
    rank = [Word.PROMOTE, Word.CONTINUE, Word.ROLLBACK]
    words = [rank.index(errors(100, k_b).word) for k_b in range(0, 1000, 10)]
    assert words == sorted(words)
    assert set(words) == {0, 1, 2}


def test_without_an_error_level_to_spend_nothing_is_ever_decided() -> None:
    assert {errors(100, k_b, alpha=1e-300).word for k_b in (0, 100, 400)} == {Word.CONTINUE}


def test_an_unlimited_margin_promotes_once_the_gates_pass() -> None:
    assert errors(100, 9_000, margin=math.inf).word is Word.PROMOTE
    assert errors(0, 0, margin=math.inf).word is Word.CONTINUE


def test_the_harmful_end_decides_rollback_and_the_safe_end_promotion() -> None:
    def at(alpha: float) -> Comparison:
        return difference.compare_proportions(
            [ProportionStage(Proportion(9_000, 900), Proportion(1_000, 120))], tau=0.02, alpha=alpha
        )

    strict, usual = at(0.005), at(0.05)
    loss = criterion("errors", Role.GUARDRAIL, margin=0.02, higher_is_better=False, for_rollback=strict, for_promote=usual)
    gain = criterion("sales", Role.SUCCESS, margin=0.0, higher_is_better=True, for_rollback=strict, for_promote=usual)
    assert (loss.lower, loss.upper) == (strict.lower, usual.upper)
    assert (gain.lower, gain.upper) == (-strict.upper, -usual.lower)


def test_an_equivalence_interval_is_the_promoting_one_at_both_ends() -> None:
    stages = [ProportionStage(Proportion(9_000, 900), Proportion(1_000, 100))]
    loose, strict = (difference.compare_proportions(stages, tau=0.02, alpha=alpha) for alpha in (0.2, 0.05))
    same = criterion("rate", Role.EQUIVALENCE, margin=0.02, higher_is_better=False, for_rollback=loose, for_promote=strict)
    assert (same.lower, same.upper) == (strict.lower, strict.upper)


def test_a_comparison_behind_a_gate_carries_its_reason_into_the_verdict() -> None:
    found = errors(0, 0)
    assert found.word is Word.CONTINUE
    assert found.reason == "error-rate: 0 expected events in the smaller arm, 10 are needed"
    assert found.judgements[0].finding is Finding.NO_DATA


def test_reaching_the_maximum_says_what_was_ruled_out() -> None:
    found = decide([about(Role.GUARDRAIL, (-0.002, 0.0131))], SAMPLES["full"], mode=Mode.NON_INFERIORITY)
    assert found.word is Word.INCONCLUSIVE
    assert found.reason == (
        "the maximum is reached at n = 50,000 without proof: metric: harm above 0.0131 is excluded, margin 0.01 is not reached"
    )


def test_a_proven_but_tolerable_worsening_passes_with_a_note() -> None:
    found = decide([about(Role.GUARDRAIL, STATES["worse within margin"])], READY, mode=Mode.NON_INFERIORITY)
    assert found.word is Word.PROMOTE
    assert "worse, within margin" in found.reason


def test_nothing_declared_proves_nothing() -> None:
    for criteria in ([], [about(Role.INFO, STATES["better"])]):
        assert decide(criteria, READY, mode=Mode.NON_INFERIORITY).word is Word.CONTINUE


def test_what_is_proven_about_a_metric_has_one_word() -> None:
    findings = {state: about(Role.GUARDRAIL, harm).finding for state, harm in STATES.items()}
    assert findings["worse"] is Finding.WORSE
    assert findings["touching the margin from above"] is findings["touching the margin from below"] is Finding.OPEN
    assert findings["touching zero"] is Finding.NOT_WORSE
    assert findings["better"] is Finding.BETTER
    assert about(Role.EQUIVALENCE, STATES["much better"]).finding is Finding.DIFFERENT
    assert about(Role.EQUIVALENCE, STATES["better"]).finding is Finding.OPEN
    assert about(Role.EQUIVALENCE, (-0.009, 0.009)).finding is Finding.EQUIVALENT


@pytest.mark.parametrize(
    ("lower", "upper", "margin"), [(0.2, 0.1, 0.0), (0.1, 0.2, -0.1), (math.nan, 0.2, 0.1), (0.1, 0.2, math.nan)]
)
def test_a_criterion_that_is_none_is_refused(lower: float, upper: float, margin: float) -> None:
    with pytest.raises(InvalidInput):
        Criterion(name="metric", role=Role.GUARDRAIL, margin=margin, lower=lower, upper=upper)


def test_no_comparison_can_carry_a_nan() -> None:
    with pytest.raises(ArithmeticError, match="NaN"):
        Comparison(estimate=math.nan, lower=0.0, upper=1.0, n=1, method="coin", alpha=0.05, state=State.OK)
