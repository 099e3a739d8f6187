"""What a worker tells the control plane of what it counts: everything once, however often it has to say it."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from modelctl.counts import Key, Report
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline, candidate
from tests.router.control_plane import ControlPlane
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess, eventually
from tests.router.wire import get

Start = Callable[..., RouterProcess]


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    yield plane
    plane.stop()


def table(old: ModelServer, new: ModelServer, dead: int) -> RoutingTable:
    """`/` is shown to another arm, `/dead` has nobody."""
    urls = {"old": old.url, "new": new.url, "dead": f"http://127.0.0.1:{dead}"}
    return RoutingTable(
        version=1,
        backends=tuple(Backend(name=name, endpoints=(url,)) for name, url in urls.items()),
        routes=(
            Route(name="all", arms=(baseline("old"), candidate("new", shown=10_000))),
            Route(name="dead", path="/dead", arms=(baseline("dead"),)),
        ),
    )


def total(reports: list[Report]) -> Counter[Key]:
    """What all reports add up to, each number once."""
    found: Counter[Key] = Counter()
    for report in {report.number: report for report in reports}.values():
        found.update(dict(report.changes))
    return found


def test_answers_copies_refusals_and_records_are_told(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer, closed_port: int
) -> None:
    router = start(table(old, new, closed_port), control=plane.url)
    for _ in range(3):
        assert router.ask(get("/who")).status == 200
    assert router.ask(get("/dead")).status == 502
    wanted = {
        ("requests", "all", "old", "ok"): 3,
        ("requests", "dead", "dead", "backend_error"): 1,
        ("shadow", "all", "new", "ok"): 3,
        ("refusals", "connect-failed"): 1,
        ("evidence-accepted",): 7,
        ("evidence-offered",): 7,
    }
    assert eventually(lambda: {key: total(plane.reports)[key] for key in wanted} == wanted), total(plane.reports)
    found = total(plane.reports)
    assert sum(count for key, count in found.items() if key[0] == "requests-durations") == 3
    gauges = {gauge.key: gauge.value for report in plane.reports for gauge in report.gauges}
    assert gauges["endpoints", "dead"] == 1
    assert plane.reports[-1].written.accepted == 7


def test_a_report_that_nobody_answered_comes_again_as_it_was(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer, closed_port: int
) -> None:
    plane.deaf = True
    router = start(table(old, new, closed_port), control=plane.url)
    router.ask(get("/who"))
    assert eventually(lambda: len(plane.reports) >= 2)
    again = plane.reports[-1]
    router.ask(get("/who"))
    plane.deaf = False
    assert eventually(lambda: total(plane.reports)["requests", "all", "old", "ok"] == 2)
    assert again in plane.reports[:-1]
    assert [report.number for report in plane.reports] == sorted(report.number for report in plane.reports)


def test_a_worker_that_ends_tells_the_rest(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer, closed_port: int
) -> None:
    router = start(table(old, new, closed_port), control=plane.url)
    assert eventually(lambda: bool(plane.reports))
    router.ask(get("/who"))
    assert router.stop() == 0
    assert plane.reports[-1].last
    assert total(plane.reports)["requests", "all", "old", "ok"] == 1


def test_the_slowest_request_carries_the_trace_that_its_backend_saw(
    start: Start, plane: ControlPlane, old: ModelServer, new: ModelServer, closed_port: int
) -> None:
    router = start(table(old, new, closed_port), control=plane.url)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    router.ask(get("/who", f"traceparent: 00-{trace}-00f067aa0ba902b7-01"))
    assert eventually(lambda: any(report.exemplars for report in plane.reports))
    exemplars = [one for report in plane.reports for one in report.exemplars]
    assert [(one.key, one.trace) for one in exemplars] == [(("requests-durations", "all", "old"), trace)]
