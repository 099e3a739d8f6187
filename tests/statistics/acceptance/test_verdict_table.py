"""A24: every combination of what the verdict depends on gives the word of the table."""

import itertools
import math
from collections.abc import Iterator

import pytest

from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.sample_ratio import BLOCK_LOG_E
from modelctl.statistics.verdict import Criterion, Finding, Mode, Role, Sample, Word, criterion, decide
from tests.statistics.acceptance.verdict_table import MARGIN, STATES, Harm, about, word_by_the_book

ROLES = (Role.GUARDRAIL, Role.SUCCESS, Role.EQUIVALENCE)
SPLITS = (-5.0, BLOCK_LOG_E - 1e-9, BLOCK_LOG_E, math.inf)
FAULTS = ((), ("pairs are missing",))
UNITS = (0, 999, 1_000, 49_999, 50_000)


def combinations() -> Iterator[tuple[dict[Role, Harm], list[Criterion]]]:
    """Every state of a guardrail, a success and an equivalence metric, and each of them not declared."""
    choices = [[(role, harm) for harm in STATES.values()] + [None] for role in ROLES]
    built = {(role, harm): about(role, harm) for role in ROLES for harm in STATES.values()}
    for chosen in itertools.product(*choices):
        declared = [one for one in chosen if one is not None]
        yield dict(declared), [built[one] for one in declared]


@pytest.mark.slow
@pytest.mark.parametrize("n", UNITS)
@pytest.mark.parametrize("warm", [True, False])
def test_every_combination_of_everything_gives_the_word_of_the_table(n: int, warm: bool) -> None:
    seen = set()
    samples = [
        Sample(n=n, min_n=1_000, max_n=max_n, log_e_srm=log_e, faults=faults, warm=warm, expired=expired)
        for max_n, log_e, faults, expired in itertools.product((None, 50_000), SPLITS, FAULTS, (True, False))
    ]
    for harms, criteria in combinations():
        for sample, mode in itertools.product(samples, Mode):
            found = decide(criteria, sample, mode=mode)
            assert found.word == word_by_the_book(harms, sample, mode=mode), (harms, sample, mode)
            seen.add(found.word)
    assert (Word.PROMOTE in seen) == (warm and n >= 1_000)
    assert seen >= {Word.ROLLBACK, Word.INVALID, Word.CONTINUE, Word.INCONCLUSIVE}


@pytest.mark.parametrize("harm", STATES.values(), ids=STATES)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_comparison_in_either_direction_becomes_the_criterion_of_its_harm(
    role: Role, harm: Harm, *, higher_is_better: bool
) -> None:
    low, high = (0.0, 0.0) if harm is None else harm
    low, high = (1 - high, 1 - low) if higher_is_better else (1 + low, 1 + high)
    state = State.NO_DATA if harm is None else State.OK
    # Through a null of 1, as ratios have it: the margin is then reached within rounding, so it is kept a little away.
    found = Comparison(estimate=1.0, lower=low, upper=high, n=9, method="any", alpha=0.05, null=1.0, state=state, reason="none yet")
    judged = criterion(
        "metric", role, margin=MARGIN + 1e-12, higher_is_better=higher_is_better, for_rollback=found, for_promote=found
    )
    wanted = about(role, harm, margin=MARGIN + 1e-12)
    assert (judged.role, judged.has_data) == (wanted.role, wanted.has_data)
    assert (judged.lower, judged.upper) == pytest.approx((wanted.lower, wanted.upper), abs=1e-14)
    if "touching" not in next(name for name, one in STATES.items() if one == harm):
        assert judged.finding is wanted.finding


def test_the_states_reach_every_finding() -> None:
    findings = {about(role, harm).finding for role in ROLES for harm in STATES.values()}
    assert findings == set(Finding)
