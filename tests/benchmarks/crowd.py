"""A store as a large company has it: many routes, some of them in a rollout, and the sums of millions of predictions."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.operations.starting import NewRollout, start_rollout
from modelctl.latency import bucket_index
from modelctl.rollout import Rollout
from modelctl.store import catalog, schema
from modelctl.store.catalog import BackendEntry, RouteEntry
from modelctl.store.engine import connect, writing
from modelctl.store.tables import pair, prediction, rollup, rollup_total
from modelctl.traffic import Backend

GATES = ("error_rate:guardrail:margin=0.5pt", "agreement:guardrail:limit=95%", "slow_rate:guardrail:margin=1pt,slower=250ms")
BUCKETS = [bucket_index(microseconds) for microseconds in range(800, 60_000, 1_500)]
_SUMS = ("n", "k", "s1", "s2", "sp")


class Size(NamedTuple):
    """How large it is. `rows` are predictions with their bodies, `total` those that the sums count."""

    routes: int = 1_000
    rollouts: int = 50
    total: int = 10_000_000
    rows: int = 400_000
    minutes: int = 90


def build(file: Path, size: Size, *, at: int) -> None:
    """Writes the store as of Unix microsecond `at`."""
    url = f"sqlite:///{file}"
    schema.upgrade(url)
    engine = connect(url)
    started = at - size.minutes * 60_000_000
    with writing(engine) as connection:
        for number in range(size.routes):
            for version in ("v1", "v2") if number < size.rollouts else ("v1",):
                backend = Backend(name=f"model-{number:04}-{version}", endpoints=(f"http://model-{number}.test:8000",))
                catalog.put_backend(connection, BackendEntry(backend=backend, created_at=started))
            name = f"route-{number:04}"
            catalog.put_route(
                connection, RouteEntry(name=name, path=f"/{name}", baseline=f"model-{number:04}-v1", created_at=started)
            )
    opened = [_started(engine, number, at=started) for number in range(size.rollouts)]
    engine.dispose()
    _fill(file, size, opened=opened, at=at)


def _started(engine: object, number: int, *, at: int) -> Rollout:
    wanted = NewRollout(
        strategy="canary",
        route=f"route-{number:04}",
        candidates=(f"model-{number:04}-v2",),
        parameters={"percent_bp": 1000, "steps_bp": [2500, 5000], "shadow_bp": 5000},
        gates=GATES,
    )
    return start_rollout(engine, wanted, author=Author(actor="ann", at=at), salt=f"{number:032x}").subject  # type: ignore[arg-type]


def _fill(file: Path, size: Size, *, opened: list[Rollout], at: int) -> None:
    base = sqlite3.connect(file)
    base.execute("PRAGMA synchronous=OFF")
    minute = at // 60_000_000
    _insert(base, rollup.name, columns=[column.name for column in rollup.columns], rows=_sums(size, opened, minute=minute))
    keys = ", ".join(column.name for column in rollup_total.primary_key)
    added = ", ".join(f"SUM({name})" for name in _SUMS)
    base.execute(f"INSERT INTO rollup_total ({keys}, {', '.join(_SUMS)}) SELECT {keys}, {added} FROM rollup GROUP BY {keys}")  # noqa: S608
    _insert(base, prediction.name, columns=list(_row(0, size, opened=opened, at=at)), rows=_rows(size, opened, at=at))
    _insert(base, pair.name, columns=list(_pair(0, size, opened=opened, at=at)), rows=_pairs(size, opened, at=at))
    base.execute("ANALYZE")
    base.commit()
    base.close()


def _insert(base: sqlite3.Connection, table: str, *, columns: list[str], rows: Iterator[tuple[object, ...]]) -> None:
    places = ", ".join("?" * len(columns))
    base.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608
    base.commit()


def _sums(size: Size, opened: list[Rollout], *, minute: int) -> Iterator[tuple[object, ...]]:
    """Rows of rollup: each minute of each rollout, and the last ten of every route without one."""
    each = max(1, size.total // (len(opened) * size.minutes))
    for rollout in opened:
        for ago in range(size.minutes):
            for arm, n in ((rollout.baseline, each * 9 // 10), (rollout.candidates[0], each // 10)):
                for key in _served(n):
                    yield (rollout.route, rollout.id, rollout.stage, arm, *key[:2], minute - ago, *key[2:])
            for key in _shown(each * 9 // 20):
                yield (rollout.route, rollout.id, rollout.stage, rollout.candidates[0], *key[:2], minute - ago, *key[2:])
    for number in range(len(opened), size.routes):
        for ago in range(10):
            for key in _served(120):
                yield (f"route-{number:04}", 0, 0, f"model-{number:04}-v1", *key[:2], minute - ago, *key[2:])


def _served(n: int) -> Iterator[tuple[object, ...]]:
    failures = n // 200
    yield ("requests", "ok", n - failures, 0, 0.0, 0.0, 0.0)
    yield ("requests", "backend_error", failures, 0, 0.0, 0.0, 0.0)
    yield ("units", "", n, 0, 0.0, 0.0, 0.0)
    yield ("error", "", n, failures, 0.0, 0.0, 0.0)
    for bucket in BUCKETS:
        yield ("latency", str(bucket), max(1, n // len(BUCKETS)), 0, 0.0, 0.0, 0.0)


def _shown(n: int) -> Iterator[tuple[object, ...]]:
    for stage in ("eligible", "sampled", "sent", "answered", "parsed", "paired"):
        yield ("funnel", stage, n, 0, 0.0, 0.0, 0.0)
    yield ("pair_error", "0", n - n // 100, 0, 0.0, 0.0, 0.0)
    yield ("pair_error", "-", n // 200, 0, 0.0, 0.0, 0.0)
    yield ("pair_error", "+", n // 200, 0, 0.0, 0.0, 0.0)
    yield ("agreement", "equal", n - n // 40, 0, 0.0, 0.0, 0.0)
    yield ("agreement", "different", n // 40, 0, 0.0, 0.0, 0.0)


def _row(number: int, size: Size, *, opened: list[Rollout], at: int) -> dict[str, object]:
    when = at - (size.rows - number) * 10_000
    rollout = opened[number % len(opened)]
    candidate = number % 10 == 0
    return {
        "id": f"{when // 1000:012x}{number:020x}",
        "request_id": f"request-{number}",
        "at": when,
        "route": rollout.route,
        "rollout": rollout.id,
        "stage": rollout.stage,
        "table_version": 1,
        "arm": rollout.candidates[0] if candidate else rollout.baseline,
        "role": "candidate" if candidate else "baseline",
        "reason": "split",
        "probability": 1000 if candidate else 9000,
        "method": "POST",
        "target": f"/{rollout.route}",
        "status": 500 if number % 5_000 == 0 else 200,
        "outcome": "backend_error" if number % 5_000 == 0 else "ok",
        "latency_us": 1_000 + number % 20_000,
        "first_byte_us": 900,
        "label": "yes" if number % 3 else "no",
        "request_body": b'{"amount": 12.5, "country": "NL", "items": [1, 2, 3]}',
        "request_size": 52,
        "answer_body": b'{"prediction": "yes", "score": 0.71}',
        "answer_size": 36,
    }


def _rows(size: Size, opened: list[Rollout], *, at: int) -> Iterator[tuple[object, ...]]:
    for number in range(size.rows):
        yield tuple(_row(number, size, opened=opened, at=at).values())


def _pair(number: int, size: Size, *, opened: list[Rollout], at: int) -> dict[str, object]:
    served = _row(number, size, opened=opened, at=at)
    rollout = opened[number % len(opened)]
    equal = number % 40 != 0
    row: dict[str, object] = {name: served[name] for name in ("request_id", "at", "route", "rollout", "stage", "request_body")}
    row |= {"prediction_id": served["id"], "candidate": rollout.candidates[0], "baseline": rollout.baseline, "agree": int(equal)}
    for side in ("baseline", "candidate"):
        row |= {f"{side}_outcome": "ok", f"{side}_status": 200, f"{side}_latency_us": 1_500}
        row[f"{side}_body"] = b'{"prediction": "yes"}'
    return row | {"baseline_label": "yes", "candidate_label": "yes" if equal else "no"}


def _pairs(size: Size, opened: list[Rollout], *, at: int) -> Iterator[tuple[object, ...]]:
    for number in range(1, size.rows, 4):
        yield tuple(_pair(number, size, opened=opened, at=at).values())
