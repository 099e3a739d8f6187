"""A week of one route's evidence, made by the database itself: so many predictions, a tenth of them pairs, and their rollups.

The rollups are those of a recorder: one minute's records are folded by its code, and every minute of the week gets these sums. The
rows are written by one statement for each part of them, with ids that grow, request ids in no order, and bodies of one size.
"""

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, insert, text

from modelctl.evidence import SENT, Answer, Compared, Context, Request, Served
from modelctl.recorder.readings import Judged, judge, understand
from modelctl.recorder.rollups import Fold, first_numbers
from modelctl.recorder.terms import Terms
from modelctl.rollout import Rollout
from modelctl.store.bulk import insert_rows
from modelctl.store.engine import writing
from modelctl.store.tables import pair, pivot, prediction, rollup, rollup_total
from modelctl.traffic import Backend, Role

WEEK = 7 * 1440
MINUTE = 60_000_000
PAIR_OF = 10
DISAGREE_OF = 50
_PART = 500_000
_SUMS = ("n", "k", "s1", "s2", "sp")
_JSON = b"application/json"


class Week(NamedTuple):
    """The week before `until` (Unix microseconds): so many predictions, with bodies of so many bytes."""

    rows: int
    until: int
    body: int = 300


def write_week(engine: Engine, rollout: Rollout, *, week: Week, said: Callable[[str], None]) -> None:
    """Writes it; `said` hears about the progress."""
    with writing(engine) as connection:
        written = _write_rollups(connection, rollout, week)
    said(f"{written:,} rows of rollup")
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            _hurry(connection)
        _write_rows(connection, rollout, week=week, said=said)


def _hurry(connection: Connection) -> None:
    """A crash may spoil this database, and its indexes stay in memory while it is written."""
    driver: Any = connection.connection.driver_connection
    for pragma in ("synchronous=OFF", "cache_size=-1000000", "wal_autocheckpoint=20000"):
        driver.execute(f"PRAGMA {pragma}")


def _write_rows(connection: Connection, rollout: Rollout, *, week: Week, said: Callable[[str], None]) -> None:
    step = WEEK * MINUTE // week.rows
    fixed = {"rollout": rollout.id, "stage": rollout.stage, "since": week.until - WEEK * MINUTE, "step": step, "body": week.body}
    for first in range(0, week.rows, _PART):
        last = min(first + _PART, week.rows) - 1
        for statement in (_PREDICTIONS, _PAIRS):
            connection.execute(text(statement.format(**_WORDS[connection.dialect.name])), fixed | {"first": first, "last": last})
        connection.commit()
        said(f"{last + 1:,} predictions")


