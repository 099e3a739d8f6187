"""Retention: rows go by age and size, sums stay, whoever records is never kept waiting for long, and nothing is counted twice."""

import asyncio
import random
import threading
from collections.abc import Sequence

import msgspec
import pytest
from sqlalchemy import func, insert, select, update

from modelctl.controlplane.automation.retention import Retention
from modelctl.errors import InvalidInput
from modelctl.evidence import Compared, Served
from modelctl.store import retention, route_size, tables
from modelctl.store.engine import connect, reading, writing
from modelctl.store.pruning import main, planned, prune
from modelctl.store.sweep import LONG, MOST_ROWS, Pace, Wish, finish, sweep_of
from modelctl.traffic import Capture
from tests.recorder.stream import LATER, START, Recording, answer, mixed, register, rows, served, shown_to_new

DAY = 86_400_000_000


@pytest.fixture
def url(database_url: str) -> str:
    register(database_url)
    return database_url


def _record(url: str, records: Sequence[Served | Compared], name: str = "worker-0") -> None:
    recording = Recording(url, name)
    recording.take(records)
    recording.engine.dispose()


def _moved(records: Sequence[Served | Compared], by: int) -> list[Served | Compared]:
    """The records, so many microseconds later, under ids of their own."""
    return [
        msgspec.structs.replace(one, served=_later(one.served, by)) if isinstance(one, Compared) else _later(one, by)
        for one in records
    ]


def _later(one: Served, by: int) -> Served:
    identity = (int.from_bytes(one.id, "big") + by).to_bytes(16, "big")
    return msgspec.structs.replace(one, id=identity, at=one.at + by, request_id=one.request_id + b"-%d" % by)


def _prune(url: str, wish: Wish, at: int) -> retention.Removed:
    engine = connect(url)
    removed, _ = prune(engine, wish, at=at)
    engine.dispose()
    return removed


def _keep(url: str, seconds: int) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(update(tables.route).values(capture=f'{{"keep_seconds": {seconds}}}'))
    engine.dispose()


def test_old_rows_go_with_their_pairs_and_the_sums_stay(url: str) -> None:
    old = mixed(300)
    _record(url, [*old, *_moved(old, 2 * DAY)])
    sums, totals = rows(url, "rollup"), rows(url, "rollup_total")
    before = len(rows(url, "prediction")), len(rows(url, "pair"))
    removed = _prune(url, Wish(older_than=86_400), START + 2 * DAY)
    assert (removed.predictions * 2, removed.pairs * 2) == before
    assert all(row["at"] >= START + 2 * DAY for table in ("prediction", "pair") for row in rows(url, table))
    assert (rows(url, "rollup"), rows(url, "rollup_total")) == (sums, totals)


def test_a_route_keeps_its_rows_for_as_long_as_it_says_and_for_ever_unless_it_does(url: str) -> None:
    _record(url, mixed(50))
    assert _prune(url, Wish(), START + 400 * DAY) == retention.Removed()
    _keep(url, 30 * 86_400)
    assert _prune(url, Wish(), START + 29 * DAY).predictions == 0
    assert _prune(url, Wish(route="other", older_than=1), START + 400 * DAY).predictions == 0
    assert _prune(url, Wish(), START + 31 * DAY).predictions > 0
    assert rows(url, "prediction") == []


def test_an_answer_whose_truth_waits_stays_until_the_sums_have_it(url: str) -> None:
    recording = Recording(url)
    recording.take(shown_to_new(1, "cat", "dog"))
    with writing(recording.engine) as connection:
        connection.execute(insert(tables.feedback).values(request_id="request-1", value_label="cat", at=START))
    assert _prune(url, Wish(older_than=1, thorough=True), START + DAY).predictions == 0
    recording.join()
    removed = _prune(url, Wish(older_than=1), START + DAY)
    assert (removed.predictions, removed.pairs, removed.feedback) == (1, 1, 1)
    labelled = [row for row in rows(url, "rollup_total") if row["metric"] == "accuracy"]
    assert [(row["n"], row["k"]) for row in labelled] == [(1, 1)]
    recording.engine.dispose()


