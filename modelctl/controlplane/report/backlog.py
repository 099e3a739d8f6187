"""What the spools on this machine hold that the database does not have yet: read from their files, whoever is away."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from modelctl.errors import Corrupt
from modelctl.evidence import HEADER, SEGMENT_SUFFIX, VERSION, Compared, Served, Tally, decode, frame, frames, segment_name
from modelctl.store.reading import Spool

_READ_BYTES = 256 * 1024
_TALLY = frame(Tally(0, 0, {}))[HEADER.size - 1 : HEADER.size + 3]  # the frame's version, and how the payload of a tally begins


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in one spool. `oldest_at` is the Unix microsecond of its first record's request, 0 when no record waits."""

    name: str
    bytes: int
    records: int
    oldest_at: int = 0


class _Unread(NamedTuple):
    path: Path
    start: int
    end: int


def backlogs(root: Path, known: Sequence[Spool]) -> tuple[Backlog, ...]:
    """Of every spool below `root` in which something waits, the oldest first; `known` is what the database has of them."""
    places = {spool.name: spool for spool in known}
    with suppress(FileNotFoundError):
        found = [_backlog(folder, places) for folder in root.iterdir() if folder.is_dir()]
        return tuple(sorted((one for one in found if one.bytes), key=lambda one: (not one.records, one.oldest_at)))
    return ()


def _backlog(folder: Path, places: Mapping[str, Spool]) -> Backlog:
    place = places.get(folder.name)
    unread = [one for one in _segments(folder, place) if one.end > one.start]
    settled = place.committed + place.quarantined + place.duplicate if place else 0
    accepted = next((tally.accepted for tally in map(_newest_tally, reversed(unread)) if tally), settled)
    oldest = next((at for at in map(_first_at, unread) if at), 0) if accepted > settled else 0
    size = sum(one.end - one.start for one in unread)
    return Backlog(name=folder.name, bytes=size, records=max(0, accepted - settled), oldest_at=oldest)


def _segments(folder: Path, place: Spool | None) -> list[_Unread]:
    """Those that are not wholly behind the place, in their order. The recorder deletes others meanwhile."""
    numbers = (int(entry.stem) for entry in folder.glob(f"*{SEGMENT_SUFFIX}") if entry.stem.isdecimal())
    found = []
    for number in sorted(number for number in numbers if place is None or number >= place.segment):
        path = folder / segment_name(number)
        with suppress(FileNotFoundError):
            found.append(_Unread(path, place.offset if place and number == place.segment else 0, path.stat().st_size))
    return found


def _newest_tally(unread: _Unread) -> Tally | None:
    """The last whole one among the bytes at its end; every write ends with one."""
    start = max(unread.start, unread.end - _READ_BYTES)
    data = _read(unread.path, start, size=unread.end - start)
    at = len(data)
    while (at := data.rfind(_TALLY, 0, at)) >= HEADER.size - 1:
        with suppress(Corrupt, StopIteration):
            record = decode(next(frames(data, at - HEADER.size + 1)).payload)
            if isinstance(record, Tally):
                return record
    return None


def _first_at(unread: _Unread) -> int:
    """When the first record's request came; 0 when none is there whole."""
    size = unread.end - unread.start
    data = _read(unread.path, unread.start, size=min(size, _READ_BYTES))
    if len(data) >= HEADER.size:
        length, _, version = HEADER.unpack_from(data)
        if version == VERSION and length + HEADER.size > len(data):
            data = _read(unread.path, unread.start, size=min(size, length + HEADER.size))
    with suppress(Corrupt):
        for record in map(decode, (payload for payload, _ in frames(data))):
            if isinstance(record, Served | Compared):
                return record.at if isinstance(record, Served) else record.served.at
    return 0


def _read(path: Path, start: int, *, size: int) -> bytes:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return os.pread(file.fileno(), size, start)
    return b""
