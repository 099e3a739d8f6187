"""How many requests reached each stage on the way to a pair with a candidate; the same lines in the status and the report."""

from collections.abc import Iterator

import msgspec

from modelctl.cli.quantities import count


class Loss(msgspec.Struct, frozen=True):
    """Requests that did not reach a stage, and why."""

    stage: str
    n: int
    reason: str


class Funnel(msgspec.Struct, frozen=True):
    """Requests of one candidate that was shown them."""

    candidate: str
    eligible: int = 0
    sampled: int = 0
    sent: int = 0
    answered: int = 0
    parsed: int = 0
    paired: int = 0
    fallback: int = 0
    losses: tuple[Loss, ...] = ()


STAGES = ("eligible", "sampled", "sent", "answered", "parsed", "paired")


def funnel_lines(funnel: Funnel) -> Iterator[str]:
    """From the requests that could have been compared to the pairs that were, then a reason for each loss."""
    counts = " -> ".join(f"{name} {count(getattr(funnel, name))}" for name in STAGES)
    yield f"shadow {funnel.candidate}: {counts}"
    yield from (f"  {count(loss.n)} not {loss.stage}: {loss.reason}" for loss in funnel.losses)
    if funnel.fallback:
        yield f"fallback: {count(funnel.fallback)} requests of {funnel.candidate} answered by the baseline"
