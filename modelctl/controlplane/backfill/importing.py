"""A stream of exported predictions into a spool, from which the recorder takes them: rows and sums, once by their id."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from modelctl.controlplane.backfill.imported import Known, record_of
from modelctl.controlplane.backfill.plane_spool import PlaneSpool
from modelctl.errors import InvalidInput, StoreError
from modelctl.evidence import Served

FIRST = 20
"""Of so many lines at the start all faults are told at once, and none is taken unless all are right."""
BATCH = 500
BATCH_BYTES = 4 * 1024 * 1024
LONGEST_LINE = 64 * 1024 * 1024
PATIENCE = 50.0  # seconds that the recorder may take to make room
_LOOK = 0.1


class Importer:
    """Takes the lines of one file; `taken` are those that are on the disk."""

    def __init__(self, folder: Path, known: Known) -> None:
        self._folder = folder
        self._known = known
        self._records: list[Served] = []
        self._size = 0
        self.taken = 0

    async def take(self, lines: AsyncIterator[bytes]) -> int:
        """How many lines were taken. Raises InvalidInput at the first wrong one behind the first FIRST; what stands before it is
        taken. Raises StoreError when the recorder makes no room."""
        head: list[bytes] = []
        async for line in lines:
            head.append(line)
            if len(head) == FIRST:
                break
        self._records = self._checked(head)
        spool = await run_in_threadpool(PlaneSpool, self._folder)
        try:
            await self._take_rest(lines, spool)
        finally:
            await run_in_threadpool(spool.close)
        return self.taken

    async def _take_rest(self, lines: AsyncIterator[bytes], spool: PlaneSpool) -> None:
        number = len(self._records)
        async for line in lines:
            number += 1
            try:
                self._records.append(record_of(line, self._known))
            except InvalidInput as error:
                await self._write(spool)
                raise InvalidInput(
                    f"line {number} {error}; the {self.taken} lines before it are taken: mend it and import the file again, what "
                    "is recorded counts once"
                ) from None
            self._size += len(line)
            if len(self._records) >= BATCH or self._size >= BATCH_BYTES:
                await self._write(spool)
        await self._write(spool)

    def _checked(self, head: list[bytes]) -> list[Served]:
        records, faults = [], []
        for number, line in enumerate(head, 1):
            try:
                records.append(record_of(line, self._known))
            except InvalidInput as error:
                faults.append(f"line {number} {error}")
        if faults:
            raise InvalidInput("nothing was taken:\n" + "\n".join(faults))
        return records

    async def _write(self, spool: PlaneSpool) -> None:
        if not self._records:
            return
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while await run_in_threadpool(lambda: spool.full):
            if asyncio.get_running_loop().time() > deadline:
                raise StoreError(
                    f"the recorder of this machine makes no room; {self.taken} lines are taken: see modelctl doctor, import again"
                )
            await asyncio.sleep(_LOOK)
        await run_in_threadpool(spool.write, self._records)
        self.taken += len(self._records)
        self._records, self._size = [], 0


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a stream without their ends; empty ones are left out. Raises InvalidInput for one that is too long."""
    rest = bytearray()
    async for piece in pieces:
        rest += piece
        if b"\n" in piece:
            *whole, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in whole:
                if line.strip():
                    yield line
        if len(rest) > LONGEST_LINE:
            raise InvalidInput(f"a line is longer than {LONGEST_LINE} bytes: is this NDJSON?")
    if rest.strip():
        yield bytes(rest)
