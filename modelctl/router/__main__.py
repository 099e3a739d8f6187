"""One router worker: `python -m modelctl.router --name w0 --fd 3 --control http://127.0.0.1:8900`.

The listening socket is inherited: whoever starts a worker has opened it, and it stays open when workers come and go.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import os
import socket
import sys
from collections import Counter
from pathlib import Path
from time import time_ns

import uvloop

from modelctl.endpoint import parse_endpoint
from modelctl.errors import InvalidInput, InvalidSettings
from modelctl.log_line import LogEntry, LogSource, for_people, rendered
from modelctl.router.clock import Clock
from modelctl.router.inventory import Inventory
from modelctl.router.reporting import Reporter
from modelctl.router.roster import Report
from modelctl.router.spool import Spool, SpoolWriter
from modelctl.router.sync import TableSync
from modelctl.router.sync_spool import SyncSpool
from modelctl.router.tls import Credentials, server_context
from modelctl.router.worker import Worker
from modelctl.settings import SYNC, Settings, read_settings

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_LARGE_BLOCK, _MOST_KEPT = 4 * 1024 * 1024, 32 * 1024 * 1024


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m modelctl.router", description=__doc__)
    parser.add_argument("--name", default="w0", help="unique among the workers of one control plane")
    parser.add_argument("--fd", type=int, required=True, help="the listening socket, inherited")
    parser.add_argument("--ready-fd", type=int, help="gets a byte when this worker serves; until it has a table it accepts nothing")
    parser.add_argument("--control", default="http://127.0.0.1:8900", help="URL of the control plane")
    parser.add_argument("--data-dir")
    return parser.parse_args(argv)


def report(name: str, event: str, *, text: str = "") -> None:
    """One line on standard error, if there is room for it: it may be a file on a full disk."""
    entry = LogEntry(event=event, message=text, at=time_ns() // 1_000_000)
    people = for_people(os.environ.get("MODELCTL_LOG_FORMAT", ""), terminal=os.isatty(2))
    with contextlib.suppress(OSError):
        os.write(2, rendered(entry, LogSource("router", os.getpid(), name), people=people))


def _credentials(settings: Settings, name: str) -> Credentials | None:
    """What clients are met with over TLS; None without TLS. Raises InvalidSettings when the files cannot be used."""
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if not certificate:
        return None
    try:
        server_context(certificate, key, client_ca=client_ca)
    except (OSError, ValueError) as error:
        raise InvalidSettings([f"MODELCTL_TLS_CERTIFICATE: {certificate} and {key} cannot be used: {error}"]) from None
    return Credentials(
        "clients",
        lambda: server_context(certificate, key, client_ca=client_ca),
        files=(certificate, key, client_ca),
        report=lambda event, text: report(name, event, text=text),
    )


def _announce(descriptor: int) -> None:
    """Tell who started this worker that it serves."""
    os.write(descriptor, b"1")
    os.close(descriptor)


def _spool(name: str, settings: Settings, *, loop: asyncio.AbstractEventLoop, say: Report) -> Spool:
    """A new one, with a folder of its own."""
    folder = settings.spool_dir / f"{name}-{time_ns() // 1000:x}-{os.getpid()}"
    writer = SpoolWriter(folder, settings.spool_max_bytes, fsync=settings.spool_fsync, report=say)
    if settings.spool_mode == SYNC:
        return SyncSpool(writer, loop, max_bytes=settings.spool_buffer_bytes, report=say)
    return Spool(writer, loop.call_later, max_bytes=settings.spool_buffer_bytes)


async def _run(arguments: argparse.Namespace, settings: Settings, *, credentials: Credentials | None) -> None:
    listener = socket.socket(fileno=arguments.fd)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()

    events: Counter[str] = Counter()

    def say(event: str, text: str) -> None:
        events[event] += 1
        report(arguments.name, event, text=text)

    spool = _spool(arguments.name, settings, loop=loop, say=say)

    sync = TableSync(
        parse_endpoint(arguments.control),
        arguments.name,
        key=settings.key,
        file=settings.table_file,
        report=say,
    )
    say("started", f"listening on {listener.getsockname()}")
    worker = Worker(settings, spool, clock=Clock(loop.time()), report=say, credentials=credentials)
    counted = Inventory(worker, spool, events=events)
    reporter = Reporter(sync.control, counted, worker=arguments.name, boot=spool.writer.name, key=settings.key)
    reporting = loop.create_task(reporter.run())
    ready = arguments.ready_fd
    await worker.serve(listener, sync, on_ready=None if ready is None else lambda: _announce(ready))
    reporting.cancel()
    await reporter.leave()
    own = ", ".join(f"{code} {count}" for code, count in sorted(worker.refusals.items()))
    again = worker.retried()
    retries = f"retries: {again.again}, retry budget exhausted: {again.exhausted}"
    bodies = f"bodies that no rule could look at: {worker.targets.unread}"
    waits = f"records that were not waited for: {spool.unwaited}; " if settings.spool_mode == SYNC else ""
    report(arguments.name, "stopped", text=f"answers of the router's own: {own or 'none'}; {bodies}; {waits}{retries}")


def _keep_freed_memory() -> None:
    """What was freed serves the next read: else glibc hands large blocks back to the system, to ask for them again at once.

    That was 45 page faults for a request and an answer of 1 MiB. On other C libraries nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


def main(argv: list[str]) -> int:
    """The exit code: 0 after a drain, 2 for a wrong setting."""
    arguments = _arguments(argv)
    try:
        settings = read_settings(os.environ, {"data_dir": arguments.data_dir})
        parse_endpoint(arguments.control)
        credentials = _credentials(settings, arguments.name)
    except InvalidSettings as error:
        sys.stderr.write("".join(f"error: {fault}\n" for fault in error.faults))
        return 2
    except InvalidInput as error:
        sys.stderr.write(f"error: --control: {error}\n")
        return 2
    try:
        Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: {os.strerror(error.errno or 0)}; choose another one\n")
        return 2
    # What is loaded now stays: the collector need not look at it again and again on the hot path.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    _keep_freed_memory()
    uvloop.run(_run(arguments, settings, credentials=credentials))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
