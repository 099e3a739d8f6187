"""A model server as people write them: Starlette on uvicorn, in a thread, with uvicorn's own keep-alive of 5 s unless told."""

import asyncio
import gzip
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from time import monotonic, sleep
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

PIECE = 65_536
ZIPPED = gzip.compress(json.dumps({"zipped": "x" * 1_000}).encode(), mtime=0)
_BLOCK = bytes(range(256)) * (PIECE // 256)


def pattern(size: int, *, start: int = 0) -> bytes:
    """`size` bytes of a long body that begins `start` bytes (whole pieces) into it: each piece begins with its number."""
    pieces = (b"%08d" % number + _BLOCK[8:] for number in range(start // PIECE, -(-(start + size) // PIECE)))
    return b"".join(pieces)[:size]


def digest(size: int) -> str:
    """The SHA-256 of the first `size` bytes of that body."""
    whole = hashlib.sha256()
    for start in range(0, size, PIECE):
        whole.update(pattern(min(PIECE, size - start), start=start))
    return whole.hexdigest()


class Streams:
    """What streams of events did: when they were left, in seconds of `monotonic`, how many run, and how many ever began."""

    def __init__(self) -> None:
        self.left_at: list[float] = []
        self.running = 0
        self.begun = 0


streams = Streams()


async def _echo(request: Request) -> Response:
    body = await request.body()
    headers = {"x-method": request.method, "x-framing": request.headers.get("transfer-encoding", "length")}
    return Response(body, headers=headers, media_type=request.headers.get("content-type", "application/octet-stream"))


async def _digest(request: Request) -> Response:
    whole, size = hashlib.sha256(), 0
    async for piece in request.stream():
        whole.update(piece)
        size += len(piece)
    return JSONResponse({"size": size, "sha256": whole.hexdigest(), "expect": request.headers.get("expect")})


async def _body(request: Request) -> Response:
    """The long body, with a length or in chunks."""
    size = int(request.path_params["size"])

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, PIECE):
            yield pattern(min(PIECE, size - start), start=start)

    headers = {} if request.query_params.get("chunked") else {"content-length": str(size)}
    return StreamingResponse(pieces(), headers=headers, media_type="application/octet-stream")


class _Mirror:
    """Each piece goes back while the next is on its way. Plain ASGI: Starlette's streaming answer reads the request away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


async def _redirect(request: Request) -> Response:
    return RedirectResponse("/landed?far=1", status_code=int(request.path_params["status"]))


async def _zipped(request: Request) -> Response:
    return Response(ZIPPED, headers={"content-encoding": "gzip"}, media_type="application/json")


async def _cookies(request: Request) -> Response:
    response = JSONResponse(dict(request.cookies))
    response.set_cookie("one", "1", path="/")
    response.set_cookie("two", "a b", httponly=True)
    return response


async def _events(request: Request) -> Response:
    """Numbered events, `gap` seconds apart, for ever unless `count` says how many; the second waits for so many other streams."""
    count, gap = int(request.query_params.get("count", 1 << 30)), float(request.query_params.get("gap", 0.01))
    together = int(request.query_params.get("together", 0))

    async def events() -> AsyncIterator[bytes]:
        streams.running += 1
        streams.begun += 1
        try:
            for number in range(count):
                yield event(number)
                await asyncio.sleep(gap)
                while streams.begun < together:
                    await asyncio.sleep(0.01)
        finally:
            streams.running -= 1
            streams.left_at.append(monotonic())

    return StreamingResponse(events(), media_type="text/event-stream")


def event(number: int) -> bytes:
    """One event; some are long, some have several lines."""
    text = f"naïve {number} " + "x" * (number % 7 * 100)
    return f"id: {number}\nevent: token\ndata: {text}\ndata: second\n\n".encode()


async def _slow(request: Request) -> Response:
    await asyncio.sleep(float(request.path_params["seconds"]))
    return JSONResponse({"slow": True})


def model_app() -> Starlette:
    """The application."""
    endpoints: dict[str, Callable[..., Any]] = {
        "/digest": _digest,
        "/body/{size}": _body,
        "/mirror": _Mirror(),
        "/redirect/{status}": _redirect,
        "/zipped": _zipped,
        "/cookies": _cookies,
        "/events": _events,
        "/slow/{seconds}": _slow,
        "/{rest:path}": _echo,
    }
    methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]
    return Starlette(routes=[Route(path, endpoint, methods=methods) for path, endpoint in endpoints.items()])


class UvicornServer:
    """uvicorn in a thread."""

    def __init__(self, *, keep_alive: int = 5) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(model_app(), log_level="critical", ws="none", lifespan="off", timeout_keep_alive=keep_alive)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            sleep(0.01)

    def stop(self) -> None:
        """Streams that still run are cut."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()
