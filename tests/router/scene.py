"""One router before one strict backend, and what both made of the same bytes."""

import re
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import sleep
from typing import NamedTuple

from modelctl.evidence import CLIENT_GONE, Served
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import SHORT, baseline
from tests.router.process import RouterProcess
from tests.router.spool_tail import SpoolTail
from tests.router.strict_backend import BETWEEN_PIECES, StrictBackend, View
from tests.router.wire import get

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_ADDED = {b"host", b"content-length", b"transfer-encoding", b"x-request-id", b"traceparent", b"forwarded", b"via"}


class Seen(NamedTuple):
    """What reached the backend and what the router wrote down, both in order, and the statuses that the client got."""

    views: list[View]
    records: list[Served]
    statuses: list[int]

    @property
    def whole(self) -> list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]]:
        """The complete requests at the backend, without what the router adds."""
        return [(view.method, view.target, end_to_end(view.fields), view.body) for view in self.views if view.complete]

    @property
    def hurried(self) -> bool:
        """Whether a client that waited for an answer was taken for one that left: a loaded machine was too slow for it."""
        return any(record.answer.failure == CLIENT_GONE for record in self.records)

    def check(self) -> None:
        """Two views of one thing: what the backend saw is what the router wrote down, and not one request more."""
        assert [view for view in self.views if view.fault] == []
        there = Counter((view.method, view.target, len(view.body)) for view in self.views if view.complete)
        written = Counter((record.request.method, record.request.target, record.request.size) for record in self.records)
        clean = Counter(
            (record.request.method, record.request.target, record.request.size)
            for record in self.records
            if not record.answer.failure
        )
        assert there <= written, f"{there - written} reached the backend and was not written down: {self.views}"
        assert clean <= there, f"{clean - there} was written down as answered and did not reach the backend whole"
        parts = Counter((view.method, view.target) for view in self.views)
        heads = Counter((record.request.method, record.request.target) for record in self.records)
        assert parts <= heads, f"{parts - heads} began at the backend and was not written down: {self.views}"


def end_to_end(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What a client sent of them."""
    return [(name, value) for name, value in fields if name.lower() not in _ADDED and not name.lower().startswith(b"x-forwarded-")]


class Scene:
    """See the module. Examples come one after the other: what was seen between two calls of `seen` belongs to one."""

    def __init__(self, folder: Path) -> None:
        self.backend = StrictBackend()
        backend = Backend(name="strict", endpoints=(self.backend.url,), response_timeout_ms=3_000)
        table = RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("strict"),)),))
        self.router = RouterProcess(folder, table, settings=SHORT | {"idle_timeout": "10"}).ready()
        self._tail = SpoolTail(folder)
        self._numbers = count(1)
        self.seen()

    def stop(self) -> None:
        """The router must have lived until now, and ends in order."""
        assert self.router.process.poll() is None
        assert self.router.stop() == 0
        self.backend.stop()
        assert "Traceback" not in self.router.events(), self.router.events()

    def seen(self, statuses: Sequence[int] = ()) -> Seen:
        """What was seen since the last call. A request of its own comes last: everything before it is over then."""
        mark = f"/mark/{next(self._numbers)}"
        assert self.router.ask(get(mark)).status == 200
        records = self._tail.until(mark.encode())
        views = [view for view in self.backend.views if view.target != mark.encode()]
        self.backend.views.clear()
        return Seen(views, records, list(statuses))

    def sent(self, *pieces: bytes, first: bytes = b"") -> Seen:
        """What comes of a connection with these reads and an end, after `first` and its answers when there is one."""
        with self.router.client() as client:
            if first:
                client.ask(first)
            with suppress(OSError):  # it may have been refused already
                for number, piece in enumerate(pieces):
                    if number:
                        sleep(BETWEEN_PIECES)
                    client.send(piece)
                client.socket.shutdown(socket.SHUT_WR)
            answers = client.rest()
        return self.seen([int(status) for status in _STATUS.findall(answers)])
