"""`python -m modelctl.controlplane --control 127.0.0.1:8900 --database URL`: the API in one process."""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from sqlalchemy import make_url
from starlette.applications import Starlette

from modelctl.controlplane.dashboard.mounting import create_control_plane
from modelctl.errors import InvalidSettings, SchemaOutdated, StoreError
from modelctl.log_line import LogEntry, LogSource, for_people, rendered
from modelctl.settings import Settings, read_settings
from modelctl.store import schema
from modelctl.store.engine import connect

# A request that is being answered gets this long when the process has to stop.
SHUTDOWN_SECONDS = 3
_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}


class Lines(logging.Formatter):
    """Lines like those of all other processes, without names of events."""

    def __init__(self, *, people: bool) -> None:
        super().__init__()
        self._people = people
        self._source = LogSource("controlplane", os.getpid())

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        level = _LEVELS.get(record.levelno, "error")
        entry = LogEntry(event="", message=message, at=int(record.created * 1000), level=level)
        return rendered(entry, self._source, people=self._people).decode().rstrip("\n")


class Server(uvicorn.Server):
    """Ends long polls and streams of events before it waits for requests to end: stopping does not take as long as they do."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                ws="none",
                lifespan="on",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )
        self._fleet = app.state.plane.fleet
        self._pulse = app.state.plane.pulse

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Being told to stop is no failure: the signal is not raised again at the end, as the base class would.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._fleet.stop()
        self._pulse.stop()
        await super().shutdown(sockets)


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM. 0 then; 1 when the database cannot be used; 2 when a setting is wrong, with a line for each fault."""
    options = _parser().parse_args(arguments)
    try:
        given = {"control": options.control, "database": options.database, "data_dir": options.data_dir}
        settings = read_settings(os.environ, given)
        listener = _listener(settings, options.fd)
    except InvalidSettings as error:
        sys.stderr.write("".join(f"error: {fault}\n" for fault in error.faults))
        return 2
    except OSError as error:
        sys.stderr.write(f"error: --control: cannot listen at {settings.control}: {error.strerror}\n")
        return 2
    return _serve(settings, listener)


def prepare_database(url: str) -> None:
    """A SQLite file gets the schema of this program; a PostgreSQL database must have it. Raises SchemaOutdated, StoreError."""
    if make_url(url).get_backend_name() == "sqlite":
        Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
        schema.upgrade(url)
    else:
        schema.check(url)


def _serve(settings: Settings, listener: socket.socket) -> int:
    logging.basicConfig(level=logging.WARNING, handlers=[_handler()])
    log = logging.getLogger("modelctl.controlplane")
    log.setLevel(logging.INFO)
    url = settings.database_url
    try:
        engine = connect(url)
        prepare_database(url)
    except SchemaOutdated as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except (StoreError, OSError) as error:
        if not url.startswith("postgresql"):
            sys.stderr.write(f"error: {error}\n")
            return 1
        # A server may come back; a file that cannot be opened does not mend itself.
        log.warning("starting without the database: %s", error)
    log.info("listening on %s", listener.getsockname())
    Server(create_control_plane(engine, settings)).run(sockets=[listener])
    engine.dispose()
    return 0


def _handler() -> logging.Handler:
    handler = logging.StreamHandler()
    people = for_people(os.environ.get("MODELCTL_LOG_FORMAT", ""), terminal=sys.stderr.isatty())
    handler.setFormatter(Lines(people=people))
    return handler


def _listener(settings: Settings, fd: int | None) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    family = socket.AF_INET6 if ":" in settings.control.host else socket.AF_INET
    return socket.create_server((settings.control.host, settings.control.port), family=family)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m modelctl.controlplane", description="Decides what the routers serve.")
    parser.add_argument("--control", metavar="HOST:PORT", help="where the API listens")
    parser.add_argument("--database", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of the default database")
    parser.add_argument("--fd", type=int, help="an inherited listening socket, in place of --control")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