def _write_rollups(connection: Connection, rollout: Rollout, week: Week) -> int:
    minute = week.until // MINUTE - WEEK
    records = list(_minute(rollout, week.rows // WEEK, at=minute * MINUTE))
    terms = Terms(arms=rollout.current.arms)
    found = [understand(record, _judged, terms=terms) for record in records]
    pivots = first_numbers(found)
    fold = Fold(pivots)
    for reading in found:
        fold.add(reading)
    sums = fold.rows()
    columns = tuple(column.name for column in rollup.columns)
    for number in range(minute, minute + WEEK):
        insert_rows(connection, rollup, columns=columns, rows=[_values(row | {"minute": number}, columns) for row in sums])
    columns = tuple(column.name for column in rollup_total.columns)
    insert_rows(connection, rollup_total, columns=columns, rows=[_values(_week_of(row), columns) for row in sums])
    if pivots:
        connection.execute(insert(pivot), [{**key._asdict(), "value": value} for key, value in pivots.items()])
    return len(sums) * WEEK


def _week_of(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: row[name] * WEEK for name in _SUMS}


def _values(row: dict[str, Any], columns: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(row[name] for name in columns)


def _minute(rollout: Rollout, count: int, *, at: int) -> Iterator[Served | Compared]:
    """What a worker writes in a minute: half of the answers are the candidate's, 2 % fail, latencies spread over a decade."""
    chance = random.Random(7)
    ids = iter(range(count))
    for number in islice(ids, count):
        arm, role = (rollout.baseline, Role.BASELINE) if number % 2 else (rollout.candidates[0], Role.CANDIDATE)
        shown = number % PAIR_OF == 1
        context = Context(rollout.route, rollout.id, rollout.stage, 7, role, "split", 5_000, b"")
        request = Request(b"POST", b"/fraud/predict", _JSON, b"", b"{}", 2)
        fates = ((rollout.candidates[0], SENT),) if shown else ()
        served = Served(number.to_bytes(16, "big"), b"r", at, context, request, _answer(arm, chance), fates)
        yield served
        if shown:
            yield Compared(served, _answer(rollout.candidates[0], chance))


def _answer(arm: str, chance: random.Random) -> Answer:
    label = "fraud" if chance.random() < 1 / DISAGREE_OF else "legit"
    body = b'{"prediction": "%s", "score": %.3f, "reasons": ["amount", "country"]}' % (label.encode(), chance.random())
    latency = int(chance.lognormvariate(8.5, 0.6))
    return Answer(arm, 503 if chance.random() < 0.02 else 200, "", latency, latency, _JSON, b"", body, len(body))


def _judged(answer: Answer) -> Judged:
    return judge(answer, Backend(name=answer.backend, endpoints=("http://127.0.0.1:9",)))


# What the two databases write differently. `id` is that of a UUIDv7: 12 digits of milliseconds, then what is unique.
_WORDS = {
    "sqlite": {
        "series": "(WITH RECURSIVE series(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM series WHERE i < :last) "
        "SELECT i FROM series)",
        "id": "printf('%012x%020x', (:since + i * :step) / 1000, i)",
        "request": "printf('%08x-%04x-7000-8000-%012x', (i * 2654435761) % 4294967296, i % 65536, i)",
        "body": "CAST(printf('%-*s', :body, i) AS BLOB)",
    },
    "postgresql": {
        "series": "generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS series(i)",
        "id": "lpad(to_hex((:since + i * :step) / 1000), 12, '0') || lpad(to_hex(i), 20, '0')",
        "request": "lpad(to_hex((i * 2654435761) % 4294967296), 8, '0') || '-' || lpad(to_hex(i % 65536), 4, '0') || '-7000-8000-' "
        "|| lpad(to_hex(i), 12, '0')",
        "body": "convert_to(rpad(CAST(i AS text), CAST(:body AS integer)), 'UTF8')",
    },
}

_PREDICTIONS = f"""
INSERT INTO {prediction.name} (
    id, request_id, at, route, rollout, stage, table_version, arm, role, reason, probability, unit, method,
    target, status, outcome, failure, latency_us, first_byte_us, label, probability_of_label,
    request_type, request_encoding, request_body, request_size, answer_type, answer_encoding, answer_body, answer_size)
SELECT {{id}}, {{request}}, :since + i * :step, 'fraud', :rollout, :stage, 7, CASE i % 2 WHEN 1 THEN 'a' ELSE 'b' END,
    CASE i % 2 WHEN 1 THEN 'baseline' ELSE 'candidate' END, 'split', 5000, '', 'POST', '/fraud/predict', 200, 'ok', '',
    3000 + i % 20000, 2500, CASE i % {DISAGREE_OF} WHEN 0 THEN 'fraud' ELSE 'legit' END, (i % 1000) / 1000.0,
    'application/json', '', {{body}}, :body, 'application/json', '', {{body}}, :body
FROM {{series}}
"""  # noqa: S608  (our own names)

_PAIRS = f"""
INSERT INTO {pair.name} (
    prediction_id, candidate, request_id, at, route, rollout, stage, baseline, agree, instances, instances_agreeing,
    baseline_outcome, baseline_status, baseline_latency_us, baseline_label, baseline_body, baseline_size,
    candidate_outcome, candidate_status, candidate_latency_us, candidate_label, candidate_body, candidate_size,
    request_body, request_size)
SELECT {{id}}, 'b', {{request}}, :since + i * :step, 'fraud', :rollout, :stage, 'a',
    CASE i / {PAIR_OF} % {DISAGREE_OF} WHEN 0 THEN 0 ELSE 1 END, 1, CASE i / {PAIR_OF} % {DISAGREE_OF} WHEN 0 THEN 0 ELSE 1 END,
    'ok', 200, 3000 + i % 20000, 'legit', {{body}}, :body,
    'ok', 200, 3500 + i % 20000, CASE i / {PAIR_OF} % {DISAGREE_OF} WHEN 0 THEN 'fraud' ELSE 'legit' END, {{body}}, :body,
    {{body}}, :body
FROM {{series}} WHERE i % {PAIR_OF} = 1
"""  # noqa: S608  (our own names)
