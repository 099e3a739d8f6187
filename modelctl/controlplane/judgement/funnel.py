"""How many requests reached each stage on the way to a pair with a candidate, and why the others did not. Pure."""

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.sums import Sums

STAGES = ("eligible", "sampled", "sent", "answered", "parsed", "paired")
_SKIPPED = "skipped:"
_WHY = {
    "too-large": "larger than the route shows (capture.shadow_bytes)",
    "inflight": "the candidate's limit of shown requests in flight was reached (max_inflight)",
    "aborted": "the request never became complete",
    "shed": "the router was short of memory or time, and copies go first",
    "upgrade": "the request asked to switch protocols: only one server can answer that",
}


class Loss(msgspec.Struct, frozen=True):
    """Requests that did not get further, and why."""

    stage: str
    n: int
    reason: str


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one candidate. A request that the candidate did not answer is still a pair: its failure is compared.

    `fallback` counts requests it was to answer and the baseline answered, because its breaker was open: they are no evidence
    about either arm. `duplicate` pairs asked what an earlier one had asked: they are no new evidence.
    """

    candidate: str
    eligible: int = 0
    sampled: int = 0
    sent: int = 0
    answered: int = 0
    parsed: int = 0
    paired: int = 0
    fallback: int = 0
    duplicate: int = 0
    skipped: dict[str, int] = msgspec.field(default_factory=dict)
    losses: tuple[Loss, ...] = ()


def funnels_of(evidence: Evidence) -> tuple[Funnel, ...]:
    """The funnels of the candidates that are or were shown requests."""
    found = (funnel(evidence.sums, name) for name in evidence.rollout.candidates)
    return tuple(one for one in found if one.eligible or one.sampled or _shown(evidence, one.candidate))


def _shown(evidence: Evidence, candidate: str) -> bool:
    return any(arm.backend == candidate and arm.shown for stage in evidence.stages for arm in stage.arms)


def funnel(sums: Sums, candidate: str) -> Funnel:
    """The funnel over all stages of a rollout."""
    counts = sums.counts(candidate, "funnel")
    stages = {stage: counts.get(stage, 0) for stage in STAGES}
    skipped = {key.removeprefix(_SKIPPED): n for key, n in sorted(counts.items()) if key.startswith(_SKIPPED)}
    apart = {name: counts.get(name, 0) for name in ("fallback", "duplicate")}
    losses = _losses(stages, skipped, duplicate=apart["duplicate"])
    return Funnel(candidate=candidate, **stages, **apart, skipped=skipped, losses=losses)


def _losses(stages: dict[str, int], skipped: dict[str, int], *, duplicate: int) -> tuple[Loss, ...]:
    found = [
        Loss("sampled", stages["eligible"] - stages["sampled"], "not drawn: the candidate is shown a share of the requests"),
        *(Loss("sent", n, _WHY.get(fate, fate)) for fate, n in skipped.items()),
        Loss("answered", stages["paired"] - stages["answered"], "no complete answer of the candidate: counted as its failure"),
        Loss("answered", stages["sent"] - stages["paired"], "still under way, or cut off when their router or client ended"),
        Loss("parsed", stages["answered"] - stages["parsed"], "no prediction could be read in one of the two answers"),
        Loss("compared", duplicate, "asked the same as an earlier request of the rollout: counted once"),
    ]
    return tuple(loss for loss in found if loss.n > 0)
