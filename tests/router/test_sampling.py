"""A router that keeps a sample of the bodies: the client and the models notice nothing, every request is written down."""

from collections.abc import Callable

import pytest

from modelctl.controlplane.compiler import compile_route
from modelctl.errors import InvalidInput
from modelctl.evidence import Compared, Served
from modelctl.metric import Dimension, DimensionSource
from modelctl.router.sampling import Sampling
from modelctl.store.catalog import RouteEntry
from modelctl.traffic import Backend, Capture, Route, RoutingTable
from tests.router.conftest import baseline, candidate
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess
from tests.router.wire import ok, post

SAMPLE = Capture(sample_bodies=3_000)
BODY = b'{"amount": 12.5}' * 20
SAID = ok(b'{"prediction": "yes"}', "Content-Type: application/json")


def _table(old: ModelServer, new: ModelServer) -> RoutingTable:
    backends = (Backend(name="old", endpoints=(old.url,)), Backend(name="new", endpoints=(new.url,)))
    alone = Route(name="alone", path="/alone", arms=(baseline("old"),), capture=SAMPLE)
    shown = Route(name="shown", path="/shown", arms=(baseline("old"), candidate("new", shown=10_000)), capture=SAMPLE)
    return RoutingTable(version=1, backends=backends, routes=(alone, shown))


def test_requests_outside_the_sample_are_written_down_without_their_bodies(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    old.on("/alone", SAID)
    old.on("/shown", SAID)
    new.on("/shown", SAID)
    table = _table(old, new)
    router = start(table)
    for number in range(40):
        assert router.ask(post("/alone", BODY, f"X-Request-Id: a{number}")).body == b'{"prediction": "yes"}'
        assert router.ask(post("/shown", BODY, f"X-Request-Id: s{number}")).body == b'{"prediction": "yes"}'
        router.compared(f"s{number}")
    assert all(one.body == BODY for one in (*old.arrivals, *new.arrivals))
    assert router.stop() == 0
    draws = Sampling(table.routes[0]).draws
    served = {one.request_id: one for one in router.records() if isinstance(one, Served)}
    assert len(served) == 80
    for name, one in served.items():
        assert (one.bodies_share, one.in_sample) == (3_000, draws(name))
        assert one.request.body == (BODY if draws(name) or name.startswith(b"s") else b"")
        assert (one.request.size, one.answer.body) == (len(BODY), b'{"prediction": "yes"}')
    assert len({one.in_sample for one in served.values()}) == 2
    compared = [one for one in router.records() if isinstance(one, Compared)]
    assert [one.served for one in compared] == [served[one.served.request_id] for one in compared]


def test_a_failure_outside_the_sample_keeps_its_request(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    old.on("/alone", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    table = _table(old, new)
    router = start(table)
    outside = next(number for number in range(100) if not Sampling(table.routes[0]).draws(b"f%d" % number))
    router.ask(post("/alone", BODY, f"X-Request-Id: f{outside}"))
    found = router.served(f"f{outside}")
    assert (found.request.body, found.in_sample) == (BODY, False)


def test_a_route_that_is_sliced_by_requests_keeps_their_bodies() -> None:
    sliced = (Dimension(name="amount", source=DimensionSource.REQUEST, place="/amount", cuts=(3,)),)
    entry = RouteEntry(name="alone", path="/alone", capture=SAMPLE, baseline="old", dimensions=sliced, created_at=1)
    with pytest.raises(InvalidInput, match=r"sliced by the bodies of requests \(amount\)"):
        compile_route(entry, None)
