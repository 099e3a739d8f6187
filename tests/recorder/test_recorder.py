"""From a spool into both kinds of database: every record once, each counted, none lost."""

import shutil
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest
from sqlalchemy import delete, update

from modelctl.errors import StoreError
from modelctl.evidence import HEADER, SENT, VERSION, Compared, Served, Tally, decode, frame, frames
from modelctl.recorder.commit import Batch, Progress, Writer, load_progress
from modelctl.recorder.recorder import Recorder
from modelctl.recorder.spool_reader import Position
from modelctl.store import tables
from modelctl.store.engine import connect, writing
from tests.recorder.stream import Worker, answer, batches, drain, mixed, readings, register, rows, served, shown_to_new, sums

TOO_LARGE = 1 << 63


@pytest.fixture
def url(database_url: str) -> str:
    register(database_url)
    return database_url


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def _progress(url: str) -> dict[str, Any]:
    (row,) = rows(url, "spool")
    return row


def _with_status(record: Served, status: int) -> Served:
    return msgspec.structs.replace(record, answer=msgspec.structs.replace(record.answer, status=status))


def test_every_served_record_is_a_prediction_and_every_compared_record_a_pair(url: str, spool: Path) -> None:
    records = mixed(100)
    Worker(spool).write(records)
    drain(url, spool)
    assert len(rows(url, "prediction")) == sum(isinstance(record, Served) for record in records)
    assert len(rows(url, "pair")) == sum(isinstance(record, Compared) for record in records)


def test_a_prediction_holds_what_was_asked_decided_and_answered(url: str, spool: Path) -> None:
    Worker(spool).write([served(3, answer("old", 0.75, latency=1200))])
    drain(url, spool)
    (row,) = rows(url, "prediction")
    assert row["id"] == f"{3:032x}"
    assert (row["request_id"], row["route"], row["rollout"], row["stage"]) == ("request-3", "fraud", 1, 1)
    assert (row["arm"], row["role"], row["reason"], row["probability"]) == ("old", "baseline", "split", 9_000)
    assert (row["method"], row["target"], row["unit"], row["table_version"]) == ("POST", "/fraud/predict", "user-1", 7)
    assert (row["status"], row["outcome"], row["failure"], row["problem"]) == (200, "ok", "", "")
    assert (row["latency_us"], row["first_byte_us"], row["number"], row["label"], row["text"]) == (1200, 600, 0.75, None, None)
    assert (row["request_body"], row["answer_body"]) == (b'{"x": 1}', b'{"prediction": 0.75}')


def test_a_pair_holds_both_answers_and_how_they_compare(url: str, spool: Path) -> None:
    Worker(spool).write(shown_to_new(1, 2.0, 2.5))
    drain(url, spool)
    (row,) = rows(url, "pair")
    assert (row["baseline"], row["candidate"], row["agree"], row["difference"]) == ("old", "new", 0, 0.5)
    assert (row["baseline_number"], row["candidate_number"]) == (2.0, 2.5)
    assert (row["baseline_latency_us"], row["candidate_latency_us"]) == (1001, 2001)
    assert (row["instances"], row["instances_agreeing"]) == (1, 0)
    assert (row["request_body"], row["candidate_body"]) == (b'{"x": 1}', b'{"prediction": 2.5}')


def test_one_spool_gives_the_same_in_sqlite_and_postgresql(sqlite_url: str, postgres_url: str, tmp_path: Path) -> None:
    records = mixed(400)
    found = []
    for url in (sqlite_url, postgres_url):
        register(url)
        worker = Worker(tmp_path / url.partition(":")[0])
        for batch in batches(records, 60):
            worker.write(batch)
        drain(url, worker.folder.parent)
        without_time = [{**row, "updated_at": 0} for row in rows(url, "spool")]
        found.append([rows(url, table) for table in ("prediction", "pair", "rollup", "pivot")] + [without_time])
    assert found[0][0][0]
    assert found[0] == found[1]


def test_after_every_commit_what_the_worker_accepted_is_accounted_for(url: str, spool: Path) -> None:
    worker = Worker(spool)
    engine = connect(url)
    recorder = Recorder(engine, spool, log=lambda event, **facts: None)
    for batch in batches(mixed(200)[:200], 20):
        worker.write([*batch, _with_status(served(9_000 + worker.accepted, answer("old")), TOO_LARGE)])
        worker.roll()
    passes = 0
    while recorder.pass_once():
        passes += 1
        row = _progress(url)
        assert row["accepted"] == row["committed"] + row["quarantined"] + row["duplicate"] > 0
    engine.dispose()
    assert passes == 10
    assert (_progress(url)["committed"], _progress(url)["quarantined"]) == (worker.accepted - 10, 10)


