"""What a router's worker would have written down, and the database it goes to."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from modelctl.evidence import LOCK_FILE, SENT, Answer, Compared, Context, Request, Served, Tally, frame, segment_name
from modelctl.recorder.commit import Batch, Progress, Writer
from modelctl.recorder.known import Known
from modelctl.recorder.labels import Joiner
from modelctl.recorder.ledger import Admission
from modelctl.recorder.readings import Judged, Reading, judge, understand
from modelctl.recorder.recorder import Recorder
from modelctl.recorder.spool_reader import Position
from modelctl.recorder.terms import Terms
from modelctl.rollout import Rollout, Step
from modelctl.store import tables
from modelctl.store.engine import connect, reading, writing
from modelctl.traffic import Arm, Backend, Role

START = 1_760_000_000_000_000
ARMS = (
    Arm(backend="old", role=Role.BASELINE, answers=9_000),
    Arm(backend="new", role=Role.CANDIDATE, answers=1_000, shown=10_000),
)
TERMS = Terms(arms=ARMS)
LATER = START + 10**12


def register(url: str) -> int:
    """Registers the backends `old` and `new`, a route and an open rollout with ARMS; returns the id of its stage."""
    engine = connect(url)
    with writing(engine) as connection:
        for name in ("old", "new"):
            spec = msgspec.json.encode(Backend(name=name, endpoints=("http://127.0.0.1:9",))).decode()
            connection.execute(insert(tables.backend).values(name=name, spec=spec, revision=1, created_at=START))
        connection.execute(
            insert(tables.route).values(
                name="fraud", path="/fraud", unit="request", capture="{}", baseline="old", revision=1, created_at=START
            )
        )
        rollout = connection.execute(
            insert(tables.rollout)
            .values(route="fraud", strategy="canary", phase="progressing", spec="{}", revision=1, opened_at=START)
            .returning(tables.rollout.c.id)
        ).scalar_one()
        arms = msgspec.json.encode(ARMS).decode()
        stage: int = connection.execute(
            insert(tables.stage).values(rollout=rollout, route="fraud", arms=arms, opened_at=START).returning(tables.stage.c.id)
        ).scalar_one()
    engine.dispose()
    return stage


def declare(url: str, **declared: object) -> None:
    """Has the rollout declare a unit, fields, dimensions or a conduct."""
    rollout = Rollout(
        id=1,
        route="fraud",
        strategy="canary",
        baseline="old",
        candidates=("new",),
        steps=(Step(title="10 %", arms=ARMS),),
        salt="00" * 16,
        opened_at=START // 1000,
        **declared,  # type: ignore[arg-type]
    )
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(update(tables.rollout).values(spec=msgspec.json.encode(rollout).decode()))
    engine.dispose()


def answer(backend: str, prediction: object = "cat", *, status: int = 200, failure: str = "", latency: int = 1500) -> Answer:
    """An answer of `backend`; without a complete response when there is a `failure`."""
    body = b"" if failure else json.dumps({"prediction": prediction}).encode()
    return Answer(backend, 0 if failure else status, failure, latency, latency // 2, b"application/json", b"", body, len(body))


def served(
    number: int, given: Answer, *, reason: str = "split", shown: dict[str, str] | None = None, stage: int = 1, instead_of: str = ""
) -> Served:
    """The `number`-th request of a stream, ten milliseconds after the one before; its id is unique for the number."""
    at = START + number * 10_000
    role = Role.BASELINE if given.backend == "old" else Role.CANDIDATE
    context = Context("fraud", 1, stage, 7, role, reason, 9_000, b"user-1", instead_of)
    body = b'{"x": 1}'
    request = Request(b"POST", b"/fraud/predict", b"application/json", b"", body, len(body))
    name = f"request-{number}".encode()
    return Served(number.to_bytes(16, "big"), name, at, context, request, given, tuple((shown or {}).items()))


def shown_to_new(number: int, baseline: object, candidate: object) -> list[Served | Compared]:
    """One request that `old` answered and `new` was shown: the two records of it."""
    first = served(number, answer("old", baseline, latency=1000 + number), shown={"new": SENT})
    return [first, Compared(first, answer("new", candidate, latency=2000 + number))]


def mixed(count: int) -> list[Served | Compared]:
    """A stream of labels, numbers, failures, previews, cancelled and skipped requests; about `count` records."""
    records: list[Served | Compared] = []
    number = 0
    while len(records) < count:
        number += 1
        match number % 10:
            case 0:
                records.append(served(number, answer("new", "dog", latency=number)))
            case 1:
                records.append(served(number, answer("old", number / 7), shown={"new": "inflight"}))
            case 2:
                records.append(served(number, answer("new", "cat"), reason="preview"))
            case 3:
                records.append(served(number, answer("old", failure="client-gone")))
            case 4:
                first = served(number, answer("old", "cat"), shown={"new": SENT})
                records += [first, Compared(first, answer("new", failure="timeout"))]
            case 5:
                records += shown_to_new(number, number * 1.5, number * 1.5 + 0.25)
            case 6:
                records += shown_to_new(number, "dog", "cat")
            case 7:
                records += shown_to_new(number, ["cat", "dog"], ["cat", "cat"])
            case 8:
                first = served(number, answer("old", status=500), shown={"new": SENT})
                records += [first, Compared(first, answer("new", "cat"))]
            case _:
                records += shown_to_new(number, "cat", "cat")
    return records


class Worker:
    """Writes a spool as a router's worker does: batches that end with a tally; it holds the spool's lock until it `dies`."""

    def __init__(self, root: Path, name: str = "worker-0-boot-1") -> None:
        self.folder = root / name
        self.folder.mkdir(parents=True)
        self._lock = os.open(self.folder / LOCK_FILE, os.O_WRONLY | os.O_CREAT)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.segment = 1
        self.accepted = 0
        self.path.touch()

    @property
    def path(self) -> Path:
        """The segment that is written to."""
        return self.folder / segment_name(self.segment)

    def write(self, records: Sequence[Served | Compared]) -> None:
        """One batch."""
        self.accepted += len(records)
        tally = Tally(self.accepted, self.accepted, {})
        self.write_bytes(b"".join(map(frame, [*records, tally])))

    def write_bytes(self, data: bytes) -> None:
        """Whatever it is."""
        with self.path.open("ab") as file:
            file.write(data)

    def roll(self) -> None:
        """Begin the next segment."""
        self.segment += 1
        self.path.touch()

    def dies(self) -> None:
        """Give up the lock, a while ago."""
        self._unlock()
        past = time.time() - 60
        os.utime(self.folder, (past, past))

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    __del__ = _unlock


def batches(records: Sequence[Served | Compared], size: int) -> Iterable[Sequence[Served | Compared]]:
    """`records` in pieces of `size`."""
    return (records[start : start + size] for start in range(0, len(records), size))


def drain(url: str, root: Path) -> list[dict[str, object]]:
    """Records what the spools below `root` hold; returns what was logged."""
    events: list[dict[str, object]] = []
    engine = connect(url)
    recorder = Recorder(engine, root, log=lambda event, **facts: events.append({"event": event, **facts}))
    while recorder.pass_once():
        pass
    engine.dispose()
    return events


def rows(url: str, table: str) -> list[dict[str, Any]]:
    """Every row of a table, in the order of its key."""
    found = tables.rollup.metadata.tables[table]
    engine = connect(url)
    with reading(engine) as connection:
        result = [dict(row) for row in connection.execute(select(found).order_by(*found.primary_key)).mappings()]
    engine.dispose()
    return result


def sums(url: str, metric: str) -> dict[tuple[str, str], tuple[int, int, float, float, float]]:
    """A metric's rollups over all minutes, by arm and key: n, k, s1, s2, sp."""
    totals: dict[tuple[str, str], tuple[int, int, float, float, float]] = {}
    for row in rows(url, "rollup"):
        if row["metric"] == metric:
            before = totals.get((row["arm"], row["key"]), (0, 0, 0.0, 0.0, 0.0))
            n, k, s1, s2, sp = before
            totals[row["arm"], row["key"]] = (n + row["n"], k + row["k"], s1 + row["s1"], s2 + row["s2"], sp + row["sp"])
    return totals


class Recording:
    """A recorder's way into the database, piece by piece: `name` is its spool's."""

    def __init__(self, url: str, name: str = "worker-0") -> None:
        self.engine = connect(url)
        self._known, self._admission = Known(self.engine), Admission()
        self._writer, self._joiner = Writer(self.engine, self._admission), Joiner(self.engine, self._admission)
        self._progress = Progress(name)

    def take(self, records: Sequence[Served | Compared]) -> None:
        """Records a piece in one transaction."""
        self._known.learn(records)
        end = Position(1, self._progress.position.offset + 1)
        batch = Batch([self._known.read(record) for record in records], end)
        self._progress = self._writer.commit(self._progress, batch, at=START)

    def join(self, at: int = LATER) -> None:
        """Joins all feedback that waits."""
        while self._joiner.waits(at=at):
            self._joiner.join_some(at=at)


def readings(records: Iterable[Served | Compared], terms: Terms = TERMS) -> list[Reading]:
    """What `records` say, to backends of kind json, under `terms`."""
    return [understand(record, _judged, terms=terms) for record in records]


def _judged(given: Answer) -> Judged:
    return judge(given, Backend(name=given.backend, endpoints=("http://127.0.0.1:9",)))
