"""`python model_process.py NAME [MILLISECONDS]`: a model server on a free port of the loopback, which it prints.

    POST ...              ->  {"label": ..., "model": NAME}, see `answering`
    x-wait: MILLISECONDS  ->  the answer waits that long, and the MILLISECONDS of the command line
    PUT /mood             ->  from now on every POST is answered as the body says: `well`, `failing` (status 500), `wrong` (the
                              label of another model), `slow` (a quarter of a second later)

It ends when its standard input does, so it never outlives the test.
"""

import asyncio
import sys
from typing import cast

import httptools
import uvloop

from tests.acceptance.answering import label_of

SLOW = 0.25


class Mood:
    """How the server is at the moment."""

    now = "well"


class Connection:
    """One connection; requests do not overlap on it."""

    transport: asyncio.Transport

    def __init__(self, name: str, delay: float) -> None:
        self._name = name
        self._delay = delay
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._wait = delay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        pass

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"x-wait":
            self._wait += int(value) / 1000

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"PUT":
            Mood.now = self._body.decode()
        status = b"500 Internal Server Error" if Mood.now == "failing" and self._parser.get_method() == b"POST" else b"200 OK"
        label = label_of("somebody else" if Mood.now == "wrong" else self._name, self._body)
        answer = b'{"label":"%b","model":"%b"}' % (label.encode(), self._name.encode())
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(answer))
        self._wait += SLOW if Mood.now == "slow" else 0
        if self._wait:
            asyncio.get_running_loop().call_later(self._wait, self._answer, head + answer)
        else:
            self.transport.write(head + answer)
        self._body, self._wait = b"", self._delay

    def _answer(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


async def serve(name: str, delay: float) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: cast("asyncio.Protocol", Connection(name, delay)), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int([*sys.argv, "0"][2]) / 1000))
