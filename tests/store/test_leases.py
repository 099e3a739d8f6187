"""What only one process may do at a time: taking, keeping, losing and giving up a lease."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from modelctl.errors import LeaseLost
from modelctl.store import leases
from modelctl.store.engine import connect, writing
from modelctl.store.leases import Lease

AT = 1_700_000_000_000_000
LASTS = 6_000_000


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = connect(database_url)
    yield found
    found.dispose()


def acquire(engine: Engine, holder: str, *, at: int = AT) -> Lease | None:
    with writing(engine) as connection:
        return leases.acquire(connection, "controller", holder=holder, at=at, lasts=LASTS)


def check(engine: Engine, lease: Lease, *, at: int) -> None:
    with writing(engine) as connection:
        leases.check(connection, lease, at=at)


def taken(engine: Engine, holder: str, *, at: int = AT) -> Lease:
    lease = acquire(engine, holder, at=at)
    assert lease is not None
    return lease


def test_the_first_takes_it_and_nobody_else_while_it_lasts(engine: Engine) -> None:
    lease = taken(engine, "one")
    assert (lease.holder, lease.term, lease.expires_at) == ("one", 1, AT + LASTS)
    assert acquire(engine, "two", at=AT + LASTS - 1) is None
    check(engine, lease, at=AT + LASTS - 1)


def test_the_holder_renews_it_without_a_new_term(engine: Engine) -> None:
    taken(engine, "one")
    again = taken(engine, "one", at=AT + 2_000_000)
    assert (again.term, again.expires_at) == (1, AT + 2_000_000 + LASTS)


def test_an_end_from_a_clock_that_was_an_hour_ahead_keeps_nobody_waiting(engine: Engine) -> None:
    hour = 3_600_000_000
    ahead = taken(engine, "one", at=AT + hour)
    found = taken(engine, "two", at=AT)
    assert (found.term, found.expires_at) == (2, AT + LASTS)
    with pytest.raises(LeaseLost):
        check(engine, ahead, at=AT + hour)


def test_clocks_that_differ_by_seconds_take_nothing_from_each_other(engine: Engine) -> None:
    taken(engine, "one", at=AT + 30_000_000)
    assert acquire(engine, "two", at=AT) is None


def test_it_is_taken_over_after_its_end_with_a_higher_term_and_the_old_holder_writes_nothing(engine: Engine) -> None:
    old = taken(engine, "one")
    new = taken(engine, "two", at=AT + LASTS)
    assert (new.holder, new.term) == ("two", 2)
    for at in (AT + 1, AT + LASTS + 1):  # whatever time the old holder believes it is
        with pytest.raises(LeaseLost, match="no longer holds the lease"):
            check(engine, old, at=at)
    with writing(engine) as connection:
        assert leases.renew(connection, old, at=AT + 1, lasts=LASTS) is None
    check(engine, new, at=AT + LASTS + 1)


def test_a_holder_that_was_away_too_long_writes_nothing_although_nobody_took_over(engine: Engine) -> None:
    old = taken(engine, "one")
    with pytest.raises(LeaseLost):
        check(engine, old, at=AT + LASTS)
    assert taken(engine, "one", at=AT + LASTS).term == 2


def test_one_that_was_given_up_is_free_at_once_and_giving_up_a_lost_one_does_nothing(engine: Engine) -> None:
    old = taken(engine, "one")
    with writing(engine) as connection:
        leases.release(connection, old)
    new = taken(engine, "two", at=AT + 1)
    assert new.term == 2
    with writing(engine) as connection:
        leases.release(connection, old)
        assert leases.find(connection, "controller") == new


def test_nobody_takes_over_while_the_holder_is_inside_a_transaction(engine: Engine) -> None:
    old = taken(engine, "one")
    order: list[str] = []

    def take_over() -> None:
        taken(engine, "two", at=AT + LASTS)
        order.append("taken over")

    with writing(engine) as connection:
        leases.check(connection, old, at=AT + 1)
        other = threading.Thread(target=take_over)
        other.start()
        time.sleep(0.3)
        order.append("committed")
    other.join(timeout=10)
    assert order == ["committed", "taken over"]


def test_of_many_that_take_it_at_once_one_has_it(engine: Engine) -> None:
    found: list[Lease | None] = []
    barrier = threading.Barrier(8)

    def take(holder: str) -> None:
        barrier.wait()
        found.append(acquire(engine, holder))

    threads = [threading.Thread(target=take, args=(f"holder-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(found) == 8
    assert sum(lease is not None for lease in found) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "two", "three"]), st.integers(0, 4_000_000), st.integers(-1_000_000, 1_000_000)),
        max_size=30,
    )
)
def test_whatever_their_clocks_say_only_the_last_term_can_write(turns: list[tuple[str, int, int]]) -> None:
    engine = _memory()
    held: dict[str, Lease] = {}
    now = AT
    for holder, passed, drift in turns:
        now += passed
        lease = acquire(engine, holder, at=now + drift)
        if lease is not None:
            held[holder] = lease
        able = [name for name, one in held.items() if _can_write(engine, one, at=one.expires_at - 1)]
        assert len(able) <= 1
    engine.dispose()


_STORES: list[str] = []


@pytest.fixture(autouse=True)
def _store_of_the_laws(sqlite_url: str) -> None:
    _STORES[:] = [sqlite_url]


def _memory() -> Engine:
    """The test's own SQLite store, without a lease."""
    engine = connect(_STORES[0])
    with writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM lease")
    return engine


def _can_write(engine: Engine, lease: Lease, *, at: int) -> bool:
    try:
        check(engine, lease, at=at)
    except LeaseLost:
        return False
    return True


_HOLDER = """
import sys, time
from modelctl.errors import LeaseLost
from modelctl.store import leases
from modelctl.store.engine import connect, writing

def now():
    return time.time_ns() // 1000

engine = connect(sys.argv[1])
with writing(engine) as connection:
    lease = leases.acquire(connection, "controller", holder="child", at=now(), lasts=1_000_000)
print("held", flush=True)
sys.stdin.readline()
try:
    with writing(engine) as connection:
        leases.check(connection, lease, at=now())
    print("wrote", flush=True)
except LeaseLost:
    print("refused", flush=True)
"""


def test_a_process_that_was_stopped_does_nothing_after_it_wakes(database_url: str, engine: Engine) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "held\n"
        child.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 20
        while (mine := acquire(engine, "parent", at=time.time_ns() // 1000)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert mine is not None
        assert (mine.holder, mine.term) == ("parent", 2)
        child.stdin.write("\n")
        child.stdin.flush()
        child.send_signal(signal.SIGCONT)
        assert child.stdout.readline() == "refused\n"
    finally:
        child.kill()
        child.communicate()