def test_the_truth_of_a_request_with_two_answers_goes_with_the_last_of_them(url: str) -> None:
    recording = Recording(url)
    twice = msgspec.structs.replace(served(2, answer("old")), request_id=b"request-1", at=START + 5 * DAY)
    recording.take([served(1, answer("old")), twice])
    with writing(recording.engine) as connection:
        connection.execute(insert(tables.feedback).values(request_id="request-1", value_label="cat", at=START))
    recording.join(LATER)
    assert _prune(url, Wish(older_than=86_400), START + 5 * DAY)[:3] == (1, 0, 0)
    assert _prune(url, Wish(older_than=86_400), START + 7 * DAY)[:3] == (1, 0, 1)
    recording.engine.dispose()


def test_pairs_without_a_prediction_and_truths_of_nobody_go_when_they_are_looked_for(url: str) -> None:
    _, compared = shown_to_new(1, "cat", "dog")
    _record(url, [compared])
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(insert(tables.feedback).values(request_id="nobody", value_label="cat", at=START))
    engine.dispose()
    removed = _prune(url, Wish(older_than=86_400, thorough=True), START + 2 * DAY)
    assert (removed.predictions, removed.pairs, removed.feedback) == (0, 1, 1)


def test_what_only_an_open_rollout_needs_goes_thirty_days_after_its_end(url: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(insert(tables.pair_seen).values(rollout=1, candidate="new", digest="d", at=START))
        connection.execute(insert(tables.first_event).values(rollout=1, kind="error", unit="u", stage=1, arm="new"))
        connection.execute(insert(tables.unit_total).values(rollout=1, stage=1, arm="new", metric="error", unit="u", n=1))
    assert _prune(url, Wish(), START + 400 * DAY).other == 0
    with writing(engine) as connection:
        connection.execute(update(tables.rollout).values(closed_at=START, phase="promoted"))
    assert _prune(url, Wish(), START + 29 * DAY).other == 0
    assert _prune(url, Wish(), START + 31 * DAY).other == 3
    engine.dispose()


def test_the_last_hundred_routing_tables_stay(url: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        made = [{"version": n, "body": "{}", "sha256": "", "author": "", "created_at": n} for n in range(1, 251)]
        connection.execute(insert(tables.routing_table), made)
    assert _prune(url, Wish(), START).other == 150
    with reading(engine) as connection:
        assert connection.execute(select(func.min(tables.routing_table.c.version))).scalar() == 151
    engine.dispose()


def test_a_limit_on_the_size_takes_the_oldest_rows_and_no_more_than_it_must(url: str) -> None:
    large = [served(number, answer("old")) for number in range(1, 401)]
    _record(
        url,
        [
            msgspec.structs.replace(one, request=msgspec.structs.replace(one.request, body=_hard_to_compress(n)))
            for n, one in enumerate(large)
        ],
    )
    engine = connect(url)
    with reading(engine) as connection:
        used = retention.used_bytes(connection)
    most = used * 3 // 4
    assert "oldest predictions, for the size" in planned(engine, Wish(most=most), at=START)
    removed = _prune(url, Wish(most=most), START)
    with reading(engine) as connection:
        assert most * 0.9 < retention.used_bytes(connection) <= most
        first = connection.execute(select(func.min(tables.prediction.c.id))).scalar_one()
    assert int(first, 16) == removed.predictions + 1
    assert _prune(url, Wish(most=most), START).predictions == 0
    engine.dispose()


def test_a_route_that_takes_more_than_it_may_loses_its_oldest_rows_and_others_lose_none(url: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        other = {"name": "other", "path": "/other", "unit": "request", "baseline": "old", "revision": 1, "created_at": 1}
        connection.execute(insert(tables.route).values(**other, capture="{}"))
    context = msgspec.structs.replace(served(1, answer("old")).context, route="other", rollout=0, stage=0)
    mine = mixed(500)
    others = [msgspec.structs.replace(served(9_000 + n, answer("old")), context=context) for n in range(200)]
    _record(url, [*mine, *others])
    sums = rows(url, "rollup_total")
    with reading(engine) as connection:
        count, each = route_size.used(connection, "fraud")
    assert count == len([one for one in mine if isinstance(one, Served)])
    with writing(engine) as connection:
        capture = msgspec.json.encode(Capture(keep_bytes=int(each * count * 0.6))).decode()
        connection.execute(update(tables.route).where(tables.route.c.name == "fraud").values(capture=capture))
    assert "of its oldest predictions, for its size" in planned(engine, Wish(), at=START)
    removed = _prune(url, Wish(), START)
    left = [row["id"] for row in rows(url, "prediction") if row["route"] == "fraud"]
    assert 0.5 * count < len(left) < 0.7 * count
    assert len(left) == count - removed.predictions
    assert left == sorted(one.id.hex() for one in mine if isinstance(one, Served))[-len(left) :]
    assert len([row for row in rows(url, "prediction") if row["route"] == "other"]) == 200
    assert rows(url, "rollup_total") == sums
    engine.dispose()


def _hard_to_compress(number: int) -> bytes:
    """A body of its own: PostgreSQL stores repetitions in a few bytes."""
    return b'{"x": "' + random.Random(number).randbytes(6_000).hex().encode() + b'"}'


def test_recording_goes_on_while_rows_are_taken_away(url: str) -> None:
    old = mixed(3_000)
    _record(url, old)
    engine = connect(url)
    sweep = sweep_of(engine, Wish(older_than=86_400), at=START + 2 * DAY)
    thread = threading.Thread(target=finish, args=(sweep,))
    thread.start()
    fresh = _moved(mixed(1_000), 2 * DAY)
    recording = Recording(url, "worker-1")
    for first in range(0, len(fresh), 50):
        recording.take(fresh[first : first + 50])
    thread.join(60)
    recording.engine.dispose()
    engine.dispose()
    assert not thread.is_alive()
    kept = len(rows(url, "prediction")) + len(rows(url, "pair"))
    assert kept == len([one for one in fresh if isinstance(one, Served)]) + len([one for one in fresh if isinstance(one, Compared)])
    spools = {row["name"]: row["committed"] for row in rows(url, "spool")}
    assert spools == {"worker-0": len(old), "worker-1": len(fresh)}


def test_the_control_plane_keeps_to_the_setting_and_one_process_does_it(url: str) -> None:
    _record(url, mixed(50))
    _keep(url, 86_400)
    engine = connect(url)
    first, second = (Retention(engine, clock=lambda: START + 2 * DAY, holder=name) for name in ("a", "b"))

    async def both() -> None:
        await first.sweep()
        engine_rows = rows(url, "prediction")
        assert engine_rows == []
        _record(url, mixed(50), "worker-1")
        await second.sweep()

    asyncio.run(both())
    assert rows(url, "prediction") != []
    asyncio.run(first.sweep())
    assert rows(url, "prediction") == []
    engine.dispose()


def test_a_step_gets_smaller_when_it_takes_long_and_larger_when_it_does_not() -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(LONG / 100)
    assert pace.rows == MOST_ROWS
    pace.took(LONG * 2)
    assert (pace.rows, pace.pause, pace.longest) == (MOST_ROWS // 2, LONG * 2, LONG * 2)


def test_the_program_says_what_would_go_then_takes_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    _record(url, [served(number, answer("old")) for number in range(1, 21)])
    assert main(["--database", url, "--older-than", "60", "--dry-run"]) == 0
    assert main(["--database", url, "--older-than", "60"]) == 0
    assert main(["--database", url, "--route", "none"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(
        "route fraud: 20 predictions with their pairs, for their age\nremoved 20 predictions, 0 pairs, 0 feedback"
    )
    assert said.err == "there is no route 'none'; there are fraud\n"
    assert rows(url, "prediction") == []


def test_a_retention_is_an_hour_at_least() -> None:
    with pytest.raises(InvalidInput, match="keep_seconds must be from 3600"):
        Capture(keep_seconds=60)
