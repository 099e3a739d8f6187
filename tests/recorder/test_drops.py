"""What workers dropped stands in the sums of the arms it was about: once, whoever read it and however often."""

from pathlib import Path

import msgspec
import pytest

from modelctl.evidence import Dropped, Drops, Tally, frame
from tests.recorder.stream import START, Worker, answer, drain, register, rows, served, sums

OLD = Dropped("fraud", 1, 1, "old", False, "disk-full", 40)
PAIRS = Dropped("fraud", 1, 1, "new", True, "disk-full", 30)


def told(offered: int, accepted: int, *dropped: Dropped) -> bytes:
    reasons = {"disk-full": offered - accepted}
    return frame(Drops(START, dropped)) + frame(Tally(offered, accepted, reasons))


@pytest.fixture
def url(database_url: str) -> str:
    register(database_url)
    return database_url


def test_drops_are_summed_up_by_arm_and_reason(url: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.write_bytes(frame(served(1, answer("old"))) + told(71, 1, OLD, PAIRS))
    worker.write_bytes(told(81, 1, msgspec.structs.replace(OLD, n=10)))
    drain(url, tmp_path)
    drain(url, tmp_path)
    assert sums(url, "dropped") == {("old", "disk-full"): (50, 0, 0, 0, 0)}
    assert sums(url, "pair_dropped") == {("new", "disk-full"): (30, 0, 0, 0, 0)}
    (row,) = rows(url, "spool")
    assert (row["offered"], row["accepted"], row["committed"], row["quarantined"]) == (81, 1, 1, 0)


def test_a_batch_that_is_cut_in_two_counts_each_drop_once(url: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    refused = served(3, answer("old", latency=1 << 63))
    worker.write_bytes(frame(served(1, answer("old"))) + told(41, 1, OLD))
    worker.write_bytes(frame(refused) + frame(served(2, answer("new"))) + told(73, 3, PAIRS))
    drain(url, tmp_path)
    assert sums(url, "dropped")["old", "disk-full"][0] == 40
    assert sums(url, "pair_dropped")["new", "disk-full"][0] == 30


def test_drops_that_no_worker_could_tell_stop_nothing(url: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.write_bytes(told(1, 1, Dropped("fraud", 1 << 63, -1, "old", False, "disk-full", 1 << 63)))
    worker.write_bytes(frame(served(1, answer("old"))) + frame(Tally(1, 1, {})))
    drain(url, tmp_path)
    (row,) = rows(url, "spool")
    assert (row["committed"], row["quarantined"]) == (1, 0)
    assert sums(url, "dropped") == {}
