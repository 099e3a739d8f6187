"""How a worker's counts reach the control plane: once a second, in reports that are sent again until they are taken.

Nothing waits for it: while there is no control plane the counts grow here, and the next report that is taken has them all.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

import msgspec

from modelctl.counts import MOST_CHANGES, Gauge, Key, Report, Written
from modelctl.endpoint import Endpoint
from modelctl.errors import ControlPlaneUnreachable
from modelctl.router.census import Census

PERIOD = 1.0
QUIET_PERIODS = 5  # a worker that has counted nothing says how it stands this seldom
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
LAST_SECONDS = 0.5  # for the last report of a worker that ends


class Counted(Protocol):
    """Who counts."""

    def changes(self, census: Census) -> Iterable[tuple[Key, int]]:
        """What has come since `census` was given last."""

    def gauges(self) -> Iterable[Gauge]:
        """How it stands."""

    def written(self) -> Written:
        """How far its spool is."""


class Reporter:
    """Tells what `counted` has counted. `boot` is unique among all workers ever."""

    def __init__(self, control: Endpoint, counted: Counted, *, worker: str, boot: str, key: str) -> None:
        self._control = control
        self._counted = counted
        self._worker = worker
        self._boot = boot
        self._key = key
        self._census = Census()
        self._number = 0
        self._pending: deque[Report] = deque()
        self._quiet = QUIET_PERIODS

    async def run(self) -> None:
        """Until cancelled. Who is not reached now is told later; that nobody answers, the table's poll has said."""
        while True:
            await asyncio.sleep(PERIOD)
            with suppress(ControlPlaneUnreachable):
                await self.tell()

    async def tell(self, *, last: bool = False) -> None:
        """What was not taken before, then what is new. Raises ControlPlaneUnreachable."""
        await self._send_pending()
        self._compose(last=last)
        await self._send_pending()

    async def leave(self) -> None:
        """The last report of a worker that ends. Not worth waiting for."""
        with suppress(ControlPlaneUnreachable, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.tell(last=True)

    def _compose(self, *, last: bool) -> None:
        """The reports of everything that is new, the last of them with how the worker stands."""
        changes = list(self._counted.changes(self._census))
        self._quiet += 1
        if not (changes or last or self._quiet > QUIET_PERIODS):
            return
        self._quiet = 0
        written = self._counted.written()
        exemplars, self._census.exemplars = self._census.exemplars, []
        while len(changes) > MOST_CHANGES:
            self._pending.append(self._report(changes[:MOST_CHANGES], written))
            del changes[:MOST_CHANGES]
        rest = self._report(changes, written)
        gauges = tuple(self._counted.gauges())
        self._pending.append(msgspec.structs.replace(rest, gauges=gauges, exemplars=tuple(exemplars), last=last))

    def _report(self, changes: list[tuple[Key, int]], written: Written) -> Report:
        self._number += 1
        return Report(worker=self._worker, boot=self._boot, number=self._number, changes=tuple(changes), written=written)

    async def _send_pending(self) -> None:
        while self._pending:
            await self._send(msgspec.json.encode(self._pending[0]))
            self._pending.popleft()

    async def _send(self, body: bytes) -> None:
        control = self._control
        lines = [f"POST {control.path}/internal/counts HTTP/1.1", f"host: {control.authority}", "connection: close"]
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
        if self._key:
            lines.append(f"authorization: Bearer {self._key}")
        try:
            status = await self._exchange("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        except (OSError, TimeoutError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise ControlPlaneUnreachable(f"{control} takes no counts: {error or type(error).__name__}") from None
        if not 200 <= status < 300:
            raise ControlPlaneUnreachable(f"{control} takes no counts: it answered {status}")

    async def _exchange(self, request: bytes) -> int:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(self._control.host, self._control.port, limit=65_536)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(request)
                return int((await reader.readuntil(b"\r\n")).split(b" ", 2)[1])
        finally:
            writer.close()
