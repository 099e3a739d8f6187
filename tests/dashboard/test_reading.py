"""What pages read is the same in both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from modelctl.controlplane.dashboard.backend_pages import read_backend, read_backends
from modelctl.controlplane.dashboard.kept import Kept
from modelctl.controlplane.dashboard.overview import Look, Overview, read_overview
from modelctl.controlplane.dashboard.prediction_pages import read_detail, read_found, read_pair
from modelctl.controlplane.dashboard.rollout_page import chart_of, read_seen
from modelctl.controlplane.dashboard.route_page import read_seen as read_route
from modelctl.errors import NotFound
from modelctl.store.browsing import Wanted
from modelctl.store.engine import connect
from modelctl.store.summing import Sum
from tests.controlplane.scene import AT, counts, populate, served, start, store_pair, store_prediction, store_sums

MINUTE = 60_000_000


@pytest.fixture
def both(database_url: str) -> Iterator[Engine]:
    """Route fraud with a canary and evidence, on each kind of database."""
    made = connect(database_url)
    populate(made, "a", "b", "c")
    start(made, route="fraud", candidates=("b",), gates=("error_rate:guardrail:margin=1pt",))
    sums: list[Sum] = [*served("a", 950, 10), *served("b", 50, 5), *counts("b", "latency", {"460": 50})]
    store_sums(made, sums, rollout=1)
    for number in range(70):
        arm = {"arm": "b", "role": "candidate"} if number == 5 else {}
        store_prediction(made, f"{number:032x}", at=AT + number, **arm)
    store_pair(made, f"{7:032x}", agree=0)
    yield made
    made.dispose()


def overview(engine: Engine) -> Overview:
    return read_overview(engine, Look(at=AT + 2 * MINUTE, glances=Kept(most=9, lasts=1)), search="", page="")


def test_the_overview_has_shares_and_failures_of_what_moves_and_what_rests(both: Engine) -> None:
    populate(both, "z", route="rest", path="/rest")
    moving, resting = overview(both).lines.items
    assert moving.status is not None
    assert [(arm.backend, arm.observed) for arm in moving.status.arms] == [("a", 9500.0), ("b", 500.0)]
    assert (resting.route.name, resting.rollout, resting.served.requests) == ("rest", None, 0)


def test_a_rollout_and_its_route_have_their_minutes(both: Engine) -> None:
    seen = read_seen(both, 1, at=AT + 2 * MINUTE)
    assert [(one.arm, one.served.requests, one.served.failures) for one in seen.minutes] == [("a", 950, 10), ("b", 50, 5)]
    assert chart_of(seen.minutes).rows[0][1] == (950, 50)
    assert read_route(both, "fraud", at=AT + 2 * MINUTE).minutes == seen.minutes
    assert read_seen(both, 1, at=AT).minutes == ()


def test_backends_have_their_latencies_and_uses(both: Engine) -> None:
    part = read_backends(both, search="", page="", at=AT + MINUTE)
    lines = {line.entry.name: line for line in part.items}
    assert [use.role for use in lines["b"].uses] == ["candidate"]
    assert lines["b"].latencies[0] == pytest.approx(9_832, rel=0.02)
    assert lines["c"].latencies == (None, None, None)
    line, events = read_backend(both, "b", at=AT + MINUTE)
    assert (line.served.requests, line.served.failures) == (50, 5)
    assert [event.action for event in events] == ["add-backend"]


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(route="fraud")])
def test_every_prediction_is_seen_once_page_by_page(both: Engine, wanted: Wanted) -> None:
    first = read_found(both, wanted, cursor="").page
    assert first.next is not None
    second = read_found(both, wanted, cursor=first.next).page
    ids = [one.id for one in (*first.items, *second.items)]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 70
    assert second.next is None


def test_filters_are_kept_to(both: Engine) -> None:
    found = read_found(both, Wanted(arm="b", rollout=1), cursor="")
    assert [one.id for one in found.page.items] == [f"{5:032x}"]
    assert found.page.whole
    assert read_found(both, Wanted(route="fraud", arm="b", outcome="timeout"), cursor="").page.items == ()
    one = read_found(both, Wanted(request_id=f"request-{7:032x}"), cursor="")
    assert one.pairs == {f"{7:032x}": ["b"]}


def test_a_prediction_and_its_pair_are_read_whole(both: Engine) -> None:
    detail, pairs, again = read_detail(both, f"{7:032x}")
    assert detail.prediction.arm == "a"
    assert pairs == ["b"]
    assert [one.backend for one in again.commands] in (["a", "b"], [])
    assert read_pair(both, f"{7:032x}", candidate="b")[0].agree is False
    with pytest.raises(NotFound):
        read_pair(both, f"{7:032x}", candidate="c")
