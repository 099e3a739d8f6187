"""How much the baseline differs from itself, and whether the candidate differs more: from `noise` and `noise_field`. Pure.

Raw is how often the candidate differs from the baseline, noise how often a second copy of the baseline does, on the same requests.
"""

from collections import defaultdict

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.figures import share
from modelctl.controlplane.report.measure import Measure, measure
from modelctl.statistics import grid_betting
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.noise import FALSE_DISCOVERIES, FieldCounts, NoisyField, excess, noise_floor
from modelctl.statistics.tuning import ALPHA

SHOWN = 50
_OTHER = "…"


class FieldNoise(msgspec.Struct, frozen=True, kw_only=True):
    """One place of the answers, over the `n` requests of the noise floor. `measure` is the candidate's part of the requests on
    which exactly one of candidate and copy differs, against one half. `exclude` proposes to leave the place out: it is never
    left out silently. The percents are Diffy's |raw - noise| by raw + noise and by n; `flagged_by_diffy` is its rule."""

    path: str
    n: int
    raw: int
    noise: int
    both: int
    measure: Measure
    flagged: bool
    exclude: bool
    relative_percent: float | None
    absolute_percent: float | None
    flagged_by_diffy: bool
    sentence: str


class NoiseFloor(msgspec.Struct, frozen=True, kw_only=True):
    """Of `n` requests, on `raw` the candidate's prediction differs from the baseline's, on `noise` that of a second copy, on
    `both` both. `excess` is raw minus noise in shares of the requests, `measure` as in FieldNoise. Of `places` fields the first
    are here, strongest evidence first; `excluded` are proposed for exclusion."""

    candidate: str
    n: int
    raw: int
    noise: int
    both: int
    excess: Measure
    measure: Measure
    relative_percent: float | None
    absolute_percent: float | None
    places: int
    flagged: int
    false_discovery_rate: float
    excluded: tuple[str, ...]
    fields: tuple[FieldNoise, ...]
    sentence: str


def noise_floors(evidence: Evidence) -> tuple[NoiseFloor, ...]:
    """One for each candidate that requests were shown to along with a second copy of the baseline."""
    found = (_of(evidence, candidate) for candidate in evidence.rollout.candidates)
    return tuple(one for one in found if one is not None)


def _of(evidence: Evidence, candidate: str) -> NoiseFloor | None:
    counts = evidence.sums.counts(candidate, "noise")
    n = sum(counts.values())
    if not n:
        return None
    whole = _counted(counts, total=n)
    judged = noise_floor(_fields(evidence, candidate, total=n))
    order = sorted(judged, key=lambda path: (-_strength(judged[path]), path))
    tested = excess(whole)
    return NoiseFloor(
        candidate=candidate,
        n=n,
        raw=whole.raw,
        noise=whole.noise,
        both=whole.both,
        excess=measure(_excess(whole), unit="share", counts="requests"),
        measure=measure(tested, unit="share", counts="requests on which exactly one differs"),
        relative_percent=whole.relative_percent,
        absolute_percent=whole.absolute_percent,
        places=len(judged),
        flagged=sum(one.flagged for one in judged.values()),
        false_discovery_rate=FALSE_DISCOVERIES,
        excluded=tuple(path for path in order if judged[path].exclude),
        fields=tuple(_field(path, judged[path]) for path in order[:SHOWN]),
        sentence=_sentence(candidate, whole, tested=tested),
    )


def _fields(evidence: Evidence, candidate: str, *, total: int) -> dict[str, FieldCounts]:
    """By path. Those beyond the recorder's limit share one name, so a request can be in it several times: it is left out."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for key, n in evidence.sums.counts(candidate, "noise_field").items():
        path, kind = msgspec.json.decode(key, type=tuple[str, str])
        found[path][kind] = n
    return {path: _counted(counts, total=total) for path, counts in found.items() if path != _OTHER}


def _counted(counts: dict[str, int], *, total: int) -> FieldCounts:
    """The rollup keeps apart what differs alone and what differs together."""
    raw, noise, both = (counts.get(kind, 0) for kind in ("raw", "noise", "both"))
    return FieldCounts(total=total, raw=raw + both, noise=noise + both, both=both)


def _excess(counts: FieldCounts) -> Comparison:
    """Raw minus noise over all requests: +1 where only the candidate differs, -1 where only the copy does."""
    copy_alone = counts.noise - counts.both
    alike = counts.total - counts.discordant
    return grid_betting.compare(counts.excess, alike, n_neg=copy_alone, alpha=ALPHA)


def _strength(field: NoisyField) -> float:
    """The evidence for more than noise first, then that for less."""
    more = 2 * field.counts.excess > field.counts.discordant
    return field.evidence.log_e if more else -1e9 + field.counts.raw


def _field(path: str, found: NoisyField) -> FieldNoise:
    counts = found.counts
    return FieldNoise(
        path=path,
        n=counts.total,
        raw=counts.raw,
        noise=counts.noise,
        both=counts.both,
        measure=measure(found.evidence, unit="share", counts="requests on which exactly one differs"),
        flagged=found.flagged,
        exclude=found.exclude,
        relative_percent=counts.relative_percent,
        absolute_percent=counts.absolute_percent,
        flagged_by_diffy=counts.flagged_by_diffy,
        sentence=_field_sentence(path, found),
    )


def _field_sentence(path: str, found: NoisyField) -> str:
    sides = f"{path}: {found.counts.raw:,} times other than the baseline, its own copy {found.counts.noise:,} times"
    if found.exclude:
        return f"{sides}; it differs from itself on more than {share(found.noise.lower)} of requests: consider leaving it out."
    return f"{sides}; {'more than noise' if found.flagged else 'not proven to be more than noise'}."


def _sentence(candidate: str, counts: FieldCounts, *, tested: Comparison) -> str:
    raw, noise = share(counts.raw / counts.total), share(counts.noise / counts.total)
    sides = f"{candidate} differs on {raw} of {counts.total:,} requests, a second copy of the baseline on {noise}"
    if counts.discordant and tested.lower > 0.5:
        more = _excess(counts)
        return f"{sides}: more than noise, by {share(max(more.lower, 0.0))} to {share(more.upper)} of the requests."
    if counts.discordant and tested.upper < 0.5:
        return (
            f"{sides}: the baseline disagrees with itself more than the candidate does. The two copies are not alike (other "
            f"state, cache, or version), so nothing here speaks against {candidate}, nor for it: find out why first."
        )
    if counts.raw <= counts.noise:
        return f"{sides}: the candidate differs no more often than the baseline does from itself. That does not say who is right."
    return f"{sides}: not proven to be more than noise."
