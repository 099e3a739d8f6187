import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics.noise import FieldCounts, excess, noise_floor


@st.composite
def field_counts(draw: st.DrawFn) -> FieldCounts:
    parts = [draw(st.one_of(st.integers(0, 3), st.integers(0, 5000))) for _ in range(4)]
    both, raw_only, noise_only, _ = parts
    return FieldCounts(total=sum(parts), raw=both + raw_only, noise=both + noise_only, both=both)


def counted(raw: int, noise: int, *, both: int = 0, total: int = 10_000) -> FieldCounts:
    return FieldCounts(total=total, raw=raw, noise=noise, both=both)


@given(field_counts())
def test_the_evidence_is_about_requests_where_exactly_one_differs(counts: FieldCounts) -> None:
    found = excess(counts)
    assert found.n == counts.discordant
    assert not math.isnan(found.log_e)
    swapped = replace(counts, raw=counts.noise, noise=counts.raw)
    assert excess(swapped).log_e == pytest.approx(found.log_e, rel=1e-9, abs=1e-9)


@given(field_counts(), st.integers(0, 1000))
def test_requests_where_both_or_none_differ_leave_the_evidence(counts: FieldCounts, more: int) -> None:
    both = FieldCounts(total=counts.total + more, raw=counts.raw + more, noise=counts.noise + more, both=counts.both + more)
    assert excess(both).log_e == excess(counts).log_e == excess(replace(counts, total=counts.total + more)).log_e


@given(st.dictionaries(st.sampled_from("abcdef"), field_counts()))
def test_every_field_is_judged_and_only_more_than_noise_is_flagged(fields: dict[str, FieldCounts]) -> None:
    found = noise_floor(fields)
    assert list(found) == list(fields)
    for judged in found.values():
        assert not judged.flagged or judged.counts.raw > judged.counts.noise
        assert not judged.exclude or judged.counts.noise > 0.2 * judged.counts.total
    backwards = noise_floor(dict(reversed(fields.items())))
    assert {name: judged.flagged for name, judged in backwards.items()} == {name: judged.flagged for name, judged in found.items()}


def test_a_field_that_differs_more_than_noise_is_flagged_and_one_that_differs_less_is_not() -> None:
    found = noise_floor({"worse": counted(60, 20, both=8), "same": counted(20, 20), "calmer": counted(20, 60)})
    assert {name for name, judged in found.items() if judged.flagged} == {"worse"}
    assert found["calmer"].evidence.log_e > 3


def test_a_field_that_seldom_repeats_itself_is_proposed_for_exclusion() -> None:
    found = noise_floor(
        {"timestamp": counted(9000, 9010, both=8900), "rare": counted(2100, 2100, both=500), "stable": counted(0, 0)}
    )
    assert [judged.exclude for judged in found.values()] == [True, False, False]
    assert not found["timestamp"].flagged


def test_diffys_rule_flags_what_evidence_does_not() -> None:
    few = counted(14, 6)
    assert (few.relative_percent, few.absolute_percent, few.flagged_by_diffy) == (40.0, 0.08, True)
    assert not noise_floor({"few": few})["few"].flagged
    assert not counted(6, 14).flagged_by_diffy
    assert not counted(3, 1).flagged_by_diffy


def test_fields_without_requests_or_without_differences_have_no_percentages() -> None:
    nothing = counted(0, 0, total=0)
    assert (nothing.relative_percent, nothing.absolute_percent, nothing.flagged_by_diffy) == (None, None, False)
    assert (counted(0, 0).relative_percent, counted(0, 0).absolute_percent) == (None, 0.0)
    judged = noise_floor({"x": nothing})["x"]
    assert (judged.flagged, judged.exclude, judged.evidence.usable) == (False, False, False)
    assert noise_floor({}) == {}


@pytest.mark.parametrize("counts", [(5, 5, 6, 10), (5, 6, 0, 10), (-1, 0, 0, 5), (3, 3, -1, 10)])
def test_counts_that_are_no_parts_are_refused(counts: tuple[int, int, int, int]) -> None:
    raw, noise, both, total = counts
    with pytest.raises(InvalidInput, match="cannot be"):
        counted(raw, noise, both=both, total=total)
