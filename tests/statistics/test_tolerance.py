from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import tuning
from modelctl.statistics.verdict import Criterion, Finding, Mode, Role, Sample, Word, decide

SAMPLE = Sample(n=5_000, min_n=1_000, max_n=50_000)
PATIENT = Criterion(name="errors", role=Role.GUARDRAIL, margin=0.01, lower=0.001, upper=0.009)
STRICT = replace(PATIENT, rollback_at=0.0)


def test_a_metric_without_tolerance_rolls_back_on_any_proven_harm() -> None:
    assert decide([PATIENT], SAMPLE, mode=Mode.NON_INFERIORITY).word is Word.PROMOTE
    found = decide([STRICT], SAMPLE, mode=Mode.NON_INFERIORITY)
    assert found.word is Word.ROLLBACK
    assert found.reason.startswith("errors: worse; harm 0.001 to 0.009")


@pytest.mark.parametrize("lower", [-0.001, 0.0])
def test_harm_that_is_not_proven_is_still_judged_by_the_margin(lower: float) -> None:
    assert replace(STRICT, lower=lower).finding is Finding.NOT_WORSE
    assert replace(STRICT, lower=lower, upper=0.02).finding is Finding.OPEN


@given(st.floats(-0.05, 0.05), st.floats(0, 0.05), st.floats(0, 0.05))
def test_less_tolerance_never_promotes_what_was_rolled_back(lower: float, width: float, margin: float) -> None:
    patient = replace(PATIENT, lower=lower, upper=lower + width, margin=margin)
    strict = replace(patient, rollback_at=0.0)
    words = [decide([one], SAMPLE, mode=Mode.NON_INFERIORITY).word for one in (patient, strict)]
    assert words[1] is words[0] or words[1] is Word.ROLLBACK


def test_candidates_of_one_baseline_share_the_error_level() -> None:
    assert tuning.candidate_alpha(0.05, 4) == 0.0125
    assert tuning.candidate_alpha(0.05, 1) == 0.05
    with pytest.raises(InvalidInput, match="at least one"):
        tuning.candidate_alpha(0.05, 0)


def test_the_prior_for_a_limit_is_made_for_the_trials_with_five_events_at_it() -> None:
    assert tuning.limit_concentration(0.05) == tuning.concentration(100)
    assert tuning.limit_concentration(0.95) == pytest.approx(tuning.limit_concentration(0.05))
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        tuning.limit_concentration(1.0)
