"""How fast the recorder takes records over, on SQLite: `python -m tests.benchmarks.recording`. Prints records a second of CPU.

plain    5 % canary, each request its own unit
sticky   the same, kept by user: 2,000 users
shadow   every request also shown to a candidate: half of the records are pairs
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from modelctl.evidence import SENT, Answer, Compared, Context, Request, Served
from modelctl.store import schema
from modelctl.traffic import Role
from tests.recorder.stream import START, Worker, declare, drain, register

RECORDS = 20_000
USERS = 2_000


def main() -> int:
    """Records each stream once, into a database of its own."""
    for name, unit, shown in (("plain", "request", False), ("sticky", "header:x-user", False), ("shadow", "request", True)):
        with tempfile.TemporaryDirectory() as folder:
            seconds = _recorded(Path(folder), _stream(shown=shown, sticky=unit != "request"), unit=unit)
        print(f"{name:8} {RECORDS / seconds:8,.0f} records/s")
    return 0


def _recorded(folder: Path, records: Sequence[Served | Compared], *, unit: str) -> float:
    url = f"sqlite:///{folder / 'modelctl.db'}"
    schema.upgrade(url)
    register(url)
    declare(url, unit=unit)
    worker = Worker(folder / "spool")
    for start in range(0, len(records), 1000):
        worker.write(records[start : start + 1000])
    begun = time.process_time()
    drain(url, folder / "spool")
    return time.process_time() - begun


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
    body = json.dumps({"amount": number, "country": "de", "items": [1, 2, 3]}).encode()
    request = Request(b"POST", b"/fraud/predict", b"application/json", b"", body, len(body))
    fates = (("new", SENT),) if shown else ()
    at = START + number * 5_000
    return Served(number.to_bytes(16, "big"), f"r{number}".encode(), at, context, request, _answer(arm, number), fates)


def _answer(arm: str, number: int) -> Answer:
    label = "fraud" if number % 50 == 0 else "legit"
    body = json.dumps({"prediction": label, "score": number / RECORDS, "reasons": ["amount", "country"]}).encode()
    return Answer(arm, 500 if number % 200 == 0 else 200, "", 1_500 + number % 900, 700, b"application/json", b"", body, len(body))


if __name__ == "__main__":
    sys.exit(main())
