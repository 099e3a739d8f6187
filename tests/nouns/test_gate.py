"""Gates as people write them, and what is refused before anything is measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.gate import Gate, GateRole, Margin, MarginKind, check_gate, gate_text, gate_words, parse_gate
from modelctl.metric import METRICS, Design, Field, FieldType, Scale


def test_half_a_point_is_an_absolute_share_and_ten_percent_a_share_of_the_baselines() -> None:
    assert parse_gate("error_rate:guardrail:margin=0.5pt").margin == Margin(0.005)
    assert parse_gate("error_rate:guardrail:margin=10%").margin == Margin(0.1, MarginKind.RELATIVE)
    assert parse_gate("prediction:equivalence:margin=0.02").margin == Margin(0.02)


def test_a_limit_of_one_percent_is_a_share() -> None:
    gate = parse_gate("slow_rate:guardrail:limit=1%,slower=1.5s")
    assert (gate.limit, gate.slower_ms) == (0.01, 1500.0)
    assert check_gate(gate).name == "slow_rate"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("error_rate:guardrail", "needs a margin, the harm you tolerate"),
        ("prediction:guardrail:margin=1", "prediction has no worse side"),
        ("prediction:guardrail:limit=1", "no worse side|cannot have a limit"),
        ("agreement:guardrail:margin=1pt", "compared with a fixed number: declare limit=95%"),
        ("slow_rate:guardrail:margin=1pt", "needs its threshold"),
        ("error_rate:guardrail:margin=1pt,slower=1s", "only slow_rate has a threshold"),
        ("slow_rate:guardrail:margin=1pt,slower=1s,design=paired", "cannot be compared paired; it supports limit, split"),
        ("error_rate:guardrail:limit=100%", "between 0% and 100%"),
        ("accuracy:success:limit=90%", "it has no limit"),
        ("nonsense:guardrail:margin=1pt", "there is no metric 'nonsense'; there are error_rate"),
    ],
)
def test_a_gate_that_cannot_be_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        check_gate(parse_gate(text))


@pytest.mark.parametrize(
    "text",
    [
        "error_rate",
        "error_rate:boss:margin=1pt",
        ":guardrail:margin=1pt",
        "error_rate:guardrail:margin=",
        "error_rate:guardrail:margin=-1pt",
        "error_rate:guardrail:margin=0",
        "error_rate:guardrail:margin=1pt,limit=1%",
        "error_rate:guardrail:margin=nan",
        "error_rate:guardrail:colour=red",
        "slow_rate:guardrail:limit=1%,slower=250",
        "error_rate:guardrail:margin=1pt,weight=0",
        "error_rate:guardrail:margin=1pt,design=sideways",
        "error_rate:guardrail:margin=1pt,margin=2pt",
        "error_rate:guardrail:" + "margin=1pt," * 100,
    ],
)
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_gate(text)


def test_a_metric_of_the_route_is_known_to_its_gates() -> None:
    flag = Field(name="blocked", path="/blocked", type=FieldType.FLAG)
    assert check_gate(parse_gate("blocked:guardrail:margin=1pt"), (flag,)).scale is Scale.SHARE
    with pytest.raises(InvalidInput, match="modelctl route metric add"):
        check_gate(parse_gate("blocked:guardrail:margin=1pt"))
    with pytest.raises(InvalidInput, match="no name for a metric"):
        Field(name="error_rate", path="/x")


gates = st.builds(
    Gate,
    metric=st.sampled_from(sorted(METRICS)),
    role=st.sampled_from(GateRole),
    margin=st.none() | st.builds(Margin, st.integers(1, 10**6).map(lambda n: n / 1000), st.sampled_from(MarginKind)),
    slower_ms=st.just(0.0) | st.integers(1, 10_000).map(float),
    mde=st.none() | st.integers(1, 1000).map(lambda n: n / 1000),
    weight=st.integers(1, 1000).map(float),
    design=st.sampled_from(Design),
    zero_tolerance=st.booleans(),
)


@given(gates)
def test_a_gate_reads_back_as_it_was_written(gate: Gate) -> None:
    again = parse_gate(gate_text(gate))
    assert gate_text(again) == gate_text(gate)
    if gate.margin is not None and again.margin is not None:
        assert again.margin.amount == pytest.approx(gate.margin.amount, rel=1e-9)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("error_rate:guardrail:margin=0.005", "error_rate:guardrail:margin=0.5pt"),
        ("error_rate:guardrail:margin=10%,weight=2", "error_rate:guardrail:margin=10%,weight=2"),
        ("slow_rate:guardrail:limit=0.01,slower=250ms", "slow_rate:guardrail:limit=1%,slower=250ms"),
        ("accuracy:success:mde=0.01", "accuracy:success:mde=1pt"),
        ("prediction:equivalence:margin=0.02", "prediction:equivalence:margin=0.02"),
    ],
)
def test_a_gate_is_said_in_points_where_a_share_is_meant(written: str, said: str) -> None:
    assert gate_words(parse_gate(written)) == said
    assert parse_gate(said) == parse_gate(written)