def test_what_the_worker_dropped_is_kept_with_its_reasons(url: str, spool: Path) -> None:
    worker = Worker(spool)
    worker.write_bytes(frame(served(1, answer("old"))) + frame(Tally(6, 1, {"buffer-full": 2, "disk-full": 3})))
    drain(url, spool)
    row = _progress(url)
    assert (row["offered"], row["accepted"], msgspec.json.decode(row["dropped"])) == (6, 1, {"buffer-full": 2, "disk-full": 3})


def test_replaying_a_segment_under_another_name_adds_no_row_and_no_count(url: str, spool: Path) -> None:
    worker = Worker(spool)
    records = mixed(150)
    worker.write(records)
    shutil.copytree(worker.folder, spool.parent / "copy")
    drain(url, spool)
    before = [rows(url, table) for table in ("prediction", "pair", "rollup")]
    shutil.move(spool.parent / "copy", spool / "worker-0-boot-2")
    drain(url, spool)
    assert [rows(url, table) for table in ("prediction", "pair", "rollup")] == before
    replayed = next(row for row in rows(url, "spool") if row["name"] == "worker-0-boot-2")
    assert (replayed["duplicate"], replayed["committed"]) == (len(records), 0)


def test_a_lost_position_adds_no_row_and_no_count(url: str, spool: Path) -> None:
    worker = Worker(spool)
    worker.write(mixed(50))
    drain(url, spool)
    before = rows(url, "rollup")
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(delete(tables.spool))
    engine.dispose()
    worker.write([served(8_000, answer("new", "cat"))])
    drain(url, spool)
    assert (_progress(url)["duplicate"], _progress(url)["committed"]) == (worker.accepted - 1, 1)
    assert sum(row["n"] for row in rows(url, "rollup")) == sum(row["n"] for row in before) + 5


def test_the_same_record_twice_in_one_batch_is_one_row(url: str, spool: Path) -> None:
    first, second = shown_to_new(1, "cat", "dog")
    Worker(spool).write([first, second, first, second])
    drain(url, spool)
    assert (len(rows(url, "prediction")), len(rows(url, "pair")), _progress(url)["duplicate"]) == (1, 1, 2)
    assert sums(url, "units") == {("old", ""): (1, 0, 0.0, 0.0, 0.0)}


def test_a_record_that_the_database_refuses_is_set_aside_alone(url: str, spool: Path) -> None:
    worker = Worker(spool)
    bad = _with_status(served(5_000, answer("old")), TOO_LARGE)
    good = mixed(60)
    worker.write([*good[:37], bad, *good[37:]])
    events = drain(url, spool)
    assert (_progress(url)["committed"], _progress(url)["quarantined"]) == (len(good), 1)
    (file,) = (spool / "quarantine").glob("worker-0-boot-1-1-*.frame")
    (found,) = frames(file.read_bytes())
    assert decode(found.payload) == bad
    assert file.with_suffix(".reason").read_text().startswith("a value does not fit into the database")
    assert [(event["event"], event["file"]) for event in events] == [("quarantine", str(file))]


def test_a_frame_that_holds_no_record_is_set_aside(url: str, spool: Path) -> None:
    payload = b"\xc1"
    worker = Worker(spool)
    worker.write_bytes(HEADER.pack(len(payload), crc32(payload), VERSION) + payload)
    worker.write([served(1, answer("old"))])
    drain(url, spool)
    assert (_progress(url)["committed"], _progress(url)["quarantined"]) == (1, 1)
    (reason,) = (spool / "quarantine").glob("*.reason")
    assert "holds no record" in reason.read_text()


def test_odd_bytes_and_nul_characters_are_recorded_in_a_readable_form(url: str, spool: Path) -> None:
    record = served(1, answer("old", "a\0b"))
    request = msgspec.structs.replace(record.request, target=b"/caf\xe9\0", content_type=b"\xff")
    context = msgspec.structs.replace(record.context, route="fr\0ud", unit=b"\0")
    Worker(spool).write([msgspec.structs.replace(record, request=request, context=context, request_id=b"\xfe\0")])
    drain(url, spool)
    (row,) = rows(url, "prediction")
    assert (row["target"], row["request_type"], row["unit"]) == ("/caf\\xe9\ufffd", "\\xff", "\ufffd")
    assert (row["route"], row["request_id"], row["label"]) == ("fr\ufffdud", "\\xfe\ufffd", "a\ufffdb")


def test_a_long_prediction_does_not_break_the_keys_of_the_sums(url: str, spool: Path) -> None:
    Worker(spool).write(shown_to_new(1, "é" * 9_000, "ü" * 9_000))
    drain(url, spool)
    assert (_progress(url)["committed"], _progress(url)["quarantined"]) == (2, 0)


def test_an_answer_nested_too_deep_is_recorded_with_its_problem(url: str, spool: Path) -> None:
    deep = msgspec.structs.replace(answer("old"), body=b"[" * 60_000)
    Worker(spool).write([served(1, deep), served(2, answer("old"))])
    drain(url, spool)
    assert [bool(row["problem"]) for row in rows(url, "prediction")] == [True, False]


