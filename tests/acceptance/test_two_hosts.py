"""Two hosts with routers and recorders of their own on one PostgreSQL: one of them dies, and nothing is lost or counted twice."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Load, bodies, failures, flowing, wrong
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route

RATE = 200.0
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


def load(program: Program, prefix: str) -> Load:
    return Load(program.port, bodies(prefix, "/shared", units=50), connections=8, rate=RATE)


@pytest.fixture
def ledger(postgres_url: str) -> Ledger:
    return Ledger(postgres_url)


def test_two_hosts_record_into_one_database_and_one_of_them_may_die(
    models: Mapping[str, str], tmp_path: Path, ledger: Ledger, *, postgres_url: str
) -> None:
    deadlocks = ledger.one(DEADLOCKS)
    with (
        running(tmp_path / "one", database=postgres_url) as one,
        running(tmp_path / "two", database=postgres_url) as two,
    ):
        add_backends(one, models)
        add_route(one, "shared", "--unit", "header:x-user-id")
        one.modelctl("canary", "shared", "new", "--percent", "20", "--shadow-percent", "100").done()
        until(lambda: two.status()["workers"][0]["version"] == ledger.version(), what="the table on the other host")
        with flowing(load(one, "one")) as first, flowing(load(two, "two")) as second:
            first.wait_for(200)
            one.restarted("recorder", one.kill("recorder"))
            second.wait_for(200)
            two.restarted("recorder", two.kill("recorder"))
            first.wait_for(200)
        for flow, prefix in ((first, "one"), (second, "two")):
            assert not failures(flow.replies)
            assert wrong(flow.replies) == []
            ledger.recorded(flow.replies, prefix)
        ledger.conserved()
        with flowing(load(one, "alone")) as alone:
            two.end()
            alone.wait_for(300)
            one.modelctl("rollback", "shared").done()
        assert not failures(alone.replies)
        ledger.recorded(alone.replies, "alone")
    with running(tmp_path / "two", database=postgres_url) as again, flowing(load(again, "again")) as last:
        last.wait_for(100)
    ledger.recorded(last.replies, "again")
    ledger.conserved()
    assert ledger.one("SELECT sum(duplicate + quarantined + corrupt_bytes) FROM spool") == 0
    assert ledger.one(DEADLOCKS) == deadlocks
    arms = {row.unit: row.arms for row in ledger.rows("SELECT unit, count(DISTINCT arm) AS arms FROM prediction GROUP BY unit")}
    assert len(arms) == 50
