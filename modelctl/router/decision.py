"""What a route can decide about a request, prepared: the arms, and who of them answers and is shown it."""

from modelctl.evidence import Context
from modelctl.router.breaker import RouteBreaker
from modelctl.router.counting import ArmCounts
from modelctl.router.target import Target
from modelctl.traffic import Arm


class Leg:
    """One arm of one route: where its requests go, how answers are marked and counted. `last` is when it last got one (Unix µs)."""

    __slots__ = ("arm", "backend", "counts", "header", "last", "target")

    def __init__(self, arm: Arm, target: Target, *, marked: bool, counts: ArmCounts) -> None:
        self.arm = arm
        self.backend = arm.backend
        self.target = target
        self.counts = counts
        self.header = b"modelctl-arm: " + arm.backend.encode() + b"\r\n" if marked else b""
        self.last = 0


class Decision:
    """What to do with a request: who answers, who is shown it, and what to write down about it.

    With a `breaker`, `fallback` is what to do while it lets nothing through.
    """

    __slots__ = ("answering", "breaker", "context", "fallback", "shown")

    def __init__(self, answering: Leg, shown: tuple[Leg, ...], *, context: Context) -> None:
        self.answering = answering
        self.shown = shown
        self.context = context
        self.breaker: RouteBreaker | None = None
        self.fallback: Decision | None = None

    def consult(self) -> tuple[int, "Decision"]:
        """The breaker's ticket and this decision, or 0 and the fallback."""
        ticket = self.breaker.admit() if self.breaker is not None else 0
        return ticket, self if ticket or self.fallback is None else self.fallback

    def context_for(self, unit: bytes) -> Context:
        """The context of a request with this unit. Without one it is the same value for all."""
        c = self.context
        return Context(c.route, c.rollout, c.stage, c.table, c.role, c.reason, c.probability, unit, c.instead_of)