def test_an_answer_of_a_backend_nobody_registered_is_recorded_with_its_problem(url: str, spool: Path) -> None:
    Worker(spool).write([served(1, answer("stranger", status=503))])
    drain(url, spool)
    (row,) = rows(url, "prediction")
    assert (row["outcome"], row["label"]) == ("backend_error", None)
    assert "'stranger' is not registered" in row["problem"]


def test_the_answers_of_a_removed_backend_are_still_read(url: str, spool: Path) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(update(tables.backend).values(removed_at=5))
    engine.dispose()
    Worker(spool).write([served(1, answer("old", "cat"))])
    drain(url, spool)
    assert rows(url, "prediction")[0]["label"] == "cat"


@pytest.mark.parametrize("spec", ['{"name": "old", "endpoints": ["http://a"], "kind": "oracle"}', "{}", "not JSON"])
def test_a_backend_that_this_version_cannot_understand_loses_no_record(url: str, spool: Path, spec: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(update(tables.backend).where(tables.backend.c.name == "old").values(spec=spec))
    engine.dispose()
    Worker(spool).write([served(1, answer("old", "cat"))])
    drain(url, spool)
    (row,) = rows(url, "prediction")
    assert (row["outcome"], row["label"], bool(row["problem"])) == ("ok", None, True)


def test_a_changed_backend_is_read_in_its_new_way_from_the_next_routing_table_on(url: str, spool: Path) -> None:
    worker = Worker(spool)
    engine = connect(url)
    recorder = Recorder(engine, spool, log=lambda event, **facts: None)
    worker.write([served(1, answer("old", "cat"))])
    assert recorder.pass_once()
    with writing(engine) as connection:
        spec = '{"name": "old", "endpoints": ["http://a"], "prediction": "/elsewhere"}'
        connection.execute(update(tables.backend).where(tables.backend.c.name == "old").values(spec=spec))
    later = served(2, answer("old", "cat"))
    worker.write([msgspec.structs.replace(later, context=msgspec.structs.replace(later.context, table=8))])
    assert recorder.pass_once()
    engine.dispose()
    assert [row["label"] for row in rows(url, "prediction")] == ["cat", None]


def test_a_stage_nobody_knows_still_counts_what_was_shown(url: str, spool: Path) -> None:
    Worker(spool).write([served(1, answer("old"), shown={"new": SENT}, stage=77), served(2, answer("old"), stage=77)])
    drain(url, spool)
    assert {key: n for (_arm, key), (n, *_sums) in sums(url, "funnel").items()} == {"eligible": 1, "sampled": 1, "sent": 1}


def test_segments_and_the_folders_of_dead_workers_go_once_they_are_in_the_database(url: str, spool: Path) -> None:
    worker = Worker(spool)
    for batch in batches(mixed(30), 10):
        worker.write(batch)
        worker.roll()
    drain(url, spool)
    assert [path.name for path in worker.folder.glob("*.seg")] == [worker.path.name]
    worker.dies()
    drain(url, spool)
    assert not worker.folder.exists()
    assert _progress(url)["committed"] == worker.accepted


def test_corrupt_bytes_are_counted_and_cost_no_other_record(url: str, spool: Path) -> None:
    worker = Worker(spool)
    records = mixed(30)
    worker.write(records[:10])
    worker.write_bytes(b"\x09" * 33)
    worker.roll()
    worker.write(records[10:])
    drain(url, spool)
    row = _progress(url)
    assert (row["corrupt_bytes"], row["committed"], row["quarantined"]) == (33, worker.accepted, 0)


def test_a_recorder_that_is_not_alone_changes_nothing(url: str, spool: Path) -> None:
    engine = connect(url)
    batch = Batch(readings([served(1, answer("old"))]), Position(1, 100))
    Writer(engine).commit(Progress("a"), batch, at=1)
    with pytest.raises(StoreError, match="another recorder"):
        Writer(engine).commit(Progress("a"), Batch(readings([served(2, answer("old"))]), Position(1, 120)), at=2)
    assert load_progress(engine, "a").position == Position(1, 100)
    engine.dispose()
    assert len(rows(url, "prediction")) == 1
    assert sums(url, "units") == {("old", ""): (1, 0, 0.0, 0.0, 0.0)}


def test_the_pivot_that_was_first_in_the_database_holds_for_every_recorder(url: str, spool: Path) -> None:
    engine = connect(url)
    first, second = Writer(engine), Writer(engine)
    first.commit(Progress("a"), Batch(readings([served(1, answer("old", 100.0))]), Position(1, 9)), at=1)
    second.commit(Progress("b"), Batch(readings([served(2, answer("old", 107.0))]), Position(1, 9)), at=1)
    engine.dispose()
    assert [(row["metric"], row["value"]) for row in rows(url, "pivot")] == [("number", 100.0)]
    assert sums(url, "number") == {("old", ""): (2, 0, 7.0, 49.0, 0.0)}
