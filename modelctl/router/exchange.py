"""One request of a client and its answer: sent to the arm that answers, streamed back, copied within bounds, written down."""

from time import perf_counter_ns, time_ns
from typing import Protocol

from modelctl import evidence
from modelctl.evidence import Answer, Request, Served, encode
from modelctl.router.answer_head import AnswerHead
from modelctl.router.choice import choose
from modelctl.router.counting import trace_of
from modelctl.router.decision import Decision
from modelctl.router.head import CHUNKED, RequestHead
from modelctl.router.identity import identity_lines, uuid7
from modelctl.router.interim import SWITCHING, switching
from modelctl.router.outgoing import LAST_CHUNK, chunked, last_chunk, prefix, recorded, send
from modelctl.router.overload import Load
from modelctl.router.refusal import FAILURES, Refusal
from modelctl.router.repeat import Trial, drop_answer, first_trial, repeat, settle
from modelctl.router.retargeting import retargeted
from modelctl.router.shadow import Evidence, ShadowCopy, aborted, show
from modelctl.router.table import CompiledRoute
from modelctl.router.upstream import HIGH_WATER, Upstream

_UNDECIDED = 1 << 40  # bytes kept until the route is known, which is before the next read
_NO_LIMIT = 1 << 60


class Client(Protocol):
    """The connection a request came on, as its exchange sees it."""

    spool: Evidence
    load: Load
    write_paused: bool

    def write(self, parts: list[bytes], size: int) -> None:
        """Send bytes of the answer: `size` of them, and a little more."""

    def forwarding(self, head: RequestHead) -> bytes:
        """The fields that say whom the request is from."""

    def connection_line(self, head: RequestHead) -> bytes:
        """The Connection field of the answer."""

    def close_after(self) -> None:
        """This answer is the last on the connection."""

    def cut(self) -> None:
        """End the connection without ending the answer."""

    def refuse(self, refusal: Refusal, exchange: "Exchange") -> None:
        """Send the router's own answer."""

    def on_exchange_done(self, exchange: "Exchange") -> None:
        """The answer is complete."""

    def switch(self, exchange: "Exchange", upstream: Upstream, *, head: bytes, rest: bytes) -> None:
        """Send the head of a 101, and `rest`; HTTP ends between them."""

    def await_body(self, until: float) -> None:
        """Part of choice.Held."""

    def pause_upload(self) -> None:
        """Stop reading the request until it can be passed on."""

    def resume_upload(self) -> None:
        """Read on."""


