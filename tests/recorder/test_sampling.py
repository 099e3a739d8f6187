"""A sample of the bodies: every record is counted, the bodies of some are kept, and each row says with what chance."""

import math
import random
import re
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from modelctl.controlplane.backfill.imported import Known, record_of
from modelctl.controlplane.backfill.replay_records import NOT_KEPT, reason_against
from modelctl.errors import InvalidInput
from modelctl.evidence import REQUEST_REDACTED, Compared, Served, decode, encode
from modelctl.recorder.rows import PAIR_COLUMNS, PREDICTION_COLUMNS, pair_row, prediction_row
from modelctl.router.redaction import Redaction
from modelctl.router.sampling import Sampling, editing
from modelctl.store import export, tables
from modelctl.store.engine import connect, reading
from modelctl.traffic import Capture, Route, Split
from tests.recorder.stream import START, Recording, answer, mixed, readings, register, rows, served, shown_to_new
from tests.router.conftest import baseline, candidate

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "schema.md").read_text()
SALT = "0123456789abcdef" * 2


def _route(share: int, *, salt: str = SALT, redact: tuple[str, ...] = ()) -> Route:
    arms = (baseline("old", answers=9_000), candidate("new", answers=1_000))
    return Route(name="fraud", arms=arms, salt=salt, capture=Capture(sample_bodies=share, redact=redact))


def _units(count: int) -> list[bytes]:
    return [f"user-{number}".encode() for number in range(count)]


def _edited(one: Served | Compared, share: int, *, salt: str = SALT) -> Served | Compared:
    """As a router with that sample writes it down."""
    sampling = Sampling(_route(share, salt=salt))
    if isinstance(one, Served):
        return sampling.served(one, shown=any(fate == "sent" for _, fate in one.shown))
    return msgspec.structs.replace(one, served=sampling.served(one.served, shown=True))


def _of(unit: int, one: Served) -> Served:
    context = msgspec.structs.replace(one.context, unit=f"user-{unit}".encode())
    return msgspec.structs.replace(one, context=context)


def _row(one: Served | Compared) -> dict[str, Any]:
    (read,) = readings([one])
    if isinstance(one, Served):
        return dict(zip(PREDICTION_COLUMNS, prediction_row(read), strict=True))  # type: ignore[arg-type]
    return dict(zip(PAIR_COLUMNS, pair_row(read), strict=True))  # type: ignore[arg-type]


def _outside(share: int = 1_000) -> int:
    sampling = Sampling(_route(share))
    return next(number for number, unit in enumerate(_units(1_000)) if not sampling.draws(unit))


def test_a_unit_is_in_the_sample_on_every_router_and_in_every_larger_sample() -> None:
    units = _units(4_000)
    small, again, large = (Sampling(_route(share)) for share in (1_000, 1_000, 3_000))
    drawn = {unit for unit in units if small.draws(unit)}
    assert drawn == {unit for unit in units if again.draws(unit)}
    assert drawn < {unit for unit in units if large.draws(unit)}
    assert not any(Sampling(_route(0)).draws(unit) for unit in units)
    assert drawn != {unit for unit in units if Sampling(_route(1_000, salt="77" * 16)).draws(unit)}


def test_the_sample_has_its_share_of_each_arm() -> None:
    route = _route(2_000)
    split, sampling = Split(route), Sampling(route)
    drawn: dict[str, list[bool]] = {"old": [], "new": []}
    for unit in _units(20_000):
        drawn[split.assignments[split.index(unit)].arm.backend].append(sampling.draws(unit))
    for found in drawn.values():
        assert mean(found) == pytest.approx(0.2, abs=5 * (0.16 / len(found)) ** 0.5)


def test_a_route_that_keeps_all_has_nothing_to_do() -> None:
    assert editing(_route(10_000), None) is None


def test_what_nobody_was_shown_leaves_its_body_out_of_the_spool() -> None:
    one = _of(_outside(), served(1, answer("old")))
    left = _edited(one, 1_000)
    assert isinstance(left, Served)
    assert (left.request.body, left.request.size, left.answer.body) == (b"", one.request.size, one.answer.body)
    assert (left.in_sample, left.bodies_share) == (False, 1_000)
    assert len(encode(left)) < len(encode(one))
    row = _row(left)
    assert (row["bodies_kept"], row["bodies_share"], row["request_body"], row["answer_body"]) == (0, 1_000, b"", b"")
    assert (row["label"], row["request_size"], row["answer_size"]) == ("cat", one.request.size, one.answer.size)


@pytest.mark.parametrize(
    "given_answer", [answer("old", status=503), answer("old", failure="timeout"), answer("old", failure="reset")]
)
def test_a_failure_keeps_its_bodies_and_says_that_it_was_sure_to(given_answer: Any) -> None:  # noqa: ANN401
    row = _row(_edited(_of(_outside(), served(1, given_answer)), 1_000))
    assert (row["bodies_kept"], row["bodies_share"]) == (1, 10_000)
    assert row["request_body"] == b'{"x": 1}'


