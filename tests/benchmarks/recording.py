"""How fast the recorder takes records over, into SQLite and PostgreSQL: `python -m tests.benchmarks.recording [--json FILE]`.

plain    5 % canary, each request its own unit: one record is one prediction
sticky   the same, kept by user: 2,000 users
shadow   every request also shown to a candidate: half of the records are pairs

Each stream goes into a new database; requests and answers have bodies of 300 bytes, and no two answers are equal. CPU is that of
the recorder, without PostgreSQL's own processes; the time on the clock has both, one after the other.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from modelctl.evidence import SENT, Answer, Compared, Context, Request, Served
from modelctl.recorder.process import collect_seldom
from modelctl.traffic import Role
from tests.benchmarks.databases import new_postgresql, new_sqlite, postgresql
from tests.recorder.stream import START, Worker, declare, drain, register

RECORDS = 20_000
USERS = 2_000
ROUNDS = 3
BODY = 300
STREAMS = ("plain", "sticky", "shadow")
DATABASES = ("sqlite", "postgresql")


class Cost(NamedTuple):
    """Microseconds for a record: the recorder's CPU, and on the clock."""

    cpu: float
    clock: float


Costs = dict[str, dict[str, Cost]]


def main() -> int:
    """Records each stream ROUNDS times, each time into a database of its own; prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="microseconds by database and stream")
    asked = parser.parse_args()
    collect_seldom()
    with tempfile.TemporaryDirectory() as folder:
        costs = measured(Path(folder))
    for database, by in costs.items():
        for stream, cost in by.items():
            print(f"{database:11} {stream:7} {1e6 / cost.cpu:7,.0f} records/s, {cost.cpu:5.1f} µs; {cost.clock:5.1f} on the clock")
    if asked.json:
        asked.json.write_text(json.dumps(costs))
    return 0


def read_costs(path: Path) -> Costs:
    """What `--json` wrote."""
    found = json.loads(path.read_text())
    return {database: {stream: Cost(*cost) for stream, cost in by.items()} for database, by in found.items()}


def measured(folder: Path) -> Costs:
    """The medians, by database and stream."""
    found: dict[tuple[str, str], list[Cost]] = {}
    with postgresql(folder) as server:
        for place, database, stream in _runs(folder):
            url = new_sqlite(place) if database == "sqlite" else new_postgresql(server, place.name)
            found.setdefault((database, stream), []).append(_recorded(place, url, stream=stream))
    return {database: {stream: _middle(found[database, stream]) for stream in STREAMS} for database in DATABASES}


def _runs(folder: Path) -> Iterator[tuple[Path, str, str]]:
    for number in range(ROUNDS):
        for database in DATABASES:
            for stream in STREAMS:
                place = folder / f"{database}_{stream}_{number}"
                place.mkdir()
                yield place, database, stream


def _middle(costs: Sequence[Cost]) -> Cost:
    return Cost(median(cost.cpu for cost in costs), median(cost.clock for cost in costs))


def _recorded(folder: Path, url: str, *, stream: str) -> Cost:
    sticky = stream == "sticky"
    records = _stream(shown=stream == "shadow", sticky=sticky)
    register(url)
    declare(url, unit="header:x-user" if sticky else "request")
    worker = Worker(folder / "spool")
    for start in range(0, len(records), 1000):
        worker.write(records[start : start + 1000])
    cpu, clock = time.process_time(), time.perf_counter()
    drain(url, folder / "spool")
    return Cost((time.process_time() - cpu) / RECORDS * 1e6, (time.perf_counter() - clock) / RECORDS * 1e6)


def _stream(*, shown: bool, sticky: bool) -> list[Served | Compared]:
    records: list[Served | Compared] = []
    number = 0
    while len(records) < RECORDS:
        number += 1
        first = _served(number, sticky=sticky, shown=shown)
        records.append(first)
        if shown:
            records.append(Compared(first, _answer("new", number)))
    return records


def _served(number: int, *, sticky: bool, shown: bool) -> Served:
    arm = "new" if number % 20 == 0 and not shown else "old"
    role = Role.CANDIDATE if arm == "new" else Role.BASELINE
    unit = f"user-{number * 7919 % USERS}".encode() if sticky else b""
    context = Context("fraud", 1, 1, 7, role, "split", 9_500, unit)
    body = json.dumps({"amount": number, "country": "de", "items": [1, 2, 3]}).encode().ljust(BODY)
    request = Request(b"POST", b"/fraud/predict", b"application/json", b"", body, len(body))
    fates = (("new", SENT),) if shown else ()
    at = START + number * 5_000
    return Served(number.to_bytes(16, "big"), f"r{number}".encode(), at, context, request, _answer(arm, number), fates)


def _answer(arm: str, number: int) -> Answer:
    label = "fraud" if number % 50 == 0 else "legit"
    body = json.dumps({"prediction": label, "score": number / RECORDS, "reasons": ["amount", "country"]}).encode().ljust(BODY)
    return Answer(arm, 500 if number % 200 == 0 else 200, "", 1_500 + number % 900, 700, b"application/json", b"", body, len(body))


if __name__ == "__main__":
    sys.exit(main())
