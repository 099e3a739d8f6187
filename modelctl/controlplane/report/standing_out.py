"""What stands out, for the first screen: slices in which a candidate is worse or differs more, each with its examples. Pure."""

from collections.abc import Sequence

import msgspec

from modelctl.controlplane.judgement.figures import how_many
from modelctl.controlplane.report.examples import SliceExamples
from modelctl.controlplane.report.slices import FALSE_DISCOVERIES, Slice, Slices
from modelctl.rollout import Rollout

MOST = 3
_HARMFUL = frozenset({"worse", "more"})


class StandsOut(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of one candidate. `slice` is the comparison with the strongest evidence, `also` what else stands out of it."""

    candidate: str
    dimension: str
    value: str
    slice: Slice
    also: tuple[str, ...]
    examples: SliceExamples | None


class StandingOut(msgspec.Struct, frozen=True, kw_only=True):
    """At most three, strongest evidence first. The sentence says what is known when there is none."""

    sentence: str
    first: tuple[StandsOut, ...] = ()


def standing_out(cut: Slices | None, examples: Sequence[SliceExamples], *, rollout: Rollout) -> StandingOut:
    """From the ranked slices."""
    flagged = [one for one in cut.first if one.flagged and one.direction in _HARMFUL] if cut is not None else []
    named = list(dict.fromkeys((one.candidate, one.dimension, one.value) for one in flagged))
    first = tuple(_one(key, flagged, examples=examples) for key in named[:MOST])
    return StandingOut(sentence=_sentence(cut, first, rollout=rollout, more=len(named) - len(first)), first=first)


def _one(key: tuple[str, str, str], flagged: Sequence[Slice], *, examples: Sequence[SliceExamples]) -> StandsOut:
    mine = [one for one in flagged if (one.candidate, one.dimension, one.value) == key]
    wanted = (key[0], mine[0].kind, *key[1:])
    shown = next((one for one in examples if (one.candidate, one.kind, one.dimension, one.value) == wanted), None)
    return StandsOut(
        candidate=key[0],
        dimension=key[1],
        value=key[2],
        slice=mine[0],
        also=tuple(one.sentence for one in mine[1:]),
        examples=shown,
    )


def _sentence(cut: Slices | None, first: Sequence[StandsOut], *, rollout: Rollout, more: int) -> str:
    if first:
        names = "; ".join(f"{one.dimension} {one.value}" for one in first)
        rest = f" and {more:,} more" if more else ""
        few = f"{how_many(cut.compared, 'comparison')}, false discovery rate {FALSE_DISCOVERIES:.0%}" if cut is not None else ""
        return f"Not everywhere alike: {names}{rest} stand{'s' if len(first) == 1 and not more else ''} out ({few})."
    if not rollout.dimensions:
        return (
            "Nothing is known of slices: the route declared no dimension when the rollout started "
            f"(modelctl route dimension add {rollout.route} NAME ...)."
        )
    if cut is None or not cut.compared:
        return "Nothing is known of slices yet."
    return cut.sentence
