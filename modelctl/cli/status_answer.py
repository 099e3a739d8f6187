"""What the CLI reads of `GET /v1/status`. Fields it does not know are left alone, missing ones have a value that says so."""

import msgspec

from modelctl.cli.funnel import Funnel


class ArmStatus(msgspec.Struct, frozen=True):
    """One backend on a route. Shares are basis points; what was observed is None without requests."""

    backend: str
    role: str = ""
    answers: int = 0
    shown: int = 0
    observed: float | None = None
    observed_stage: float | None = None
    requests: int = 0
    errors: int = 0
    error_rate: float | None = None


class VerdictLine(msgspec.Struct, frozen=True):
    """The word and the sentence that say why."""

    word: str
    sentence: str = ""


class Block(msgspec.Struct, frozen=True):
    """What stands in the way of more exposure; `command` clears it, empty where only time or traffic does."""

    barrier: str = ""
    sentence: str = ""
    command: str = ""


class NextMove(msgspec.Struct, frozen=True):
    """What automation does next. `due_at` is when its wait ends by itself (Unix ms), 0 for not by itself."""

    kind: str = ""
    sentence: str = ""
    mode: str = "advise"
    verb: str = ""
    blocked_by: tuple[Block, ...] = ()
    command: str = ""
    due_at: int = 0


class GateLine(msgspec.Struct, frozen=True):
    """One gate: harm from `lower` to `upper` (None: infinite) against its margin, in `unit`."""

    gate: str
    state: str = "no-data"
    candidate: str = ""
    title: str = ""
    design: str = ""
    lower: float | None = None
    upper: float | None = None
    margin: float | None = None
    unit: str = ""
    n: int = 0
    counts: str = ""
    enough_for: int | None = None
    reason: str = ""
    forecast: str = ""


class Watch(msgspec.Struct, frozen=True):
    """A promotion that may still be taken back until a Unix millisecond."""

    backend: str
    baseline: str
    until: int
    mode: str = "advise"
    sentence: str = ""


class ZeroTraffic(msgspec.Struct, frozen=True):
    """How long a candidate that was rolled back by itself was seen, from its first failure to its last request."""

    ms_to_zero: float | None = None


class Ending(msgspec.Struct, frozen=True):
    """How the last rollout of a route ended; `at` is Unix milliseconds."""

    rollout: int
    strategy: str = ""
    phase: str = ""
    winner: str = ""
    candidates: tuple[str, ...] = ()
    at: int = 0
    actor: str = ""
    reason: str = ""


class RolloutStatus(msgspec.Struct, frozen=True):
    """The open rollout of a route. Times are Unix milliseconds."""

    id: int
    strategy: str
    phase: str
    step: int = 0
    steps: int = 0
    title: str = ""
    preview: str = ""
    verbs: tuple[str, ...] = ()
    mode: str = "advise"
    baked_at: int = 0
    gates: tuple[GateLine, ...] = ()
    next: NextMove | None = None


class RouteStatus(msgspec.Struct, frozen=True):
    """One route."""

    name: str
    path: str = "/"
    host: str = ""
    baseline: str = ""
    rollout: RolloutStatus | None = None
    arms: tuple[ArmStatus, ...] = ()
    funnel: tuple[Funnel, ...] = ()
    verdict: VerdictLine | None = None
    watch: Watch | None = None
    last_rollback: ZeroTraffic | None = None
    last: Ending | None = None


class WorkerStatus(msgspec.Struct, frozen=True):
    """One router worker: the table it serves from, and one that it refused."""

    worker: str
    version: int = 0
    alive: bool = True
    refused: int = 0
    why: str = ""


class Backlog(msgspec.Struct, frozen=True):
    """What waits in one spool, the oldest since a Unix microsecond; 0 when no record does."""

    name: str
    bytes: int = 0
    records: int = 0
    oldest_at: int = 0


class Evidence(msgspec.Struct, frozen=True):
    """Records on their way to the database. `lag` is the seconds since one last arrived there, None before the first."""

    offered: int = 0
    accepted: int = 0
    dropped: int = 0
    committed: int = 0
    quarantined: int = 0
    duplicate: int = 0
    lag: float | None = None
    backlogs: tuple[Backlog, ...] = ()
    reasons: dict[str, int] = {}

    @property
    def why_dropped(self) -> str:
        """The dropped ones by why, behind their number; empty when there are none."""
        parts = [f"{reason} {n:,}" for reason, n in sorted(self.reasons.items())]
        return f" ({', '.join(parts)})" if parts else ""

    @property
    def pending(self) -> int:
        """Records that a recorder has seen and not dealt with."""
        return self.accepted - self.committed - self.quarantined - self.duplicate


class Status(msgspec.Struct, frozen=True):
    """Everything at a Unix millisecond. `table_version` is the newest that was published."""

    table_version: int = 0
    at: int = 0
    routes: tuple[RouteStatus, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    evidence: Evidence = Evidence()
