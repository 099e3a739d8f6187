"""Which endpoints of a backend are asked: those that are well, not ejected, or all of them when too few are left."""

from collections.abc import Callable, Sequence
from random import random
from typing import NamedTuple

from modelctl.router.balance import UNKNOWN, Candidate, pick
from modelctl.router.ejection import most_out, outliers
from modelctl.router.health import Pulse
from modelctl.router.watch import Watch
from modelctl.traffic import Backend

Report = Callable[[str, str], None]


def unheard(event: str, text: str) -> None:
    """A report that nobody reads."""


class EndpointState(NamedTuple):
    """One endpoint as a router sees it: `why` is "well", "unhealthy: <why>" or "ejected for another <seconds> s"."""

    url: str
    available: bool
    why: str
    inflight: int
    ewma_ms: float
    ejections: int


class Roster:
    """`watches` and `pulses` are in the order of the backend's endpoints; `pulses` is empty without health checks.

    `report(event, text)` is told of every ejection and return, and when all have to be used because fewer than half are
    available (the panic threshold of Envoy).
    """

    def __init__(self, backend: Backend, now: float, *, pulses: Sequence[Pulse], report: Report) -> None:
        self._backend = backend
        self._rule = backend.ejection
        self._pulses = pulses
        self._report = report
        self._candidates = [Candidate(number, now) for number in range(len(backend.endpoints))]
        self._available = [True] * len(self._candidates)
        self._panic = False
        self._interval_end = 0.0
        self._use = self._candidates
        self.watches: list[Watch] = []

    def candidate(self, number: int) -> Candidate:
        """The endpoint `number` in the choice."""
        return self._candidates[number]

    # -- the choice

    def pick(self, now: float) -> int:
        """The endpoint for the next request."""
        return pick(self._use, now, chance=random).number

    def pick_but(self, tried: Sequence[int], now: float) -> int:
        """The best endpoint that is none of `tried`, also one that is out when no other is left; -1 for none."""
        left = [it for it in self._use if it.number not in tried] or [it for it in self._candidates if it.number not in tried]
        return pick(left, now, chance=random).number if left else -1

    # -- who is in

    def tick(self, now: float) -> None:
        """Often: end what ejections are over, compare success rates when it is time, follow the health checks."""
        for number, watch in enumerate(self.watches):
            if watch.outcomes.until and now >= watch.outcomes.until:
                watch.outcomes.come_back()
                self._report("endpoint-returned", f"{self._name(number)}: its ejection is over")
        if self._rule is not None and now >= self._interval_end:
            self._end_interval(now)
        self._settle(now)

    def on_streak(self, number: int, now: float) -> None:
        """The endpoint has failed too often in a row."""
        if self._rule is not None and self._eject(number, now, why=f"{self.watches[number].outcomes.streak} failures in a row"):
            self._settle(now)

    def _end_interval(self, now: float) -> None:
        rule = self._rule
        if rule is None:
            return
        self._interval_end = now + rule.interval_ms / 1000
        outcomes = [watch.outcomes for watch in self.watches]
        for number in outliers(outcomes, rule):
            asked = outcomes[number].succeeded + outcomes[number].failed
            self._eject(number, now, why=f"{outcomes[number].failed} of {asked} requests failed, far more than elsewhere")
        for one in outcomes:
            one.next_interval()

    def _eject(self, number: int, now: float, *, why: str) -> bool:
        """Whether the endpoint is out now. Never the last one that is available, and no more at a time than the rule says."""
        rule = self._rule
        out = sum(bool(watch.outcomes.until) for watch in self.watches)
        others = any(self._is_available(other) for other in range(len(self.watches)) if other != number)
        if rule is None or not others or not self._is_available(number) or out >= most_out(len(self.watches), rule):
            return False
        outcomes = self.watches[number].outcomes
        outcomes.eject(rule, now)
        self._report("endpoint-ejected", f"{self._name(number)}: {why}; out for {outcomes.until - now:g} s")
        return True

    def _is_available(self, number: int) -> bool:
        ejected = bool(self.watches) and self.watches[number].outcomes.until > 0
        return not ejected and (not self._pulses or self._pulses[number].well)

    def _settle(self, now: float) -> None:
        """Follow what has changed. An endpoint that comes back begins as if it was as fast as the middle one of the others."""
        available = [self._is_available(number) for number in range(len(self._candidates))]
        if available == self._available:
            return
        for number, candidate in enumerate(self._candidates):
            if available[number] and not self._available[number]:
                candidate.join(now, self._middle(available, now), warm_up=self._backend.slow_start_ms / 1000)
        self._available = available
        self._choose_from(available)

    def _middle(self, available: Sequence[bool], now: float) -> float:
        """What those endpoints need that were available before, too, in seconds."""
        before = zip(self._candidates, available, self._available, strict=True)
        known = sorted(candidate.load.seconds(now) for candidate, is_in, was_in in before if is_in and was_in)
        return known[len(known) // 2] if known else UNKNOWN

    def _choose_from(self, available: Sequence[bool]) -> None:
        count = len(self._candidates)
        panic = sum(available) * 2 < count
        self._use = self._candidates if panic else [it for it in self._candidates if available[it.number]]
        if panic != self._panic and count > 1:
            event = "endpoints-panic" if panic else "endpoints-panic-over"
            self._report(event, f"{sum(available)} of {count} endpoints of backend {self._backend.name!r} are available")
        self._panic = panic

    def silence(self) -> None:
        """Report nothing any more."""
        self._report = unheard

    # -- a new description, and a look

    def resemble(self, old: "Roster", now: float) -> None:
        """`old` is the same backend before its description changed: what is known of an endpoint stays, a new one warms up."""
        numbers = {url: number for number, url in enumerate(old._backend.endpoints)}
        fresh = [number for number, url in enumerate(self._backend.endpoints) if url not in numbers]
        for number, url in enumerate(self._backend.endpoints):
            if url in numbers:
                self._resemble_one(number, old, before=numbers[url])
        known = [number not in fresh for number in range(len(self._candidates))]
        self._available = known
        for number in fresh:
            candidate = self._candidates[number]
            candidate.join(now, self._middle(known, now), warm_up=self._backend.slow_start_ms / 1000)
        self._available = [self._is_available(number) for number in range(len(self._candidates))]
        self._choose_from(self._available)

    def _resemble_one(self, number: int, old: "Roster", *, before: int) -> None:
        self._candidates[number].resemble(old._candidates[before])
        if self.watches and old.watches and self._rule is not None:
            self.watches[number].outcomes.resemble(old.watches[before].outcomes)
        if self._pulses and old._pulses:
            self._pulses[number].resemble(old._pulses[before])

    def states(self, now: float) -> tuple[EndpointState, ...]:
        """Each endpoint, for people."""
        return tuple(self._state(number, now) for number in range(len(self._candidates)))

    def _state(self, number: int, now: float) -> EndpointState:
        candidate = self._candidates[number]
        why, ejections = "well", 0
        if self.watches:
            outcomes = self.watches[number].outcomes
            ejections = outcomes.ejections
            if outcomes.until:
                why = f"ejected for another {max(0.0, outcomes.until - now):.1f} s"
        if self._pulses and not self._pulses[number].well:
            why = f"unhealthy: {self._pulses[number].why}"
        url = self._backend.endpoints[number]
        milliseconds = candidate.load.seconds(now) * 1000
        return EndpointState(url, self._is_available(number), why, candidate.busy, milliseconds, ejections)

    def _name(self, number: int) -> str:
        return f"{self._backend.endpoints[number]} of backend {self._backend.name!r}"
