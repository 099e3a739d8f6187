"""`python -m tests.router.gated_router --fd FD --data-dir DIR ...`: a router worker on a disk that does not come back from a write
while the file DIR/hang exists."""

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path
from time import sleep

import uvloop

from modelctl.endpoint import parse_endpoint
from modelctl.router.__main__ import report
from modelctl.router.clock import Clock
from modelctl.router.spool import Batch, SpoolWriter
from modelctl.router.sync import TableSync
from modelctl.router.sync_spool import SyncSpool
from modelctl.router.worker import Worker
from modelctl.settings import Settings, read_settings

HANG = "hang"


class GatedWriter(SpoolWriter):
    """Writes when it may."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._gate = settings.data_dir / HANG
        super().__init__(folder, settings.spool_max_bytes)

    def _write(self, batch: Batch) -> None:
        while self._gate.exists():
            sleep(0.002)
        super()._write(batch)


def say(event: str, text: str) -> None:
    """One line of JSON on standard error."""
    report("gated", event, text=text)


async def _run(descriptor: int, control: str, *, settings: Settings) -> None:
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    writer = GatedWriter(settings.spool_dir / "gated", settings)
    spool = SyncSpool(writer, loop, max_bytes=settings.spool_buffer_bytes, report=say)
    sync = TableSync(parse_endpoint(control), "gated", key="", file=settings.table_file, report=say)
    await Worker(settings, spool, clock=Clock(loop.time()), report=say).serve(listener, sync)
    say("stopped", f"{spool.unwaited} records were not waited for")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ("--name", "--control", "--data-dir", "--fd"):
        parser.add_argument(option)
    arguments = parser.parse_args(sys.argv[1:])
    given = read_settings(os.environ, {"data_dir": arguments.data_dir})
    uvloop.run(_run(int(arguments.fd), arguments.control, settings=given))
