"""A store with millions of predictions: how large it is, and how long those take who read it.

    python -m tests.benchmarks.scale [--rows 10m] [--body 300] [--only sqlite,postgresql] [--folder DIR]

A week of one route under one rollout is written (scale_rows.py; 10 million rows need 15 GB, one database after the other), and
then, ROUNDS times each: the report and its Markdown, the status, the judgement, a turn of the controller. Prints Markdown: sizes by
table and index, and milliseconds.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from sqlalchemy import Engine, text

from modelctl.controlplane.judgement.inquiry import judgement_of
from modelctl.controlplane.report.content import write_report
from modelctl.controlplane.report.gathering import findings
from modelctl.controlplane.report.markdown import markdown
from modelctl.controlplane.report.status import read_status
from modelctl.store.engine import connect, reading
from tests.benchmarks.databases import new_postgresql, new_sqlite, postgresql
from tests.benchmarks.scale_rows import WEEK, Week, write_week
from tests.controlplane.program import MINUTE, Program

ROUNDS = 7
GATES = ("error_rate:guardrail:margin=2pt", "slow_rate:guardrail:margin=5pt,slower=250ms")
DATABASES = ("sqlite", "postgresql")

Sizes = dict[str, tuple[int, int]]


def main() -> int:
    """Writes and measures each database in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=counted, default=10_000_000, metavar="N", help="predictions: 10m, 500k or a number")
    parser.add_argument("--body", type=int, default=300, metavar="BYTES", help="of each request and answer")
    parser.add_argument("--only", default=",".join(DATABASES), metavar="NAME,NAME")
    parser.add_argument("--folder", type=Path, help="where the databases are made and deleted; default: the temporary folder")
    asked = parser.parse_args()
    for name in asked.only.split(","):
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder, _store(name, Path(folder)) as url:
            engine = connect(url)
            program = _filled(engine, rows=asked.rows, body=asked.body)
            print(_sizes_table(name, _sizes(engine), rows=asked.rows), flush=True)
            print(_times_table(name, _times(program)), flush=True)
            engine.dispose()
    return 0


def counted(said: str) -> int:
    """A number of rows, `10m` and `500k` too."""
    factor = {"k": 1_000, "m": 1_000_000}.get(said[-1:].lower(), 1)
    return int(said if factor == 1 else said[:-1]) * factor


@contextmanager
def _store(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield new_sqlite(folder)
    else:
        with postgresql(folder) as server:
            yield new_postgresql(server, "scale")


def _filled(engine: Engine, *, rows: int, body: int) -> Program:
    program = Program(engine)
    rollout = program.start(gates=GATES, conduct={"mode": "auto", "max_ms": 30 * 86_400_000}, parameters={"percent_bp": 5000})
    until = program.now + WEEK * MINUTE
    began = time.monotonic()

    def said(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s {what}", file=sys.stderr)

    write_week(engine, rollout, week=Week(rows, until, body), said=said)
    program.now = until
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)"))
    return program


def _sizes(engine: Engine) -> Sizes:
    """Rows and bytes of every table and index that is not small."""
    query = _SQLITE if engine.dialect.name == "sqlite" else _POSTGRESQL
    with engine.connect() as connection:
        return {row.name: (int(row.n), int(row.bytes)) for row in connection.execute(text(query))}


_SQLITE = """SELECT name, sum(CASE WHEN pagetype = 'internal' AND name IN ('prediction', 'pair') THEN 0 ELSE ncell END) AS n,
sum(pgsize) AS bytes FROM dbstat GROUP BY name HAVING sum(pgsize) > 1000000 ORDER BY 3 DESC"""
_POSTGRESQL = """SELECT relname AS name, CAST(reltuples AS bigint) AS n, pg_relation_size(oid) AS bytes FROM pg_class
WHERE relkind IN ('r', 'i', 't') AND pg_relation_size(oid) > 1000000 AND relnamespace = 'public'::regnamespace ORDER BY 3 DESC"""


def _sizes_table(name: str, sizes: Sizes, *, rows: int) -> str:
    lines = [f"\n| {name}: {rows:,} predictions | entries | MB | bytes an entry |", "| --- | --- | --- | --- |"]
    lines += [f"| `{part}` | {n:,} | {size / 1e6:,.0f} | {size / max(n, 1):,.0f} |" for part, (n, size) in sizes.items()]
    return "\n".join([*lines, f"| together | | {sum(size for _, size in sizes.values()) / 1e6:,.0f} | |"])


def _times(program: Program) -> dict[str, list[float]]:
    engine, rollout = program.engine, program.rollout()

    def judged() -> None:
        with reading(engine) as connection:
            judgement_of(connection, rollout, at=program.now // 1000)

    asked: dict[str, Callable[[], object]] = {
        "report": lambda: markdown(write_report(findings(engine, "fraud"), at=program.now)),
        "status": lambda: read_status(engine, None, workers=(), at=program.now),
        "judgement": judged,
        "turn of the controller": lambda: asyncio.run(program.turn(60.0)),
    }
    return {name: [_milliseconds(question) for _ in range(ROUNDS)] for name, question in asked.items()}


def _milliseconds(question: Callable[[], object]) -> float:
    began = time.perf_counter()
    question()
    return (time.perf_counter() - began) * 1000


def _times_table(name: str, times: dict[str, list[float]]) -> str:
    lines = [f"\n| {name} | best ms | median | first |", "| --- | --- | --- | --- |"]
    return "\n".join(
        [*lines, *(f"| {what} | {min(took):,.0f} | {median(took):,.0f} | {took[0]:,.0f} |" for what, took in times.items())]
    )


if __name__ == "__main__":
    sys.exit(main())
