"""What the recorder of this machine set aside, and giving it back to that recorder.

A frame goes into a spool, synced, before its file goes: whoever is killed in between leaves both, and the database knows each
record by its key. So a frame that is given back twice is recorded once, and counted as a duplicate the second time.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from modelctl.controlplane.backfill.plane_spool import PlaneSpool
from modelctl.errors import Conflict, Corrupt, InvalidInput, NotFound, StoreError
from modelctl.evidence import FRAME_SUFFIX, QUARANTINE, REASON_SUFFIX, Compared, Served, decode, frames
from modelctl.store.reading import MAX_PAGE, Page

BATCH = 200
MOST = 20_000
"""Frames that are looked at in one go; what is behind them waits for the next."""

_LOCK = "requeue.lock"


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that could not be recorded. `what` is `prediction` or `pair`, empty for one that holds no record; then `problem`
    says why. `size` is bytes; `set_aside_at` and the record's `at` are Unix microseconds."""

    id: str
    reason: str
    size: int
    set_aside_at: int
    what: str = ""
    problem: str = ""
    route: str = ""
    rollout: int = 0
    stage: int = 0
    arm: str = ""
    request_id: str = ""
    prediction_id: str = ""
    at: int = 0


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which frames to give back: those with these ids, those whose reason contains `text`, or `all`."""

    ids: tuple[str, ...] = ()
    text: str = ""
    all: bool = False
    actor: str = ""
    reason: str = ""


class Requeued(msgspec.Struct, frozen=True, kw_only=True):
    """How many frames went into the spool `name` (empty: none did), how many hold no record and stay, how many wait for the next
    time because the recorder is behind."""

    name: str = ""
    requeued: int = 0
    unreadable: int = 0
    waiting: int = 0


def list_set_aside(spools: Path, *, text: str, limit: int, after: str | None) -> Page[SetAside]:
    """Those whose reason contains `text`, in the order of their ids."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"limit must be from 1 to {MAX_PAGE}, not {limit}")
    found: list[SetAside] = []
    for path in _frames_in(spools):
        if (after is None or path.stem > after) and text in _reason(path):
            if len(found) == limit:
                return Page(tuple(found), found[-1].id)
            found += _described(path)
    return Page(tuple(found))


def find_set_aside(spools: Path, id_: str) -> SetAside:
    """The frame with this id. Raises NotFound."""
    found = next((path for path in _frames_in(spools) if path.stem == id_), None)
    described = _described(found) if found is not None else []
    if not described:
        raise NotFound(f"nothing with the id {id_!r} is set aside on this machine: modelctl evidence quarantine lists what is")
    return described[0]


def requeue(spools: Path, name: str, *, asked: Asked) -> Requeued:
    """Gives the frames that are asked for back to the recorder, in the spool `name`.

    Raises InvalidInput unless it is said which, NotFound for an id that is not there, Conflict while somebody else does it, and
    StoreError when the disk has no room: what was not written stays set aside.
    """
    if sum(map(bool, (asked.ids, asked.text, asked.all))) != 1:
        raise InvalidInput("say which records: their ids, a text that their reason contains, or all; one of the three")
    try:
        with _alone(spools):
            chosen = _chosen(spools, asked)
            done = _into(spools / name, chosen) if chosen else Requeued()
    except OSError as error:
        raise StoreError(f"what was not requeued yet stays set aside, as {spools} cannot be written: {error}") from error
    return msgspec.structs.replace(done, name=name if done.requeued else "")


def _into(folder: Path, chosen: Sequence[Path]) -> Requeued:
    spool = PlaneSpool(folder)
    try:
        return _move(spool, chosen)
    finally:
        spool.close()


def _chosen(spools: Path, asked: Asked) -> list[Path]:
    there = list(_frames_in(spools))
    if asked.ids:
        wanted = set(asked.ids)
        missing = sorted(wanted - {path.stem for path in there})
        if missing:
            raise NotFound(f"nothing is set aside under {', '.join(missing[:5])}: nothing was requeued; it may have been before")
        return [path for path in there if path.stem in wanted]
    return [path for path in there if asked.text in _reason(path)]


def _move(spool: PlaneSpool, chosen: Sequence[Path]) -> Requeued:
    done, unreadable = 0, 0
    for start in range(0, min(len(chosen), MOST), BATCH):
        if spool.full:
            break
        batch = [(path, _record(path)) for path in chosen[start : start + BATCH]]
        readable = [(path, record) for path, record in batch if isinstance(record, Served | Compared)]
        unreadable += len(batch) - len(readable)
        if readable:
            spool.write([record for _, record in readable])
            _forget(path for path, _ in readable)
        done += len(readable)
    return Requeued(requeued=done, unreadable=unreadable, waiting=len(chosen) - done - unreadable)


def _forget(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        path.with_suffix(REASON_SUFFIX).unlink(missing_ok=True)


def _frames_in(spools: Path) -> Iterator[Path]:
    folder = spools / QUARANTINE
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix == FRAME_SUFFIX)


def _reason(path: Path) -> str:
    try:
        return path.with_suffix(REASON_SUFFIX).read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _record(path: Path) -> Served | Compared | str:
    """The record in the file, or why there is none."""
    try:
        found = next((decode(frame.payload) for frame in frames(path.read_bytes())), None)
    except (Corrupt, OSError) as error:
        return str(error)
    return found if isinstance(found, Served | Compared) else "the file holds no whole record"


def _described(path: Path) -> list[SetAside]:
    """One, or none when the file has gone meanwhile."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return []
    found = SetAside(id=path.stem, reason=_reason(path), size=stat.st_size, set_aside_at=stat.st_mtime_ns // 1000)
    record = _record(path)
    if isinstance(record, str):
        return [msgspec.structs.replace(found, problem=record)]
    served = record.served if isinstance(record, Compared) else record
    changes = {
        "what": "pair" if isinstance(record, Compared) else "prediction",
        "route": served.context.route,
        "rollout": served.context.rollout,
        "stage": served.context.stage,
        "arm": record.shadow.backend if isinstance(record, Compared) else served.answer.backend,
        "request_id": served.request_id.decode("utf-8", "backslashreplace"),
        "prediction_id": served.id.hex(),
        "at": served.at,
    }
    return [msgspec.structs.replace(found, **changes)]


@contextmanager
def _alone(spools: Path) -> Iterator[None]:
    folder = spools / QUARANTINE
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict("somebody else requeues at this moment: look again with modelctl evidence quarantine") from None
    finally:
        os.close(lock)