@pytest.mark.parametrize(
    ("baseline_says", "candidate_says", "kept"),
    [("cat", "cat", (0, 1_000)), ("cat", "dog", (1, 10_000)), (None, "dog", (1, 10_000))],
)
def test_a_pair_that_does_not_agree_keeps_its_bodies(baseline_says: object, candidate_says: object, kept: tuple[int, int]) -> None:
    _, compared = shown_to_new(1, baseline_says, candidate_says)
    assert isinstance(compared, Compared)
    pair = msgspec.structs.replace(compared, served=_of(_outside(), compared.served))
    row = _row(_edited(pair, 1_000))
    assert (row["bodies_kept"], row["bodies_share"]) == kept
    assert bool(row["request_body"]) == bool(row["candidate_body"]) == bool(row["baseline_body"]) == bool(kept[0])


def test_records_of_older_routers_keep_everything() -> None:
    one = served(1, answer("old"))
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(encode(one))[:-2])
    assert decode(older) == one
    assert (_row(one)["bodies_kept"], _row(one)["bodies_share"]) == (1, 10_000)


def test_what_is_redacted_goes_before_the_sample_is_looked_at() -> None:
    route = _route(1_000, redact=("/x",))
    editor = editing(route, Redaction(("/x",)))
    assert editor is not None
    left = editor.served(_of(_outside(), served(1, answer("old"))), False)
    assert (left.request.body, left.redacted) == (b"", REQUEST_REDACTED)


def test_the_sums_are_those_of_a_route_that_keeps_everything(sqlite_url: str, postgres_url: str) -> None:
    for url, share in ((sqlite_url, 10_000), (postgres_url, 500)):
        register(url)
        recording = Recording(url)
        recording.take([_edited(one, share) for one in mixed(300)] if share < 10_000 else mixed(300))
        recording.engine.dispose()
    assert rows(sqlite_url, "rollup_total") == rows(postgres_url, "rollup_total")
    labels = [[row["label"] for row in rows(url, "prediction")] for url in (sqlite_url, postgres_url)]
    assert labels[0] == labels[1]
    assert {row["bodies_kept"] for row in rows(postgres_url, "prediction")} == {0, 1}


def test_the_documented_query_counts_without_bias(database_url: str) -> None:
    """Over many salts: the weighted count of what bodies say is on average what all bodies say."""
    register(database_url)
    recording = Recording(database_url)
    chance = random.Random(7)
    records: list[Served] = []
    for number in range(1, 401):
        said = answer("old", "cat") if chance.random() < 0.8 else answer("old", status=500)
        one = _of(number % 150, served(number, said))
        body = b'{"country": "fr"}' if chance.random() < 0.3 else b'{"country": "de"}'
        records.append(msgspec.structs.replace(one, request=msgspec.structs.replace(one.request, body=body, size=len(body))))
    truth = sum(b"fr" in one.request.body for one in records)
    counts = []
    for round_ in range(40):
        salted = [_edited(one, 2_000, salt=f"{round_ + 1:032x}") for one in records]
        counts.append(_weighted([_row(one) for one in salted]))
        if round_ == 0:
            recording.take(salted)
            assert _documented(database_url) == pytest.approx(counts[0])
    recording.engine.dispose()
    assert abs(mean(counts) - truth) < 4 * pstdev(counts) / len(counts) ** 0.5
    unweighted = [sum(1 for one in records if b"fr" in one.request.body) * 0.2]
    assert abs(mean(unweighted) - truth) > 10 * pstdev(counts) / len(counts) ** 0.5  # so the test can fail


def _weighted(found: list[dict[str, Any]]) -> float:
    return math.fsum(10_000 / row["bodies_share"] for row in found if row["bodies_kept"] and b"fr" in row["request_body"])


def _documented(url: str) -> float:
    """What the query of docs/schema.md answers."""
    section = re.search(r"^# A sample of the bodies\n(.*?)^# ", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    for_sqlite, for_postgresql = re.findall(r"```sql\n(.*?)```", section[1], re.DOTALL)
    query = for_sqlite if url.startswith("sqlite") else for_postgresql
    engine = connect(url)
    with reading(engine) as connection:
        ((weighted, kept),) = connection.execute(text(query.replace(":", "\\:"))).all()
    engine.dispose()
    assert kept < weighted
    return float(weighted)


def test_what_is_not_kept_is_not_replayed_and_imports_say_so_again(sqlite_url: str) -> None:
    register(sqlite_url)
    recording = Recording(sqlite_url)
    recording.take([_edited(_of(_outside(), served(1, answer("old"))), 1_000)])
    recording.engine.dispose()
    engine = connect(sqlite_url)
    with reading(engine) as connection:
        (row,) = export.rows(connection, tables.prediction, span=export.Span(route="fraud", since=0, until=START * 2))
        line = export.line_of(tables.prediction, row)
    engine.dispose()
    assert reason_against(row) == NOT_KEPT
    again = record_of(line, Known(frozenset({"fraud"}), frozenset({"old"}), apart=True))
    assert (_row(again)["bodies_kept"], _row(again)["bodies_share"]) == (0, 1_000)


@given(st.integers(-20_000, 20_000))
def test_a_share_is_from_none_to_all(share: int) -> None:
    if 0 <= share <= 10_000:
        assert Capture(sample_bodies=share).sample_bodies == share
    else:
        with pytest.raises(InvalidInput, match="sample_bodies must be from 0 to 10000"):
            Capture(sample_bodies=share)
