"""PostgreSQL's days: made ahead and on demand, taken away whole, and evidence is nowhere lost on the way."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select, text, update

from modelctl.evidence import Compared, Served
from modelctl.store import retention, tables
from modelctl.store.day_sweep import DayOut, free_days
from modelctl.store.days import Days, date_of, day_of, days_named, id_at, wanted
from modelctl.store.engine import connect, reading, writing
from modelctl.store.partitions import attached_days, detached_days
from modelctl.store.pruning import prune
from modelctl.store.sweep import Wish
from tests.recorder.stream import START, Recording, answer, mixed, register, rows, served, shown_to_new
from tests.store.dated import DAY, dated

TODAY = day_of(START)


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    _without_days(postgres_url)
    register(postgres_url)
    yield postgres_url
    _without_days(postgres_url)


def _without_days(url: str) -> None:
    """As a new database is: emptied ones keep the days of the test before."""
    engine = connect(url)
    with writing(engine) as connection:
        for day in attached_days(connection) + detached_days(connection):
            connection.exec_driver_sql(f"DROP TABLE {day.relation}")
    engine.dispose()


def _record(url: str, records: Sequence[Served | Compared], name: str = "worker-0") -> None:
    recording = Recording(url, name)
    recording.take(records)
    recording.engine.dispose()


def _held(url: str) -> dict[str, int]:
    """How many rows each partition of predictions holds."""
    return dict(_ask(url, "SELECT tableoid::regclass::text, count(*) FROM prediction GROUP BY 1"))


def _ask(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = connect(url)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def _change(url: str, *statements: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _days(url: str) -> list[str]:
    engine = connect(url)
    with reading(engine) as connection:
        found = [one.name for one in attached_days(connection)]
    engine.dispose()
    return found


def _prune(url: str, wish: Wish, at: int) -> retention.Removed:
    engine = connect(url)
    removed, _ = prune(engine, wish, at=at)
    engine.dispose()
    return removed


def _keep(url: str, seconds: int, *, route: str = "fraud") -> None:
    capture = msgspec.json.encode({"keep_seconds": seconds}).decode()
    engine = connect(url)
    with writing(engine) as connection:
        connection.execute(update(tables.route).where(tables.route.c.name == route).values(capture=capture))
    engine.dispose()


def _name(table: str, day: int) -> str:
    return f"{table}_{date_of(day):%Y%m%d}"


@contextmanager
def _reader(url: str) -> Iterator[None]:
    """Somebody whose transaction has read predictions and does not end."""
    engine = connect(url)
    with reading(engine) as connection:
        connection.execute(select(func.count()).select_from(tables.prediction))
        yield
    engine.dispose()


def test_rows_stand_in_the_partition_of_their_day_and_days_ahead_are_there(url: str) -> None:
    records = [*dated(mixed(40)), *dated(mixed(40), days=-1), *dated(mixed(40), days=-30)]
    _record(url, records)
    each = len([one for one in mixed(40) if isinstance(one, Served)])
    assert _held(url) == {_name("prediction", TODAY + days): each for days in (0, -1, -30)}
    ahead = [_name(table, TODAY + days) for days in (-30, -1, 0, 1, 2) for table in ("pair", "prediction")]
    assert _days(url) == ahead


def test_evidence_of_a_wrong_clock_is_kept_in_the_rest(url: str) -> None:
    wrong = [
        *dated([served(1, answer("old"))], days=3_000),
        *dated([served(2, answer("old"))], days=-3_000),
        served(3, answer("old")),
    ]
    _record(url, [*wrong, *dated([served(4, answer("old"))])])
    _record(url, [*wrong, *dated([served(5, answer("old"))])], "worker-1")
    assert _held(url) == {"prediction_rest": 3, _name("prediction", TODAY): 2}
    assert [row["duplicate"] for row in rows(url, "spool")] == [0, 3]


def test_a_day_that_could_not_be_made_in_time_takes_its_rows_over_later(url: str) -> None:
    with _reader(url):
        _record(url, dated(mixed(30)))
    assert list(_held(url)) == ["prediction_rest"]
    count = sum(_held(url).values())
    _record(url, dated([served(999, answer("old"))]), "worker-1")
    assert _held(url) == {_name("prediction", TODAY): count + 1}


def test_two_recorders_make_one_day_once(url: str) -> None:
    def record(number: int) -> None:
        stream = [served(1_000 * number + n, answer("old")) for n in range(50)]
        _record(url, dated(stream), f"worker-{number}")

    threads = [threading.Thread(target=record, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record(5)  # on a machine so busy that nobody had the lock in time, it is this one that makes the day
    assert _held(url) == {_name("prediction", TODAY): 250}


def test_old_days_go_whole_with_their_feedback_and_the_sums_stay(url: str) -> None:
    recording = Recording(url)
    recording.take([*dated(mixed(60), days=-40), *dated(mixed(60))])
    truths = [{"request_id": f"request-{n}{days}", "value_label": "cat", "at": START} for n in (5, 6) for days in ("", "--40")]
    with writing(recording.engine) as connection:
        connection.execute(insert(tables.feedback), truths)
    recording.join()
    recording.engine.dispose()
    before, sums = _held(url), rows(url, "rollup_total")
    _keep(url, 30 * 86_400)
    removed = _prune(url, Wish(), START)
    assert (removed.predictions, removed.feedback) == (before[_name("prediction", TODAY - 40)], 2)
    assert removed.pairs == len([one for one in mixed(60) if isinstance(one, Compared)])
    assert _name("prediction", TODAY - 40) not in _days(url)
    assert _name("pair", TODAY - 40) not in _days(url)
    assert {row["request_id"] for row in rows(url, "feedback")} == {"request-5", "request-6"}
    assert rows(url, "rollup_total") == sums
    assert _ask(url, "SELECT count(*) FROM pg_class WHERE relname LIKE '%detached%'") == [(0,)]


def test_the_rows_of_a_route_that_keeps_longer_stay_and_the_others_go_one_by_one(url: str) -> None:
    long = dated([served(number, answer("old")) for number in range(9_000, 9_020)], days=-40)
    kept = [msgspec.structs.replace(one, context=_of(one, "slow")) for one in long if isinstance(one, Served)]
    _change(url, "INSERT INTO route (name, path, unit, capture, baseline, revision, created_at) "
                 "VALUES ('slow', '/slow', 'request', '{}', 'old', 1, 1)")  # fmt: skip
    _record(url, [*dated(mixed(60), days=-40), *kept])
    _keep(url, 30 * 86_400)
    assert _prune(url, Wish(), START).predictions > 0
    assert _held(url) == {_name("prediction", TODAY - 40): 20}
    _keep(url, 86_400, route="slow")
    assert _prune(url, Wish(), START).predictions == 20
    assert _name("prediction", TODAY - 40) not in _days(url)


def _of(one: Served, route: str) -> Any:  # noqa: ANN401 a Context
    return msgspec.structs.replace(one.context, route=route, rollout=0, stage=0)


def test_a_day_with_an_answer_that_waits_for_its_truth_stays(url: str) -> None:
    recording = Recording(url)
    recording.take(dated([served(1, answer("old")), served(2, answer("old"))], days=-40))
    with writing(recording.engine) as connection:
        connection.execute(insert(tables.feedback).values(request_id="request-1--40", value_label="cat", at=START))
    assert _prune(url, Wish(older_than=86_400), START).predictions == 1
    assert _held(url) == {_name("prediction", TODAY - 40): 1}
    recording.join()
    recording.engine.dispose()
    assert _prune(url, Wish(older_than=86_400), START)[:3] == (1, 0, 1)


def test_what_was_said_of_a_request_goes_with_the_last_of_its_answers(url: str) -> None:
    first, second = served(1, answer("old")), served(2, answer("old"))
    again = [msgspec.structs.replace(one, request_id=b"one") for one in (*dated([first], days=-40), *dated([second], days=-35))
             if isinstance(one, Served)]  # fmt: skip
    recording = Recording(url)
    recording.take(again)
    with writing(recording.engine) as connection:
        connection.execute(insert(tables.feedback).values(request_id="one", value_label="cat", at=START))
    recording.join()
    recording.engine.dispose()
    assert _prune(url, Wish(older_than=37 * 86_400), START)[:3] == (1, 0, 0)
    assert _prune(url, Wish(older_than=86_400), START)[:3] == (1, 0, 1)


def test_a_day_that_was_taken_out_and_left_is_removed_by_the_next_sweep(url: str) -> None:
    _record(url, dated(mixed(60), days=-40))
    engine = connect(url)
    limits = {"fraud": START}
    with reading(engine) as connection:
        days = free_days(connection, limits, at=START)
    for day in days:
        with writing(engine) as connection:
            DayOut(day, limits=limits)(connection, 1)
    assert (_held(url), len(days)) == ({}, 2)
    late = dated([served(7_777, answer("old"))], days=-40)
    _record(url, late, "worker-1")  # its day is made anew beside the one that was left
    with reading(engine) as connection:
        assert [one.name for one in detached_days(connection)] == [one.name for one in days]
    engine.dispose()
    removed = _prune(url, Wish(older_than=60 * 86_400), START)
    served_ones = len([one for one in mixed(60) if isinstance(one, Served)])
    assert (removed.predictions, removed.pairs) == (served_ones, len(mixed(60)) - served_ones)
    assert _held(url) == {_name("prediction", TODAY - 40): 1}


def test_a_row_that_comes_while_a_day_is_looked_at_keeps_it(url: str) -> None:
    _record(url, dated([served(1, answer("old"))], days=-40))
    engine = connect(url)
    limits = {"fraud": START - 10 * DAY}
    with reading(engine) as connection:
        (day,) = [one for one in free_days(connection, limits, at=START) if one.table == "prediction"]
    with writing(engine) as connection:
        connection.execute(update(tables.prediction).values(at=START))
    with writing(engine) as connection:
        DayOut(day, limits=limits)(connection, 1)
    engine.dispose()
    assert _held(url) == {day.name: 1}


def test_a_long_query_keeps_nobody_waiting_for_a_day_that_should_go(url: str) -> None:
    _record(url, dated(mixed(200), days=-40))
    done: list[retention.Removed] = []
    with _reader(url):
        thread = threading.Thread(target=lambda: done.append(_prune(url, Wish(older_than=86_400), START)))
        thread.start()
        for number in range(30):
            _record(url, dated([served(20_000 + number, answer("old"))]), f"other-{number}")
        thread.join(120)  # its rows went one by one meanwhile, and the empty day goes with the next sweep
    assert done[0].predictions == len([one for one in mixed(200) if isinstance(one, Served)])
    assert _held(url) == {_name("prediction", TODAY): 30}
    _prune(url, Wish(older_than=86_400), START)
    assert _name("prediction", TODAY - 40) not in _days(url)


def test_a_limit_on_the_size_takes_whole_days_where_it_can(url: str) -> None:
    for days in (-3, -2, -1, 0):
        _record(url, dated([served(n, answer("old")) for n in range(100, 200)], days=days), f"worker{days}")
    engine = connect(url)
    with reading(engine) as connection:
        used = retention.used_bytes(connection)
    engine.dispose()
    removed = _prune(url, Wish(most=used // 2), START)
    assert removed.predictions == 200
    assert set(_days(url)) >= {_name("prediction", TODAY - 1), _name("prediction", TODAY)}
    assert not {_name("prediction", TODAY - 3), _name("prediction", TODAY - 2)} & set(_days(url))


def test_a_pair_whose_prediction_never_came_goes_with_its_day(url: str) -> None:
    _, compared = shown_to_new(1, "cat", "dog")
    _record(url, dated([compared], days=-40))
    assert _prune(url, Wish(older_than=86_400), START)[:2] == (0, 1)


def test_names_and_bounds_of_days_say_the_same() -> None:
    day = Days("pair", TODAY + 1)
    assert (day.name, day.low, day.high) == ("pair_20251009", id_at(TODAY), id_at(TODAY + 1))
    before = Days("prediction", TODAY, before=True)
    assert (before.name, before.low, before.high) == ("prediction_before_20251009", "", id_at(TODAY))
    gone = before._replace(detached=True)
    assert days_named([day.relation, "pair_rest", before.relation, gone.relation, "prediction", "pair_2025100"]) == [
        before,
        gone,
        day,
    ]
    assert f"{START // 1000:012x}".startswith(id_at(TODAY)[:4])
    assert id_at(TODAY) <= f"{START // 1000:012x}" < id_at(TODAY + 1)


def test_only_days_near_today_are_made() -> None:
    ids = [moment.to_bytes(6, "big") + bytes(10) for moment in (0, START // 1000, START // 1000 - 5 * 86_400_000, 1 << 47)]
    assert wanted(ids, at=START) == {TODAY - 5, TODAY, TODAY + 1, TODAY + 2}


def test_updating_a_row_that_stands_in_a_day_is_done_in_place(url: str) -> None:
    _record(url, dated([served(1, answer("old"))]))
    engine = connect(url)
    with writing(engine) as connection:
        assert connection.execute(update(tables.prediction).values(label="dog")).rowcount == 1
    engine.dispose()
    assert [row["label"] for row in rows(url, "prediction")] == ["dog"]
