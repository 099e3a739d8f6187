"""What is read from a spool, what is waited for, and what is given up."""

from pathlib import Path

import pytest

from modelctl.evidence import HEADER, Tally, decode, frame
from modelctl.recorder.spool_reader import Chunk, Position, SpoolReader, spools
from tests.recorder.stream import Worker, answer, mixed, served

BROKEN = b"\x07" * 40


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def _read_all(reader: SpoolReader) -> tuple[list[object], Position, int]:
    """Everything there is to read: the records, the position behind them, the bytes skipped."""
    found: list[object] = []
    position, corrupt = Position(), 0
    while chunk := reader.read(position, 7):
        found += [decode(located.payload) for located in chunk.frames]
        position, corrupt = chunk.end, corrupt + chunk.corrupt_bytes
    return found, position, corrupt


def test_frames_come_in_the_order_they_were_written_across_segments(worker: Worker) -> None:
    records = mixed(30)
    for part in (records[:10], records[10:20], records[20:]):
        worker.write(part)
        worker.roll()
    found, position, corrupt = _read_all(SpoolReader(worker.folder))
    assert [record for record in found if not isinstance(record, Tally)] == records
    assert (position.segment, corrupt) == (3, 0)


def test_reading_goes_on_from_any_position_of_a_frame(worker: Worker) -> None:
    worker.write(mixed(9))
    reader = SpoolReader(worker.folder)
    whole = reader.read(Position(), 1000).frames
    for index, located in enumerate(whole):
        assert reader.read(located.start, 1000).frames == whole[index:]


def test_the_torn_end_of_a_live_worker_is_waited_for(worker: Worker) -> None:
    worker.write(mixed(3))
    reader = SpoolReader(worker.folder)
    end = reader.read(Position(), 1000).end
    late = frame(served(99, answer("old"))) + frame(Tally(4, 4, {}))
    worker.write_bytes(late[:50])
    assert not reader.read(end, 1000)
    assert not reader.read(end, 1000)
    worker.write_bytes(late[50:])
    assert len(reader.read(end, 1000).frames) == 2


def test_frames_that_a_live_worker_may_still_take_back_are_not_taken(worker: Worker) -> None:
    worker.write_bytes(frame(served(1, answer("old"))))
    reader = SpoolReader(worker.folder)
    assert not reader.read(Position(), 1000)
    worker.dies()
    assert len(reader.read(Position(), 1000).frames) == 1


def test_the_torn_end_of_a_dead_worker_is_counted_and_skipped(worker: Worker) -> None:
    worker.write(mixed(3))
    worker.write_bytes(frame(served(99, answer("old")))[:50])
    worker.dies()
    found, position, corrupt = _read_all(SpoolReader(worker.folder))
    assert (len(found), corrupt) == (4, 50)
    assert position == Position(1, worker.path.stat().st_size)


def test_corrupt_bytes_in_the_middle_cost_the_rest_of_their_segment_and_no_more(worker: Worker) -> None:
    worker.write(mixed(3))
    good = worker.path.stat().st_size
    worker.write_bytes(BROKEN)
    worker.write(mixed(2))
    lost = worker.path.stat().st_size - good
    worker.roll()
    worker.write(mixed(5))
    found, position, corrupt = _read_all(SpoolReader(worker.folder))
    assert (len(found), corrupt, position.segment) == (3 + 1 + 5 + 1, lost, 2)


def test_a_frame_with_a_wrong_checksum_is_corrupt(worker: Worker) -> None:
    data = bytearray(frame(served(1, answer("old"))))
    data[-1] ^= 1
    worker.write_bytes(bytes(data))
    worker.roll()
    assert SpoolReader(worker.folder).read(Position(), 10) == Chunk((), Position(1, len(data)), corrupt_bytes=len(data))


def test_corrupt_bytes_at_the_end_of_a_live_worker_are_given_up_only_when_it_has_moved_on(worker: Worker) -> None:
    worker.write_bytes(BROKEN)
    reader = SpoolReader(worker.folder)
    assert not reader.read(Position(), 10)
    worker.roll()
    assert reader.read(Position(), 10).corrupt_bytes == len(BROKEN)


def test_a_frame_larger_than_one_read_comes_whole(worker: Worker) -> None:
    large = answer("old", "x" * 3_000_000)
    worker.write([served(1, answer("old")), served(2, large), served(3, answer("old"))])
    found, _position, corrupt = _read_all(SpoolReader(worker.folder))
    assert [record.answer.size for record in found if not isinstance(record, Tally)][1] == large.size  # type: ignore[attr-defined]
    assert (len(found), corrupt) == (4, 0)


def test_a_length_beyond_the_end_of_a_dead_workers_segment_is_corrupt(worker: Worker) -> None:
    worker.write_bytes(HEADER.pack(3_000_000, 0, 1) + b"short")
    worker.dies()
    assert SpoolReader(worker.folder).read(Position(), 10).corrupt_bytes == HEADER.size + 5


def test_segments_are_deleted_when_they_are_committed_and_a_later_one_exists(worker: Worker) -> None:
    worker.write(mixed(3))
    first = worker.path
    reader = SpoolReader(worker.folder)
    end = reader.read(Position(), 1000).end
    reader.clear(end)
    assert first.exists()
    worker.roll()
    reader.clear(Position(1, end.offset - 1))
    assert first.exists()
    reader.clear(end)
    assert not first.exists()
    assert worker.path.exists()
    worker.write(mixed(3))
    assert reader.read(end, 1000).end.segment == 2


def test_the_folder_of_a_dead_worker_goes_when_all_of_it_is_committed(worker: Worker) -> None:
    worker.write(mixed(3))
    reader = SpoolReader(worker.folder)
    end = reader.read(Position(), 1000).end
    assert not reader.clear(end)
    worker.dies()
    assert not reader.clear(Position(1, end.offset - 1))
    assert worker.folder.exists()
    assert reader.clear(end)
    assert not worker.folder.exists()


def test_an_empty_last_segment_does_not_keep_the_folder_of_a_dead_worker(worker: Worker) -> None:
    worker.write(mixed(3))
    reader = SpoolReader(worker.folder)
    end = reader.read(Position(), 1000).end
    worker.roll()
    worker.dies()
    assert reader.clear(end)
    assert not worker.folder.exists()


def test_a_young_folder_without_a_lock_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "worker-0-boot-1"
    folder.mkdir()
    reader = SpoolReader(folder)
    assert not reader.clear(Position())
    assert folder.exists()


def test_only_folders_with_a_lock_or_a_segment_are_spools(tmp_path: Path) -> None:
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "a-1-0.frame").touch()
    (tmp_path / "recorder.lock").touch()
    Worker(tmp_path, "b")
    Worker(tmp_path, "a")
    assert [folder.name for folder in spools(tmp_path)] == ["a", "b"]
