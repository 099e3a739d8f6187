"""Other servers that people run models on: aiohttp's and Python's own, each in a thread."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Protocol

from aiohttp import web

from tests.clients.model_app import PIECE


class Server(Protocol):
    """A server in a thread."""

    url: str

    def stop(self) -> None:
        """End it."""


class AiohttpServer:
    """aiohttp's server: POST answers size and hash of the body, GET 100 numbered chunks."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.url = f"http://127.0.0.1:{port}"

    async def _start(self) -> int:
        app = web.Application(client_max_size=1 << 40)
        app.router.add_post("/{rest:.*}", self._digest)
        app.router.add_get("/{rest:.*}", self._chunks)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _digest(self, request: web.Request) -> web.Response:
        whole, size = hashlib.sha256(), 0
        async for piece in request.content.iter_any():
            whole.update(piece)
            size += len(piece)
        return web.json_response({"size": size, "sha256": whole.hexdigest()})

    async def _chunks(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for number in range(100):
            await response.write(b"%d\n" % number)
        await response.write_eof()
        return response

    def stop(self) -> None:
        """End its connections."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Plain(BaseHTTPRequestHandler):
    """POST answers size and hash of the body, GET 100 numbered lines, which end with the connection where nothing else says so."""

    def do_POST(self) -> None:
        whole, size = hashlib.sha256(), 0
        for piece in self._body():
            whole.update(piece)
            size += len(piece)
        self._answer(json.dumps({"size": size, "sha256": whole.hexdigest()}).encode(), length=True)

    def do_GET(self) -> None:
        self._answer(b"".join(b"%d\n" % number for number in range(100)), length=self.protocol_version == "HTTP/1.1")

    def _answer(self, body: bytes, *, length: bool) -> None:
        self.send_response(200)
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding"):
            return _chunks(self.rfile)
        return _pieces(self.rfile, int(self.headers.get("Content-Length", 0)))

    def log_message(self, *args: object) -> None:
        """Tests look at answers."""


def _pieces(file: BufferedIOBase, left: int) -> Iterator[bytes]:
    while left:
        piece = file.read(min(left, PIECE))
        left -= len(piece)
        yield piece


def _chunks(file: BufferedIOBase) -> Iterator[bytes]:
    while size := int(file.readline(), 16):
        yield file.read(size)
        file.readline()
    file.readline()


class PlainServer:
    """http.server, which speaks HTTP/1.0 unless told."""

    def __init__(self, version: str) -> None:
        handler = type("Handler", (_Plain,), {"protocol_version": version})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
