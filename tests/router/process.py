"""A router worker as a process, and what it writes down."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic, sleep

from modelctl.evidence import SEGMENT_SUFFIX, Compared, Drops, Record, Served, Tally, decode, frames
from modelctl.router.sync import save_table
from modelctl.traffic import RoutingTable, encode_table
from tests.router.wire import PATIENCE, Client, Reply

Table = RoutingTable | Callable[[int], RoutingTable] | None
NOWHERE = "http://127.0.0.1:1"
_LISTENING = "0A"  # the state in /proc/net/tcp


class RouterProcess:
    """A running `python -m modelctl.router` that starts from `table`, or from the table for its port."""

    module = "modelctl.router"

    def __init__(
        self,
        folder: Path,
        table: Table,
        *,
        control: str = NOWHERE,
        settings: dict[str, str] | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        listener = listener or socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = 0 if listener.family == socket.AF_UNIX else listener.getsockname()[1]
        if table is not None:
            table = table if isinstance(table, RoutingTable) else table(self.port)
            save_table(folder / "routing-table.json", encode_table(table))
        self.log = folder / "router.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELCTL_")}
        environment |= {f"MODELCTL_{name.upper()}": value for name, value in (settings or {}).items()}
        command = [sys.executable, "-m", self.module, "--name", "w", "--control", control, "--data-dir", str(folder)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--fd", str(listener.fileno())], env=environment, stderr=log, pass_fds=(listener.fileno(),)
            )
        listener.close()

    # -- asking

    def client(self, *, source: str = "127.0.0.1", receive_buffer: int = 0) -> Client:
        """A new connection."""
        return Client(self.port, source=source, receive_buffer=receive_buffer)

    def ask(self, data: bytes) -> Reply:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.ask(data)

    def ready(self) -> "RouterProcess":
        """Itself, once it has answered anything at all."""
        self.ask(b"GET /-/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        return self

    # -- looking

    @property
    def resident(self) -> int:
        """Bytes of memory in use."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def descriptors(self) -> int:
        """Open files and sockets."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def connections(self) -> int:
        """Connections it holds, to clients and to backends, but those that wait to be accepted."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {f"socket:[{line[9]}]" for line in lines if line[3] != _LISTENING}
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(link.is_symlink() and str(link.readlink()) in inodes for link in links)

    def events(self) -> str:
        """What it has said on standard error."""
        return self.log.read_text()

    def records(self) -> list[Record]:
        """Everything in its spools, in order: only whole frames, and no damage."""
        found: list[Record] = []
        for segment in sorted(self.folder.glob(f"spool/*/*{SEGMENT_SUFFIX}")):
            found += [decode(frame.payload) for frame in frames(segment.read_bytes())]
        return found

    def served(self, request_id: str, *, seconds: float = 3.0) -> Served:
        """The one record of the request with this id."""
        found = self._waited(request_id, Served, seconds)
        assert len(found) == 1, f"{len(found)} served records of {request_id}"
        assert isinstance(found[0], Served)
        return found[0]

    def compared(self, request_id: str, count: int = 1) -> list[Compared]:
        """The comparisons of the request with this id, once there are `count`."""
        found = self._waited(request_id, Compared, 3.0, count)
        assert len(found) == count, f"{len(found)} comparisons of {request_id}"
        return [record for record in found if isinstance(record, Compared)]

    def _waited(self, request_id: str, kind: type[Served | Compared], seconds: float, count: int = 1) -> Sequence[Record]:
        deadline = monotonic() + seconds
        while True:
            found = [record for record in self.records() if isinstance(record, kind) and _id_of(record) == request_id]
            if len(found) >= count or monotonic() > deadline:
                return found
            sleep(0.01)

    # -- ending

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE)


def _id_of(record: Record) -> str:
    if isinstance(record, Tally | Drops):
        return ""
    served = record.served if isinstance(record, Compared) else record
    return served.request_id.decode()


def last_tally(records: Iterable[Record]) -> Tally:
    """The latest counts."""
    tallies = [record for record in records if isinstance(record, Tally)]
    return tallies[-1]


def check_tallies(records: Iterable[Record]) -> None:
    """The laws of the counts: nothing is lost without being counted, and what is counted as there is there."""
    seen = 0
    for record in records:
        if isinstance(record, Tally):
            assert record.offered == record.accepted + sum(record.dropped.values())
            assert record.accepted == seen
        elif isinstance(record, Served | Compared):
            seen += 1


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether `condition` comes true within `seconds`."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        sleep(0.01)
    return True
