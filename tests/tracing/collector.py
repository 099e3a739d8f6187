"""A collector: OTLP over HTTP, decoded by the protocol's own classes."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


class Span(NamedTuple):
    """One span; ids in hex, "" for no parent. `links` are span ids, `took` is µs."""

    trace: str
    id: str
    parent: str
    name: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool
    took: int
    service: str


class Collector:
    """`refuses` makes it answer 400; while `open` is cleared, nobody gets an answer."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.refuses = False
        self.open = threading.Event()
        self.open.set()
        self.asked = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.handle(self)

            def log_message(self, *args: object) -> None:
                """Tests look at `spans` instead."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """One export."""
        body = handler.rfile.read(int(handler.headers["content-length"]))
        if handler.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert handler.path == "/v1/traces"
        self.asked += 1
        self.open.wait(10)
        if not self.refuses:
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        handler.send_response(400 if self.refuses else 200)
        handler.send_header("content-type", "application/x-protobuf")
        handler.end_headers()
        handler.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _spans(asked: Any) -> list[Span]:  # noqa: ANN401 generated classes
    found = []
    for group in asked.resource_spans:
        resource = _attributes(group.resource.attributes)
        for one in (span for scope in group.scope_spans for span in scope.spans):
            found.append(
                Span(
                    one.trace_id.hex(),
                    one.span_id.hex(),
                    one.parent_span_id.hex(),
                    one.name,
                    tuple(link.span_id.hex() for link in one.links),
                    _attributes(one.attributes),
                    one.status.code == 2,
                    (one.end_time_unix_nano - one.start_time_unix_nano) // 1000,
                    resource["service.name"],
                )
            )
    return found


def _attributes(pairs: Any) -> dict[str, Any]:  # noqa: ANN401 generated classes
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