class Exchange:
    """From the moment a request's head is there until its answer is complete or given up.

    `upload` holds what is not yet written to the backend, `kept` the prefix of the body that is recorded and shown. Defaults
    stand on the class: an ordinary request sets only what it has.
    """

    route: CompiledRoute
    decision: Decision
    refusal: Refusal | None = None
    upstream: Upstream | None = None
    shadows: list[ShadowCopy] | None = None
    trial: Trial | None = None  # of a request that may be or was sent again
    ticket = 0  # of the breaker that let it through
    decide_by = 0.0  # the clock's seconds until which a rule waits for the body
    served: bytes = b""
    gone = False
    shown: tuple[tuple[str, str], ...] = ()
    unit = b""
    size = 0
    received = 0
    kept_size = 0
    kept_limit = _UNDECIDED
    body_limit = _NO_LIMIT  # the route's; the router's own holds too
    notes = b""  # field lines for the answer, whoever gives it
    complete = False
    begun = False
    done = False
    answered = False
    switches = False  # it asked for another protocol, and may get it
    trailers = False  # its client reads them
    _fields = b""  # of the request, the same for every arm that gets it
    _upload_size = 0
    _chunked_answer = False
    _first_byte = 0
    _first_event = 0
    _answer_size = 0
    _kept_answer_size = 0

    def __init__(self, client: Client, head: RequestHead) -> None:
        self.client = client
        self.head = head
        self.head_only = head.method == b"HEAD"
        self.started = perf_counter_ns()
        self.at = at = time_ns() // 1000
        self.id = id_ = uuid7(at)
        self.request_id = head.request_id or id_.hex().encode()
        self.upload: list[bytes] = []
        self.kept: list[bytes] = []
        self._kept_answer: list[bytes] = []

    # -- the request, on its way to the backend

    def begin(self, route: CompiledRoute) -> None:
        """Decide, now or when a rule has seen the body."""
        self.begun = True
        self.route = route
        if route.unit_field:
            self.unit = self.head.unit(route.unit_field)
        load = self.client.load
        load.inflight += 1
        decision = route.decide(self.unit or self.request_id)
        if route.choice is None:
            self.go(decision, load)
        else:
            choose(self, decision)

    def go(self, decision: Decision, load: Load) -> None:
        """It is decided: ask the arm's backend for a connection."""
        if decision.breaker is not None:
            self.ticket, decision = decision.consult()
        self.decision = decision
        target = decision.answering.target
        if target.budget is not None:
            self.trial = first_trial(self, target)
        capture = self.route.capture
        whole = (decision.shown or self.trial is not None) and not load.shedding
        self._keep_up_to(max(capture.request_bytes, capture.shadow_bytes) if whole else capture.request_bytes)
        decision.answering.last = self.at
        if not target.send(self):
            self.on_broken(evidence.OVERLOAD)

    def _keep_up_to(self, limit: int) -> None:
        self.kept_limit = limit
        if self.kept_size > limit:
            self.kept = [prefix(self.kept, limit=limit)]
            self.kept_size = limit

    def on_connected(self, upstream: Upstream) -> None:
        """Part of Leg: the head goes out, and as much of the body as is there."""
        if self.done or (self.trial is not None and not self.trial.start(upstream)):
            upstream.abandon()
            self.on_broken(evidence.TIMEOUT)
            return
        self.upstream = upstream
        if self.client.write_paused:
            upstream.hold()
        self.upload.insert(0, self.request_head(upstream))
        if self._upload_size > HIGH_WATER:
            self.client.resume_upload()
        self.flush()

    def request_head(self, upstream: Upstream, extra: bytes = b"") -> bytes:
        """The head for one endpoint: the client's fields without hop-by-hop ones, then ours. `extra` marks a copy."""
        head = self.head
        owner = upstream.owner
        if not self._fields:
            identity = identity_lines(self.id, self.request_id, parent=head.traceparent)
            self._fields = self.client.forwarding(head) + identity
        if owner.endpoint.path or owner.host or self.route.cut or not head.host or (extra and head.codings is not None):
            start = retargeted(head, self.route, owner=owner, size=self.size, copied=extra != b"")
        else:
            start = head.start
        return b"%b%b%b\r\n" % (start, self._fields, extra)

    def on_body(self, data: bytes) -> None:
        """More of the request's body."""
        size = len(data)
        self.size += size
        if self.kept_size < self.kept_limit:
            kept = data if self.kept_size + size <= self.kept_limit else data[: self.kept_limit - self.kept_size]
            self.kept.append(kept)
            self.kept_size += len(kept)
        if not self.done:
            self.upload.append(data if self.head.codings is None else b"%x\r\n%b\r\n" % (size, data))
            self._upload_size += size

    def on_complete(self) -> None:
        """The request is all there: now it can be shown to others."""
        self.complete = True
        if self.head.codings is not None and not self.done:
            self.upload.append(LAST_CHUNK)

    def more(self) -> None:
        """More of the request came with a later read: the backend's time to answer begins anew."""
        if self.decide_by:
            choose(self, self.decision)
            if self.done or self.decide_by:
                return
        if self.upload and self.upstream is not None:
            self.upstream.extend()
            if self.trial is not None:
                self.trial.extend(self.upstream)
        self.flush()

    def flush(self) -> None:
        """Write what is there to the backend, or hold the client back while there is no connection."""
        if self.upstream is not None:
            upload = self.upload
            if upload:
                send(self.upstream.transport, upload, size=self._upload_size)
                self.upload = []
                self._upload_size = 0
        elif self._upload_size > HIGH_WATER:
            self.client.pause_upload()
        if self.complete and self.shadows is None and not self.done and self.decision.shown:
            self.shadows, self.shown = show(self, self.decision.shown, load=self.client.load)

    def pause(self) -> None:
        """Part of Leg: the backend is slow to read."""
        self.client.pause_upload()

    def resume(self) -> None:
        """Part of Leg: the backend reads again."""
        self.client.resume_upload()

    # -- the answer, on its way to the client

    def on_hints(self, data: bytes) -> None:
        """Part of Leg: HTTP/1.0 knows no interim answers (RFC 9110 15.2)."""
        if self.head.version == "1.1":
            self.client.write([data], len(data))

    def on_switched(self, upstream: Upstream, rest: bytes) -> None:
        """Part of Leg: this was the last answer; what follows belongs to a tunnel."""
        self.answered = True
        self._first_byte = perf_counter_ns()
        settle(self, SWITCHING, failure="")
        own = b"x-request-id: %b\r\n%b" % (self.request_id, self.decision.answering.header)
        self.client.switch(self, upstream, head=switching(upstream.answer, own), rest=rest)

    def on_tunnel_end(self, failure: str, *, up: int, down: int) -> None:
        """Part of Switched."""
        upstream, self.upstream = self.upstream, None
        self.size, self._answer_size = up, down
        self._write_down(upstream, failure)

    def on_answer(self, upstream: Upstream) -> None:
        """Part of Leg: forward what came in this read, in one write."""
        if self.trial is not None and not self.answered and drop_answer(self, upstream):
            return
        parts = upstream.parts
        size = sum(map(len, parts)) if len(parts) != 1 else len(parts[0])
        self._keep(parts, size)
        if upstream.events is not None and upstream.events.found(upstream.parts):
            self._first_event = perf_counter_ns()
            upstream.events = None
        out = parts if not self._chunked_answer else chunked(parts, size)
        if not self.answered:
            self.answered = True
            self._first_byte = perf_counter_ns()
            head = self._answer_head(upstream.answer)  # first: it decides how the body is framed
            out = [head, *(chunked(parts, size) if self._chunked_answer else parts)]
        if upstream.complete and self._chunked_answer:
            out = [*out, last_chunk(upstream.trailers)]
        if out:
            self.client.write(out, size)
        if upstream.complete:
            self._end(upstream)

    def _keep(self, parts: list[bytes], size: int) -> None:
        self._answer_size += size
        room = self.route.capture.answer_bytes - self._kept_answer_size
        if size <= room:
            self._kept_answer += parts
            self._kept_answer_size += size
        elif room > 0:
            self._kept_answer.append(b"".join(parts)[:room])
            self._kept_answer_size += room

    def _answer_head(self, answer: AnswerHead) -> bytes:
        client = self.client
        if not self.complete:
            client.close_after()
        return b"%b%b%bx-request-id: %b\r\n%b%b\r\n" % (
            answer.start,
            b"" if answer.length and answer.status != 204 else self._own_framing(answer.status),
            self.notes,
            self.request_id,
            self.decision.answering.header,
            client.connection_line(self.head),
        )

    def _own_framing(self, status: int) -> bytes:
        """How an answer of unknown length ends: with a last chunk, or with the connection for HTTP/1.0 (RFC 9112 6.3)."""
        if self.head_only or status in (204, 304):
            return b""
        if self.head.version == "1.1":
            self._chunked_answer = True
            return CHUNKED
        self.client.close_after()
        return b""

    def _end(self, upstream: Upstream) -> None:
        self._write_down(upstream, "")
        if self.complete:
            upstream.release()
        else:
            upstream.abandon()
        self.client.on_exchange_done(self)

    def on_broken(self, failure: str) -> None:
        """Part of Leg: there is no complete answer. The client gets ours, or a cut where the answer had begun."""
        if self.done:
            return
        upstream, self.upstream = self.upstream, None
        if upstream is not None and not self.answered and repeat(self, upstream, cause=failure):
            return
        self._write_down(upstream, failure)
        if self.answered or failure == evidence.CLIENT_GONE:
            self.client.cut()
        else:
            self.client.refuse(FAILURES.get(failure, Refusal.INVALID), self)

    def client_gone(self) -> None:
        """The client left: the backend need not go on."""
        if self.done or not self.begun:
            self.done = True
            return
        upstream, self.upstream = self.upstream, None
        self.gone = True
        self._write_down(upstream, evidence.CLIENT_GONE)
        if upstream is not None:
            upstream.abandon()
        else:
            self.decision.answering.target.forget(self)

    # -- the evidence

    @property
    def evidence(self) -> Evidence:
        """Part of Shown."""
        return self.client.spool

    def _write_down(self, upstream: Upstream | None, failure: str) -> None:
        """Append the *served* record. Before the connection is released: it still holds the answer's head."""
        self.done = True
        self.client.load.inflight -= 1
        decision = self.decision
        settle(self, upstream.answer.status if upstream is not None else 0, failure=failure)
        if decision.shown and self.shadows is None:
            self.shown = aborted(decision.shown)
        head = self.head
        route = self.route
        body = recorded(self.kept, self.size, limit=route.capture.request_bytes)
        fields = head.captured(route.fields) if route.fields else ()
        stream = upstream is not None and upstream.answer.events
        started = self.started
        answered = upstream is not None and self.answered
        status = upstream.answer.status if answered and upstream else 0
        took = (perf_counter_ns() - started) // 1000
        leg = decision.answering
        if leg.counts.answered(status, failure, took=took):
            leg.counts.exemplify(took, trace_of(self.id, head.traceparent), at=self.at)
        served = Served(
            self.id,
            self.request_id,
            self.at,
            decision.context_for(self.unit) if self.unit else decision.context,
            Request(head.method, head.target, head.type, head.encoding, body, self.size, fields),
            Answer(
                leg.backend,
                status,
                failure,
                took,
                (self._first_byte - started) // 1000 if answered else 0,
                upstream.answer.type if upstream else b"",
                upstream.answer.encoding if upstream else b"",
                recorded(self._kept_answer, self._answer_size, limit=route.capture.answer_bytes, stream=stream),
                self._answer_size,
                (self._first_event - started) // 1000 if self._first_event else 0,
            ),
            self.shown,
            self.trial.sends if self.trial is not None else 1,
        )
        self.trial = None  # which knows this exchange: only the collector would find the two, and their bodies, much later
        self.served = payload = encode(served if route.editing is None else route.editing.served(served, bool(self.shadows)))
        self.client.spool.append(payload)
        if self.shadows:
            shadows, self.shadows = self.shadows, []
            for shadow in shadows:
                shadow.on_served()
