"""A copy of a client's request, sent to an arm that is shown it. Never felt by the client: own connections, own limits."""

from time import perf_counter_ns
from typing import Protocol

from modelctl import evidence
from modelctl.evidence import Answer, copy_span, encode_compared
from modelctl.router.decision import Leg
from modelctl.router.identity import own_span
from modelctl.router.outgoing import recorded
from modelctl.router.overload import Load
from modelctl.router.table import CompiledRoute
from modelctl.router.upstream import Upstream

_MARK = b"x-shadow: 1\r\n"


class Evidence(Protocol):
    """Where records go."""

    def append(self, payload: bytes) -> None:
        """Take over an encoded record, or count it as dropped."""


class Shown(Protocol):
    """The exchange whose request is copied. `served` is its encoded record, empty until its answer is over; `gone` says that
    its client left."""

    id: bytes
    head_only: bool
    switches: bool
    kept: list[bytes]
    kept_size: int
    size: int
    route: CompiledRoute
    served: bytes
    gone: bool

    def request_head(self, upstream: Upstream, extra: bytes) -> bytes:
        """The head for one endpoint."""

    @property
    def evidence(self) -> Evidence:
        """Where its records go."""


def unfit(exchange: Shown, load: Load) -> str:
    """Why the request is shown to nobody, one of evidence's fates, or ""."""
    if exchange.switches:
        return evidence.UPGRADE
    if exchange.size > exchange.route.capture.shadow_bytes:
        return evidence.TOO_LARGE
    return evidence.SHED if load.shedding or exchange.kept_size < exchange.size else ""


def show(exchange: Shown, legs: tuple[Leg, ...], *, load: Load) -> "tuple[list[ShadowCopy], tuple[tuple[str, str], ...]]":
    """Send copies to the arms that are shown this request, in their order: those that went out, and the fate of each."""
    copies: list[ShadowCopy] = []
    fates: list[tuple[str, str]] = []
    for leg in legs:
        copy = ShadowCopy(exchange, leg)
        fate = unfit(exchange, load) or copy.send()
        fates.append((leg.backend, fate))
        if fate == evidence.SENT:
            copies.append(copy)
        else:
            leg.counts.skipped(fate)
    return copies, tuple(fates)


def aborted(legs: tuple[Leg, ...]) -> tuple[tuple[str, str], ...]:
    """The fates of copies of a request that never became complete."""
    for leg in legs:
        leg.counts.skipped(evidence.ABORTED)
    return tuple((leg.backend, evidence.ABORTED) for leg in legs)


class ShadowCopy:
    """One shown request. When both answers are there, one *compared* record is written, whichever came last."""

    __slots__ = (
        "_answer",
        "_body",
        "_exchange",
        "_first_byte",
        "_first_event",
        "_kept",
        "_leg",
        "_size",
        "_started",
        "_upstream",
        "head_only",
    )

    complete = True  # a copy is made when the request is all there
    switches = False
    trailers = False

    def __init__(self, exchange: Shown, leg: Leg) -> None:
        self._exchange = exchange
        self._leg = leg
        self._upstream: Upstream | None = None
        self._answer: Answer | None = None
        self._started = 0
        self._first_byte = 0
        self._first_event = 0
        self._body: list[bytes] = []
        self._kept = 0
        self._size = 0
        self.head_only = exchange.head_only

    def send(self) -> str:
        """The fate of the copy, one of evidence's."""
        self._started = perf_counter_ns()
        return evidence.SENT if self._leg.target.send(self, self._exchange.kept_size) else evidence.INFLIGHT

    def on_connected(self, upstream: Upstream) -> None:
        """Part of Leg."""
        exchange = self._exchange
        if exchange.gone:
            upstream.abandon()
            return
        self._upstream = upstream
        self._started = perf_counter_ns()
        head = exchange.request_head(upstream, _MARK)
        if exchange.route.traced:
            head = own_span(head, exchange.id, copy=copy_span(exchange.id, self._leg.backend))
        upstream.transport.write(b"".join((head, *exchange.kept)))

    def on_answer(self, upstream: Upstream) -> None:
        """Part of Leg: keep what may be kept, drop the rest."""
        if not self._first_byte:
            self._first_byte = perf_counter_ns()
        if upstream.events is not None and upstream.events.found(upstream.parts):
            self._first_event = perf_counter_ns()
            upstream.events = None
        limit = self._exchange.route.capture.answer_bytes
        for part in upstream.parts:
            self._size += len(part)
            if self._kept < limit:
                self._body.append(part[: limit - self._kept])
                self._kept += len(self._body[-1])
        if upstream.complete:
            self._conclude("", upstream)
            upstream.release()

    def on_hints(self, data: bytes) -> None:
        """Part of Leg: they are for a client."""

    def on_switched(self, upstream: Upstream, rest: bytes) -> None:
        """Part of Leg: a copy never asks for another protocol."""

    def on_broken(self, failure: str) -> None:
        """Part of Leg: a missing answer is an answer: the candidate failed."""
        self._conclude(failure, self._upstream)

    def pause(self) -> None:
        """Part of Leg: the copy is in memory already."""

    def resume(self) -> None:
        """Part of Leg."""

    def on_served(self) -> None:
        """The client's answer is over. A client that left makes no pair."""
        if self._exchange.gone:
            self._cancel()
        elif self._answer is not None:
            self._write_down(self._answer)

    def _cancel(self) -> None:
        upstream, self._upstream = self._upstream, None
        if self._answer is None:
            self._leg.counts.answered(0, evidence.CLIENT_GONE, took=0)
        if self._answer is None and upstream is not None:
            upstream.abandon()
        elif upstream is None:
            self._leg.target.forget(self)

    def _conclude(self, failure: str, upstream: Upstream | None) -> None:
        self._upstream = None
        started = self._started
        stream = upstream is not None and upstream.answer.events
        limit = self._exchange.route.capture.answer_bytes
        status = upstream.answer.status if upstream is not None and self._first_byte else 0
        took = (perf_counter_ns() - started) // 1000
        self._leg.counts.answered(status, failure, took=took)
        self._answer = Answer(
            self._leg.backend,
            status,
            failure,
            took,
            (self._first_byte - started) // 1000 if self._first_byte else 0,
            upstream.answer.type if upstream is not None else b"",
            upstream.answer.encoding if upstream is not None else b"",
            recorded(self._body, self._size, limit=limit, stream=stream),
            self._size,
            (self._first_event - started) // 1000 if self._first_event else 0,
        )
        if self._exchange.served:
            self._write_down(self._answer)

    def _write_down(self, answer: Answer) -> None:
        exchange = self._exchange
        redacted = 0
        if exchange.route.redaction is not None:
            answer, redacted = exchange.route.redaction.answer(answer)
        if not exchange.gone:
            exchange.evidence.append(encode_compared(exchange.served, answer, redacted=redacted))
