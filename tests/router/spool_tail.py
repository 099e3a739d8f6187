"""What a router has written down since the last look: each byte of its spool is read once."""

from pathlib import Path
from time import monotonic, sleep

from modelctl.evidence import SEGMENT_SUFFIX, Served, decode, frames
from tests.router.wire import PATIENCE


class SpoolTail:
    """Follows the spools below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._found: list[Served] = []

    def until(self, target: bytes) -> list[Served]:
        """The *served* records since the last call, in order, up to the one of a request for `target`, which is left out."""
        deadline = monotonic() + PATIENCE
        while monotonic() < deadline:
            for number, served in enumerate(self._found):
                if served.request.target == target:
                    before, self._found = self._found[:number], self._found[number + 1 :]
                    return before
            sleep(0.001)
            self._look()
        raise TimeoutError(f"no record of {target!r}")

    def _look(self) -> None:
        for segment in sorted(self._folder.glob(f"spool/*/*{SEGMENT_SUFFIX}")):
            start = self._read.get(segment, 0)
            with segment.open("rb") as file:
                file.seek(start)
                data = file.read()
            for frame in frames(data):
                record = decode(frame.payload)
                if isinstance(record, Served):
                    self._found.append(record)
                self._read[segment] = start + frame.end
