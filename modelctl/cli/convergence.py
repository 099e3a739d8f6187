"""Whether the routers have taken what a command published, and how fast the old traffic stopped."""

import msgspec

from modelctl.cli.quantities import milliseconds
from modelctl.errors import ModelctlError


class Worker(msgspec.Struct, frozen=True):
    """A worker that serves from the new table.

    `last_request_ms`: for each backend that lost its traffic, how many milliseconds after the command arrived it was last sent
    a request; None when it was sent none after it.
    """

    worker: str
    last_request_ms: dict[str, float | None] = {}


class Laggard(msgspec.Struct, frozen=True):
    """A worker that does not serve from the new table, and why."""

    worker: str
    version: int = 0
    reason: str = ""


class Convergence(msgspec.Struct, frozen=True):
    """Where the routers stood when the control plane answered."""

    version: int
    converged: bool
    elapsed_ms: float = 0.0
    workers: tuple[Worker, ...] = ()
    laggards: tuple[Laggard, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """What went live on how many workers and when; and when the backends that lost their traffic got their last request."""
        total = len(self.workers) + len(self.laggards)
        live = f"table {self.version} live on {len(self.workers)} of {total} workers after {milliseconds(self.elapsed_ms)}"
        lost = dict.fromkeys(name for worker in self.workers for name in worker.last_request_ms)
        return [live if total else f"table {self.version} saved", *(self._last_request(name) for name in lost)]

    def require_of_connected(self) -> None:
        """Like `require`, for changes that may well come before the first router: without any, nothing is late."""
        if self.laggards:
            self.require()

    def require(self) -> None:
        """Raises ModelctlError that names each laggard, unless all workers serve from the table."""
        if self.converged:
            return
        if not self.laggards:
            raise ModelctlError(
                f"table {self.version} is saved, but no router is connected to serve from it: start one with "
                "modelctl serve or modelctl router"
            )
        reasons = "; ".join(f"{late.worker} (table {late.version}) {late.reason}" for late in self.laggards)
        raise ModelctlError(f"table {self.version} is saved, but not every worker serves from it: {reasons}")

    def _last_request(self, backend: str) -> str:
        sent = [when for worker in self.workers if (when := worker.last_request_ms.get(backend)) is not None]
        if not sent:
            return f"no request was sent to {backend} after the command"
        return f"the last request to {backend} was sent {milliseconds(max(sent))} after the command"


class Changed(msgspec.Struct, frozen=True):
    """What every answer to a change of a backend or a route holds."""

    convergence: Convergence
