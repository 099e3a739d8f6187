"""A request that is sent again: what is remembered of it, and the moves that `retry` allows."""

from time import perf_counter_ns
from typing import Protocol, cast

from modelctl import evidence
from modelctl.router.decision import Decision
from modelctl.router.head import RequestHead
from modelctl.router.outgoing import LAST_CHUNK
from modelctl.router.pool import Pool
from modelctl.router.retry import NEVER, PAID, STALE, harmless, way
from modelctl.router.target import Target
from modelctl.router.upstream import Leg, Upstream

_BEGINS = {502: "502", 503: "503", 504: "504"}  # the answers that can be dropped, as a cause


class Repeatable(Leg, Protocol):
    """The exchange, as far as repeating it goes."""

    head: RequestHead
    decision: Decision
    started: int
    upload: list[bytes]
    kept: list[bytes]
    kept_size: int
    size: int
    upstream: Upstream | None
    trial: "Trial | None"
    ticket: int


class Trial:
    """The attempts of one request. None starts after `until` (the clock's seconds); `sends` counts them."""

    __slots__ = ("_leg", "_paid", "_target", "sends", "until")

    def __init__(self, leg: Repeatable, target: Target, *, until: float) -> None:
        self.until = until
        self.sends = 1
        self._leg = leg
        self._target = target
        self._paid = False

    def start(self, upstream: Upstream) -> bool:
        """A connection is there: it may be used as long as an attempt may take. False: too late."""
        self._target.trials.discard(self)
        now = self._target.clock.now
        if now >= self.until:
            return False
        upstream.deadline = min(now + self._target.attempt_timeout, self.until)
        return True

    def extend(self, upstream: Upstream | None) -> None:
        """More of the request came: the time for its answer begins anew."""
        now = self._target.clock.now
        self.until = now + self._target.timeouts[0]
        if upstream is not None and not upstream.head_complete:
            upstream.deadline = now + self._target.attempt_timeout

    def pay(self) -> bool:
        """Whether the budget has one more retry."""
        target = self._target
        budget = target.budget
        self._refund()
        if budget is None or not budget.take(target.clock.now):
            target.budget_exhausted += 1
            return False
        self._paid = True
        return True

    def expired(self) -> None:
        """Its time has passed while it waited for a connection."""
        self._target.forget(self._leg)
        self._leg.on_broken(evidence.TIMEOUT)

    def close(self) -> None:
        """The request is over."""
        self._target.trials.discard(self)
        self._refund()

    def _refund(self) -> None:
        if self._paid and self._target.budget is not None:
            self._target.budget.on_done()
        self._paid = False


def first_trial(exchange: Repeatable, target: Target) -> Trial:
    """The attempts of a request to a backend that has retries: its time is that of an answer, from now on."""
    if target.budget is not None:
        target.budget.on_request(target.clock.now)
    trial = Trial(exchange, target, until=target.clock.now + target.timeouts[0])
    target.trials.add(trial)
    return trial


def _late_trial(exchange: Repeatable, target: Target) -> Trial:
    """Without retries nothing is kept of a request until it is to be repeated."""
    age = (perf_counter_ns() - exchange.started) / 1e9
    return Trial(exchange, target, until=target.clock.now + target.timeouts[0] - age)


def repeat(exchange: Repeatable, upstream: Upstream, *, cause: str) -> bool:
    """Send it again, if it may be. Before that its connection to the last backend is forgotten; False changes nothing."""
    target = exchange.decision.answering.target
    if not _whole(exchange) or not harmless(exchange.head.method, keyed=exchange.head.keyed, idempotent=target.backend.idempotent):
        return False
    trial = exchange.trial or _late_trial(exchange, target)
    if cause == evidence.RESET and not upstream.silent:
        return False
    chosen = way(cause, sends=trial.sends, stale=upstream.used, policy=target.backend.retries)
    if chosen == NEVER or target.clock.now >= trial.until or (chosen == PAID and not trial.pay()):
        return False
    return _send(exchange, upstream, trial=trial, fresh=chosen == STALE)


def drop_answer(exchange: Repeatable, upstream: Upstream) -> bool:
    """Whether the answer that begins is one to try again after; then nobody sees it."""
    cause = _BEGINS.get(upstream.answer.status, "")
    if not cause or not repeat(exchange, upstream, cause=cause):
        return False
    if upstream.complete:
        upstream.release()
    else:
        upstream.abandon()
    return True


def settle(exchange: Repeatable, status: int, *, failure: str) -> None:
    """It is known how the backend answered: for a tunnel long before its end. Only the first time counts."""
    breaker = exchange.decision.breaker
    if breaker is not None:
        breaker.settle(exchange.ticket, status, failure=failure)
        exchange.ticket = 0
    if exchange.trial is not None:
        exchange.trial.close()


def _whole(exchange: Repeatable) -> bool:
    return exchange.complete and exchange.kept_size == exchange.size


def _send(exchange: Repeatable, upstream: Upstream, *, trial: Trial, fresh: bool) -> bool:
    target = exchange.decision.answering.target
    before = exchange.upload, exchange.upstream, exchange.trial
    exchange.upload, exchange.upstream, exchange.trial = _body(exchange), None, trial
    exchange.resume()
    trial.sends += 1
    target.trials.add(trial)
    if target.again(exchange, cast("Pool", upstream.owner), size=exchange.kept_size, fresh=fresh):
        target.retried += 1
        return True
    trial.sends -= 1
    target.trials.discard(trial)
    exchange.upload, exchange.upstream, exchange.trial = before
    return False


def _body(exchange: Repeatable) -> list[bytes]:
    """The request's body as it goes over the wire."""
    if exchange.head.codings is None:
        return list(exchange.kept)
    size = exchange.kept_size
    return [b"%x\r\n" % size, *exchange.kept, b"\r\n", LAST_CHUNK] if size else [LAST_CHUNK]
