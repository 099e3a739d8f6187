"""How a routing table reaches a worker: a long poll of the control plane, and the last good table on disk.

The poll for version N says that N is what this worker serves from (the acknowledgement), or that a newer one was refused and
why. A worker never waits for the control plane: it starts from the table on disk and serves on while nobody answers.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import random
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlencode

from modelctl.endpoint import Endpoint
from modelctl.errors import ControlPlaneUnreachable, InvalidTable
from modelctl.traffic import RoutingTable, decode_table

POLL_SECONDS = 40.0  # the control plane holds a poll up to 25 s
CONNECT_SECONDS = 2.0
LEAVE_SECONDS = 0.5
HELD_SECONDS = 0.5  # a poll that is not answered by then is held
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
MAX_TABLE_BYTES = 64 * 1024 * 1024


class Applied(NamedTuple):
    """What a worker serves from: the version, since when (Unix µs), and when each backend last got a request (Unix µs)."""

    version: int
    at: int
    last: Mapping[str, int]


class Applier(Protocol):
    """Who puts a table into service."""

    def applied(self) -> Applied:
        """What is served from now."""

    def apply(self, table: RoutingTable) -> None:
        """Serve from `table` from now on. Raises InvalidTable and changes nothing when it cannot."""


def load_table(path: Path) -> RoutingTable | None:
    """The last good table, or None when there is none or the file is damaged."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
        return decode_table(body) if hashlib.sha256(body).hexdigest().encode() == digest else None
    except (OSError, InvalidTable):
        return None


def save_table(path: Path, body: bytes) -> None:
    """Replace the last good table in one step: a reader sees the old file or the new one, never a part. Raises OSError."""
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    with fresh.open("wb") as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


class TableSync:
    """The poll, for ever. `report(event, text)` is told when the control plane goes away, comes back, or sends nonsense.

    `current` is set once the table is as new as can be: the first poll was answered, or is held because there is no newer one, or
    there is nobody to ask and a table from before.
    """

    def __init__(self, control: Endpoint, worker: str, *, key: str, file: Path, report: Callable[[str, str], None]) -> None:
        self.control = control
        self._worker = worker
        self._key = key
        self._file = file
        self._report = report
        self._refused = ""
        self._refused_version = 0
        self.current = asyncio.Event()

    async def run(self, applier: Applier) -> None:
        """Until cancelled."""
        pause = 0.0
        while True:
            try:
                body = await self._poll(applier.applied())
            except ControlPlaneUnreachable as error:
                if applier.applied().version:
                    self.current.set()
                if not pause:
                    self._report("control-plane-unreachable", str(error))
                pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, pause * 2))
                await asyncio.sleep(pause * (0.5 + random() / 2))
                continue
            if pause:
                self._report("control-plane-reached", "")
                pause = 0.0
            if body:
                await self._take(body, applier)
            self.current.set()

    async def leave(self, applier: Applier) -> None:
        """Tell the control plane that this worker serves no more, so that no command waits for it. Not worth waiting for."""
        with suppress(ControlPlaneUnreachable, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._poll(applier.applied(), leaving=True)

    async def _take(self, body: bytes, applier: Applier) -> None:
        try:
            table = decode_table(body)
            if table.version <= applier.applied().version:
                await asyncio.sleep(LONGEST_PAUSE)  # nothing new: whoever answers so does not hold the poll
                return
            applier.apply(table)
            self._refused = ""
        except Exception as error:  # noqa: BLE001  (whatever a table does to this program, the old one stays and the poll goes on)
            self._refuse(body, str(error) if isinstance(error, InvalidTable) else f"{type(error).__name__}: {error}")
            await asyncio.sleep(LONGEST_PAUSE)
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, save_table, self._file, body)
        except OSError as error:
            self._report("table-not-saved", f"{self._file}: {error}; after a restart this worker waits for the control plane")

    def _refuse(self, body: bytes, why: str) -> None:
        self._report("table-refused", why)
        self._refused = why
        digits = body.partition(b'"version":')[2][:20].split(b",")[0].strip()
        self._refused_version = int(digits) if digits.isdigit() else 0

    async def _poll(self, applied: Applied, *, leaving: bool = False) -> bytes:
        version = applied.version
        query: dict[str, object] = {"after": version, "worker": self._worker, "applied": version, "applied_us": applied.at}
        if leaving:
            query["leaving"] = "true"
        if self._refused:
            query |= {"refused": self._refused_version, "why": self._refused[:500]}
        last = ",".join(f"{quote(backend)}:{at}" for backend, at in applied.last.items())
        path = f"{self.control.path}/internal/table?{urlencode(query)}&last={last}"
        authority = self.control.authority
        lines = [f"GET {path} HTTP/1.1", f"host: {authority}", "connection: close"]
        if self._key:
            lines.append(f"authorization: Bearer {self._key}")
        try:
            return await self._exchange("\r\n".join(lines).encode() + b"\r\n\r\n")
        except (OSError, TimeoutError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise ControlPlaneUnreachable(f"no routing table from {self.control}: {error or type(error).__name__}") from None

    async def _exchange(self, request: bytes) -> bytes:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(self.control.host, self.control.port, limit=65_536)
        try:
            async with asyncio.timeout(POLL_SECONDS):
                writer.write(request)
                asyncio.get_running_loop().call_later(HELD_SECONDS, self.current.set)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                status = int(head.split(" ", 2)[1])
                if status == 204:
                    return b""
                if status != 200:
                    raise ValueError(f"it answered {status}")
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                if length > MAX_TABLE_BYTES:
                    raise ValueError(f"a table of {length} bytes")
                return await reader.readexactly(length)
        finally:
            writer.close()
