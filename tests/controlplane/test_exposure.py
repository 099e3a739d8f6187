"""The gate of a step: which share the evidence so far is enough for."""

import math

from hypothesis import given
from hypothesis import strategies as st

from modelctl.controlplane.judgement.exposure import Harm, enough_for, missing_at

ENDS = st.none() | st.floats(-2, 2, allow_subnormal=False)
HARMS = st.builds(
    lambda lower, upper, margin, role, reason: Harm(
        gate="g",
        title="failed answers",
        candidate="b",
        role=role,
        lower=lower,
        upper=upper,
        margin=margin,
        unit="points",
        reason=reason,
    ),
    ENDS,
    ENDS,
    st.floats(0.0001, 1),
    st.sampled_from(["guardrail", "equivalence"]),
    st.sampled_from(["", "no pairs yet"]),
)


def harm(upper: float | None, *, margin: float = 0.005) -> Harm:
    return Harm(
        gate="g", title="failed answers", candidate="b", role="guardrail", lower=-1, upper=upper, margin=margin, unit="points"
    )


def test_harm_of_nine_points_is_enough_for_a_twentieth_of_the_users_at_a_margin_of_half_a_point() -> None:
    assert enough_for(harm(0.09)) == 555
    assert missing_at(harm(0.09), 555) == ""
    assert "which is 0.5" in missing_at(harm(0.09), 556)


def test_nothing_known_is_enough_for_nothing_and_everything_proven_for_all() -> None:
    assert enough_for(harm(None)) == 0
    assert enough_for(harm(0.004)) == 10_000
    assert enough_for(harm(-0.01)) == 10_000
    assert enough_for(harm(0.005)) == 9_999, "an interval that touches the margin proves nothing"


@given(HARMS, st.integers(1, 10_000))
def test_a_share_is_passed_exactly_up_to_what_the_evidence_is_enough_for(one: Harm, share: int) -> None:
    most = enough_for(one)
    edge = one.largest is not None and math.isclose(share / 10_000 * one.largest, one.margin, rel_tol=1e-9)
    assert edge or (missing_at(one, share) == "") == (share <= most)
