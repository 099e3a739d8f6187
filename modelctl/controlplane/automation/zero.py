"""How long a bad candidate was seen by anyone: from its first failure to the moment every router had taken its traffic away."""

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.automation.conducting import CONTROLLER
from modelctl.controlplane.fleet import Convergence
from modelctl.rollout import Rollout
from modelctl.store import catalog
from modelctl.store.catalog import Event
from modelctl.store.engine import writing
from modelctl.store.first_failure import first_failure

ZERO_TRAFFIC = "zero-traffic"


class ZeroTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """A rollback's course in Unix microseconds; `ms_to_zero` counts from the first failure. None: it never was.

    `zero_at` is None while a router has not acknowledged; `laggards` names those.
    """

    first_failure_at: int | None
    decided_at: int
    zero_at: int | None
    ms_to_zero: float | None
    routers: int
    laggards: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """How long the candidate was still asked."""
        if self.zero_at is None:
            return f"still waiting for {', '.join(self.laggards) or 'a router'} to take the candidate's traffic away"
        since = "" if self.ms_to_zero is None else f", {self.ms_to_zero / 1000:.1f} s after the candidate's first failure"
        return f"no router asks the candidate any more: {(self.zero_at - self.decided_at) / 1000:.0f} ms after the decision{since}"


def zero_traffic(convergence: Convergence, *, first: int | None, decided: int) -> ZeroTraffic:
    """The course of a rollback that was decided at `decided` and that the routers took over as `convergence` says."""
    zero = max((worker.applied_at for worker in convergence.workers), default=0) if convergence.converged else None
    return ZeroTraffic(
        first_failure_at=first,
        decided_at=decided,
        zero_at=zero,
        ms_to_zero=None if zero is None or first is None else round((zero - first) / 1000, 3),
        routers=len(convergence.workers),
        laggards=tuple(worker.worker for worker in convergence.laggards),
    )


def record_zero(engine: Engine, rollout: Rollout, *, convergence: Convergence, decided: int) -> ZeroTraffic:
    """Writes a line of history about the rollback the controller decided at Unix microsecond `decided`."""
    with writing(engine) as connection:
        found = zero_traffic(convergence, first=first_failure(connection, rollout), decided=decided)
        event = Event(
            at=found.zero_at or decided,
            actor=CONTROLLER,
            action=ZERO_TRAFFIC,
            route=rollout.route,
            rollout=rollout.id,
            reason=found.sentence,
            detail=msgspec.to_builtins(found),
        )
        catalog.append_event(connection, event)
    return found
