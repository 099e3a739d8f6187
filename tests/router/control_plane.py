"""A control plane that speaks `GET /internal/table`, holds the poll, answers what a test tells it to, and takes counts."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import msgspec

from modelctl.counts import Report

HOLD = 2.0


class ControlPlane:
    """`publish` sets the body that polls for a lower version get; `raw` replaces the whole answer."""

    def __init__(self, port: int = 0) -> None:
        self.polls: list[dict[str, str]] = []
        self.keys: list[str] = []
        self.reports: list[Report] = []
        self.deaf = False
        self._body = b""
        self._version = 0
        self._raw = b""
        self._changed = threading.Condition()
        self._stopping = False
        plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                plane.handle(self)

            def do_POST(self) -> None:
                plane.take(self)

            def log_message(self, *args: object) -> None:
                """Tests look at `polls` instead."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def last(self) -> dict[str, str]:
        """What the latest poll said."""
        return self.polls[-1] if self.polls else {"after": ""}

    def publish(self, body: bytes, version: int, *, raw: bytes = b"") -> None:
        """From now on polls that are behind `version` get `body`, or the bytes `raw` as they are."""
        with self._changed:
            self._body, self._version, self._raw = body, version, raw
            self._changed.notify_all()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """One poll."""
        query = dict(parse_qsl(urlsplit(handler.path).query))
        self.polls.append(query)
        self.keys.append(handler.headers.get("authorization", ""))
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._version > int(query["after"]), HOLD)
            body = self._body if self._version > int(query["after"]) else b""
            raw = self._raw
        if self._stopping:
            return
        if raw:
            handler.wfile.write(raw)
            return
        handler.send_response(200 if body else 204)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """One report of counts. While `deaf` is set it is read and the worker never learns of it."""
        body = handler.rfile.read(int(handler.headers["content-length"]))
        assert handler.path == "/internal/counts"
        self.reports.append(msgspec.json.decode(body, type=Report))
        if not self.deaf:
            handler.send_response(204)
            handler.end_headers()

    def stop(self) -> None:
        """Answer no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
