"""A spool that cannot be written: clients notice nothing, every loss is counted, and it goes on when the disk does."""

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event

from modelctl.evidence import SEGMENT_SUFFIX, Served, Tally, decode, encode, frames
from modelctl.router.spool import Batch, Spool, SpoolWriter
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess, check_tallies, eventually, last_tally
from tests.router.test_evidence import only
from tests.router.wire import get, post

Start = Callable[..., RouterProcess]


def allow(router: RouterProcess, size: int) -> None:
    """Its files may grow to `size` bytes: a write beyond that is partial, and the next one fails."""
    _, hard = resource.prlimit(router.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(router.process.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_disk_that_fails_and_comes_back_costs_the_records_of_that_time(start: Start, old: ModelServer) -> None:
    router = start(only(old)).ready()
    with router.client() as client:
        assert client.ask(get("/before", "X-Request-Id: before")).status == 200
        router.served("before")
        written = sum(segment.stat().st_size for segment in router.folder.glob(f"spool/*/*{SEGMENT_SUFFIX}"))
        allow(router, written + 1_000)
        assert [client.ask(post("/meanwhile", b"x" * 2_000)).status for _ in range(10)] == [200] * 10
        assert eventually(lambda: client.ask(get("/meanwhile")).status == 200 and len(old.arrivals) > 20)
        allow(router, resource.RLIM_INFINITY)
        assert client.ask(get("/after", "X-Request-Id: after")).status == 200
        router.served("after")
    assert router.stop() == 0
    records = router.records()
    check_tallies(records)
    tally = last_tally(records)
    assert tally.offered == len(old.arrivals)
    assert tally.dropped["write-failed"] >= 10
    assert tally.accepted == sum(isinstance(record, Served) for record in records)


def test_a_spool_that_somebody_deleted_stops_no_client(start: Start, old: ModelServer) -> None:
    router = start(only(old)).ready()
    with router.client() as client:
        assert client.ask(get("/before", "X-Request-Id: before")).status == 200
        router.served("before")
        shutil.rmtree(router.folder / "spool")
        for _ in range(150):
            assert client.ask(get("/after")).status == 200
        assert eventually(lambda: client.ask(get("/after")).status == 200 and len(old.arrivals) > 300)
    assert router.stop() == 0


class Times:
    """Stands for the loop's `call_later`."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def __call__(self, seconds: float, callback: Callable[[], None]) -> object:
        self.due.append(callback)
        return None

    def pass_(self) -> None:
        """What is due, happens."""
        due, self.due = self.due, []
        for callback in due:
            callback()


class Stuck(SpoolWriter):
    """A writer on a disk that does not come back from a write until a test says so."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.go = Event()
        super().__init__(folder, max_bytes)

    def _write(self, batch: Batch) -> None:
        self.go.wait(10)
        super()._write(batch)


def test_a_disk_that_hangs_holds_up_to_the_buffer_and_the_rest_is_counted(tmp_path: Path) -> None:
    stuck = Stuck(tmp_path / "spool", 1 << 30)
    times = Times()
    spool = Spool(stuck, times, max_bytes=100_000)
    for _ in range(1_000):
        spool.append(encode(Tally(0, 0, {"x" * 980: 0})))
        times.pass_()
    assert stuck.backlog <= 100_000
    stuck.go.set()
    assert eventually(lambda: stuck.backlog == 0)
    spool.append(encode(Tally(0, 0, {})))
    spool.close()
    (segment,) = (tmp_path / "spool").glob(f"*{SEGMENT_SUFFIX}")
    *_, last = (decode(frame.payload) for frame in frames(segment.read_bytes()))
    assert last == Tally(1_001, 101, {"buffer-full": 900})
