"""How the endpoints of backends stand, as the routers' workers told last. Pure."""

from collections.abc import Mapping

import msgspec

from modelctl.counts import Key

ENDPOINTS, AVAILABLE, EJECTED, INFLIGHT = "endpoints", "endpoints-available", "endpoints-ejected", "backend-inflight"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One backend: of its endpoints, how many the worker that sees the fewest can use; what all workers have in flight there.

    `workers` is how many told; 0 when nobody did, and then nothing is known.
    """

    workers: int = 0
    endpoints: int = 0
    available: int = 0
    ejected: int = 0
    inflight: int = 0

    @property
    def word(self) -> str:
        """up, down, degraded or unknown."""
        if not self.workers:
            return "unknown"
        return "up" if self.available >= self.endpoints else "degraded" if self.available else "down"


def standing_of(backend: str, gauges: Mapping[Key, list[float]]) -> Standing:
    """What the gauges of `metrics.totals` say of it."""
    told = gauges.get((ENDPOINTS, backend), [])
    if not told:
        return Standing()
    return Standing(
        workers=len(told),
        endpoints=int(max(told)),
        available=int(min(gauges.get((AVAILABLE, backend), [0]))),
        ejected=int(max(gauges.get((EJECTED, backend), [0]))),
        inflight=int(sum(gauges.get((INFLIGHT, backend), []))),
    )
