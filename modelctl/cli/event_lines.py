"""The history as people read it: what a decision said and the verb after it repeats stands there once. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from modelctl.cli.quantities import moment

DECISION = "decision"


class Event(msgspec.Struct, frozen=True):
    """One line of the history. `at` is a Unix time in microseconds."""

    id: int
    at: int
    actor: str
    action: str
    route: str | None = None
    rollout: int | None = None
    backend: str | None = None
    reason: str | None = None
    detail: dict[str, Any] | None = None

    @property
    def subject(self) -> str:
        """What it was done to."""
        detail = self.detail or {}
        before, after = detail.get("baseline_from"), detail.get("baseline_to")
        what = f"{before} -> {after}" if before and after else f"baseline {after}" if after else self.backend
        rollout = f"rollout {self.rollout}" if self.rollout else None
        changed = ", ".join(detail) if self.action.startswith("change-") else None
        return " · ".join(part for part in (self.route, rollout, what, changed) if part) or "-"

    def cells(self, why: str) -> list[str]:
        """In the order of the list's columns."""
        detail = msgspec.json.encode(self.detail or {}).decode()
        return [str(self.id), moment(self.at), self.actor, self.action, self.subject, why, detail]


def event_lines(events: Sequence[Event]) -> Iterator[list[str]]:
    """The cells of each event; a decision refers to the event of its moment that says the same sentence."""
    for event in events:
        same = (one for one in events if _repeats(one, event)) if event.action == DECISION and event.reason else iter(())
        yield event.cells(_why(event, next(same, None)))


def _repeats(act: Event, decision: Event) -> bool:
    """Whether `act` followed from the decision and says its sentence too."""
    place = (decision.rollout, decision.at)
    return act.action != DECISION and (act.rollout, act.at) == place and (decision.reason or "") in (act.reason or "")


def _why(event: Event, act: Event | None) -> str:
    if act is None:
        return event.reason or "-"
    return f"{(event.detail or {}).get('kind', DECISION)}: the sentence of {act.id}"
