"""A disk that is full: clients notice nothing, every loss is counted and keeps gates closed, and with room again all goes on."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Load, Reply, bodies, failures, flowing, wrong
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route
from tests.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.external("mount")

DISK = 48 << 20
RATE = 100.0
GATE = "error_rate:guardrail:margin=30pt"
LOST = "were dropped before they were recorded"


def load(program: Program, prefix: str, rate: float = RATE) -> Load:
    return Load(program.port, bodies(prefix, "/fraud"), connections=8, rate=rate)


def prepare(program: Program, models: Mapping[str, str], *options: str) -> Ledger:
    """A canary of a half with a gate."""
    add_backends(program, models)
    add_route(program, "fraud")
    program.modelctl("canary", "fraud", "new", "--percent", "50", "--gate", GATE, *options).done()
    return Ledger(program.database_url)


def evidence(program: Program) -> dict[str, Any]:
    """What the status says of it."""
    found: dict[str, Any] = program.status()["evidence"]
    return found


def untouched(*flows: list[Reply]) -> None:
    """No client noticed anything."""
    for replies in flows:
        assert not failures(replies)
        assert wrong(replies) == []


def dropped_of(ledger: Ledger) -> Counter[str]:
    """Over all spools, by reason."""
    return sum((Counter(msgspec.json.decode(spool.dropped)) for spool in ledger.spools()), Counter())


def complete(ledger: Ledger, flows: Mapping[str, list[Reply]]) -> None:
    """Every answered request is recorded once or counted as dropped, and of no one else is anything recorded."""
    ledger.conserved()
    answered = {reply.ask.id for replies in flows.values() for reply in replies if reply.good}
    until(lambda: _recorded(ledger, flows) + dropped_of(ledger).total() == len(answered), what="all that was answered")
    recorded = [id_ for prefix in flows for id_ in ledger.request_ids(prefix)]
    assert len(recorded) == len(set(recorded))
    assert set(recorded) <= answered
    ledger.conserved()
    assert ledger.one("SELECT sum(duplicate + quarantined + corrupt_bytes) FROM spool") == 0
    assert ledger.one("SELECT coalesce(sum(n), 0) FROM rollup WHERE metric = 'dropped'") == dropped_of(ledger).total()


def _recorded(ledger: Ledger, flows: Mapping[str, list[Reply]]) -> int:
    return sum(len(ledger.request_ids(prefix)) for prefix in flows)


def starve(program: Program, disk: SmallDisk) -> None:
    """Returns when some records were dropped for want of room, and there is room again."""
    disk.fill(leave=DISK // 20)
    until(lambda: evidence(program)["reasons"].get("disk-full", 0) > 30, what="drops that are counted")
    disk.make_room()


def test_with_the_spools_disk_full_gates_stay_closed_and_a_new_rollout_begins_without_the_gap(
    models: Mapping[str, str], tmp_path: Path
) -> None:
    with small_disk(DISK) as disk, running(disk.folder / "data", database=f"sqlite:///{tmp_path / 'modelctl.db'}") as program:
        ledger = prepare(program, models, "--mode", "auto", "--min-n", "400", "--max-n", "1000000", "--bake", "1s")
        with flowing(load(program, "gap")) as gap:
            starve(program, disk)
            gap.wait_for(400)
            refused = program.modelctl("promote", "fraud")
        assert refused.code == 1
        assert LOST in refused.err
        assert "disk-full" in refused.err
        assert "modelctl promote fraud --force --reason WHY" in refused.err
        for shown in (program.modelctl("status", "fraud").done().out, program.modelctl("report", "fraud").done().out):
            assert LOST in shown
            assert "disk-full" in shown
        history = program.modelctl("history", "fraud", "-o", "json").json["items"]
        assert not {"advance", "promote"} & {event["action"] for event in history}

        program.modelctl("complete", "fraud").done()
        program.modelctl("canary", "fraud", "new", "--percent", "50", "--gate", GATE, "--min-n", "200").done()
        with flowing(load(program, "fresh", rate=0.0)) as fresh:
            fresh.wait_for(500)
            until(lambda: program.modelctl("promote", "fraud").code == 0, what="a promotion")
        untouched(gap.replies, fresh.replies)
        complete(ledger, {"gap": gap.replies, "fresh": fresh.replies})
        assert dropped_of(ledger).keys() == {"disk-full"}


@pytest.mark.slow
def test_evidence_that_makes_up_for_what_was_lost_opens_the_gate_to_automation(models: Mapping[str, str], tmp_path: Path) -> None:
    with small_disk(DISK) as disk, running(disk.folder / "data", database=f"sqlite:///{tmp_path / 'modelctl.db'}") as program:
        ledger = prepare(program, models, "--mode", "auto", "--min-n", "1500", "--max-n", "1000000", "--bake", "1s")
        with flowing(load(program, "gap")) as gap:
            starve(program, disk)
        with flowing(load(program, "more", rate=0.0)) as more:
            wait = ("status", "fraud", "--wait", "promoted", "--timeout", "30s")
            until(lambda: program.modelctl(*wait).code == 0, what="a promotion", within=300)
        untouched(gap.replies, more.replies)
        complete(ledger, {"gap": gap.replies, "more": more.replies})
        n, of = dropped_of(ledger).total(), len(gap.replies) + len(more.replies)
        print(f"disk full: {of:,} requests, 0 failed, {n:,} records dropped, promoted when {n / of:.2%} were missing")


def test_with_the_databases_disk_full_the_recorder_waits_and_loses_nothing(models: Mapping[str, str], tmp_path: Path) -> None:
    with small_disk(DISK) as disk, running(tmp_path / "data", database=f"sqlite:///{disk.folder / 'modelctl.db'}") as program:
        ledger = prepare(program, models)
        with flowing(load(program, "waits")) as flow:
            disk.fill()
            until(lambda: '"waiting"' in program.said, what="a recorder that waits")
            refused = program.modelctl("rollback", "fraud")
            flow.wait_for(200)
            disk.make_room()
            until(lambda: '"resumed"' in program.said, what="a recorder that goes on")
            flow.wait_for(50)
        assert refused.code == 1
        assert "full" in refused.err
        untouched(flow.replies)
        ledger.recorded(flow.replies, "waits")
        complete(ledger, {"waits": flow.replies})
        assert not dropped_of(ledger)
        program.modelctl("rollback", "fraud").done()


def test_with_everything_on_one_full_disk_clients_are_served_and_all_goes_on_afterwards(models: Mapping[str, str]) -> None:
    with small_disk(DISK) as disk, running(disk.folder / "data") as program:
        ledger = prepare(program, models)
        with flowing(load(program, "all")) as flow:
            flow.wait_for(50)
            disk.fill()
            refused = program.modelctl("promote", "fraud")
            flow.wait_for(300)
            _restarts_on(disk, program)
            disk.make_room()
            until(lambda: dropped_of(ledger), what="losses that are told")
            flow.wait_for(100)
        assert refused.code == 1
        untouched(flow.replies)
        complete(ledger, {"all": flow.replies})
        program.modelctl("rollback", "fraud").done()


def _restarts_on(disk: SmallDisk, program: Program) -> None:
    """The recorder can be started on the full disk as well."""
    disk.fill()
    program.restarted("recorder", program.kill("recorder"))
