"""Sends spans to a collector over OTLP/HTTP: behind the database, in a thread, from a bounded queue."""

import threading
import time
from collections import deque
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from modelctl import __version__
from modelctl.evidence import Compared, Served
from modelctl.recorder.recorder import Log
from modelctl.tracing.spans import spans
from modelctl.traffic import Reason

MOST_WAITING = 20_000  # spans
AT_ONCE = 512
SEND_SECONDS = 10.0
LAST_SECONDS = 5.0
OLDEST = 3_600_000_000  # µs: what is imported or was left behind for longer is no trace of now


class Tracer:
    """Takes what has been recorded. A collector that is slow or gone costs spans, which are counted and logged; nobody waits."""

    def __init__(self, endpoint: str, ratio: float, *, log: Log, most: int = MOST_WAITING) -> None:
        self._ratio = ratio
        self._log = log
        self._resource = Resource.create({"service.name": "modelctl", "service.version": __version__})
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_SECONDS)
        self._waiting: deque[ReadableSpan] = deque()
        self._most = most
        self._spilled = False
        self._some = threading.Event()
        self._stopping = False
        self._losing = False
        self.sent = 0
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def take(self, records: Sequence[Served | Compared]) -> None:
        """Part of Tap."""
        oldest = time.time_ns() // 1000 - OLDEST
        for record in records:
            served = record if isinstance(record, Served) else record.served
            if served.at < oldest or served.context.reason == Reason.REPLAY:
                continue
            for span in spans(record, self._resource, ratio=self._ratio):
                if len(self._waiting) < self._most:
                    self._waiting.append(span)
                else:
                    self.lost += 1
                    self._spilled = True
        self._some.set()

    def close(self) -> None:
        """Send what waits, for a moment; then say how much was sent and lost."""
        self._stopping = True
        self._some.set()
        self._thread.join(LAST_SECONDS)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        self._log("traces-ended", sent=self.sent, lost=self.lost + len(self._waiting))

    def _run(self) -> None:
        while not (self._stopping and not self._waiting):
            self._some.wait(1.0)
            self._some.clear()
            while self._waiting:
                self._send([self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))])

    def _send(self, part: list[ReadableSpan]) -> None:
        """One request; the exporter tries again by itself for up to SEND_SECONDS."""
        done = self._exporter.export(part) is SpanExportResult.SUCCESS
        if done:
            self.sent += len(part)
        else:
            self.lost += len(part)
        self._tell("" if done else "the collector does not take them")

    def _tell(self, reason: str) -> None:
        """Says that spans are lost, and when they are sent again. Those that found no room since the last request are lost too."""
        spilled, self._spilled = self._spilled, False
        reason = reason or ("the collector takes them more slowly than they come" if spilled else "")
        if bool(reason) != self._losing:
            self._losing = bool(reason)
            self._log("traces-lost" if reason else "traces-sent-again", reason=reason)
