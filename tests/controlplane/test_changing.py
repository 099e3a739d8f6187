"""Changing what is registered: one transaction, a new table, a line of history; what is refused changes nothing."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from modelctl.controlplane.asking import partial
from modelctl.controlplane.operations.backends import add_backend
from modelctl.controlplane.operations.change import Change
from modelctl.controlplane.operations.changing import change_backend, change_route
from modelctl.controlplane.operations.inspecting import read_catalog, read_events, read_table
from modelctl.controlplane.operations.routes import NewRoute, add_route, remove_route
from modelctl.errors import Conflict, InvalidInput, ModelctlError, NotFound, StaleRevision
from modelctl.policy import Admission, ApiKey, Breaker, EncodedByte, Health, RateLimit
from modelctl.store.catalog import BackendEntry, Event, RouteEntry
from modelctl.traffic import Backend, Capture, Route, decode_table
from tests.controlplane.scene import ANN, backend, populate, start

BACKEND: Any = partial(Backend, without=("name",))
ROUTE: Any = partial(NewRoute, without=("name", "baseline"))


def set_backend(
    engine: Engine, changes: dict[str, object], *, name: str = "a", revision: int | None = None
) -> Change[BackendEntry]:
    return change_backend(engine, name, changes=msgspec.convert(changes, BACKEND), author=ANN, revision=revision)


def set_route(
    engine: Engine, changes: dict[str, object], *, name: str = "fraud", revision: int | None = None
) -> Change[RouteEntry]:
    return change_route(engine, name, changes=msgspec.convert(changes, ROUTE), author=ANN, revision=revision)


def live_backend(change: Change[Any], name: str = "a") -> Backend:
    return next(one for one in decode_table(change.table.body).backends if one.name == name)


def live_route(change: Change[Any], name: str = "fraud") -> Route:
    return next(one for one in decode_table(change.table.body).routes if one.name == name)


def newest(engine: Engine) -> Event:
    return read_events(engine, None, limit=1, cursor=None).items[0]


def test_a_backend_is_changed_in_the_next_table_under_its_name(engine: Engine) -> None:
    populate(engine, "a")
    change = set_backend(engine, {"endpoints": ["http://n.test:1", "http://n.test:2"], "max_inflight": 9, "idempotent": True})
    assert (change.subject.revision, change.table.version, change.bereft) == (2, 3, ())
    found = live_backend(change)
    assert (found.endpoints, found.max_inflight, found.idempotent) == (("http://n.test:1", "http://n.test:2"), 9, True)
    assert read_catalog(engine).backend("a") == change.subject


def test_a_change_of_a_backend_is_a_line_of_the_history(engine: Engine) -> None:
    populate(engine, "a")
    set_backend(engine, {"tls": {"verify": False}})
    event = newest(engine)
    assert (event.action, event.backend, event.actor, event.reason) == ("change-backend", "a", "ann", "because")
    assert event.detail == {"tls.verify": {"from": True, "to": False}}


def test_a_backend_of_an_open_rollout_is_changed_while_it_serves(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite)
    change = set_backend(lite, {"endpoints": ["http://other.test"]}, name="b")
    assert live_backend(change, "b").endpoints == ("http://other.test",)
    assert {arm.backend: arm.answers for arm in live_route(change).arms} == {"a": 9500, "b": 500}


@pytest.mark.parametrize("changes", [{"kind": "v1"}, {"prediction": "/label"}, {"prediction_type": "number"}])
def test_how_answers_are_read_does_not_change_during_a_rollout(lite: Engine, changes: dict[str, object]) -> None:
    populate(lite, "a", "b", "c")
    start(lite, candidates=("b",))
    for name in ("a", "b"):
        with pytest.raises(Conflict, match=r"read in two ways\. End it first:\n  modelctl promote fraud"):
            set_backend(lite, changes, name=name)
    assert set_backend(lite, changes, name="c").subject.revision == 2


@pytest.mark.parametrize(
    ("name", "changes", "revision", "error", "words"),
    [
        ("z", {"idempotent": True}, None, NotFound, "there are a"),
        ("a", {"idempotent": True}, 7, StaleRevision, "revision 1 and you asked to change revision 7"),
        ("a", {"kind": "telepathy"}, None, InvalidInput, "no kind of backend"),
        ("a", {"prediction": "$["}, None, InvalidInput, "JSONPath"),
        ("a", {"endpoints": ["http://a.test", "http://a.test:80"]}, None, InvalidInput, "names one URL twice"),
    ],
)
def test_a_change_of_a_backend_that_cannot_be_leaves_no_trace(
    lite: Engine, name: str, *, changes: dict[str, object], revision: int | None, error: type[ModelctlError], words: str
) -> None:
    populate(lite, "a")
    before = read_table(lite), newest(lite)
    with pytest.raises(error, match=words):
        set_backend(lite, changes, name=name, revision=revision)
    assert (read_table(lite), newest(lite)) == before


def test_health_checks_are_of_the_kind_until_they_are_set_or_switched_off(lite: Engine) -> None:
    two = ("http://a.test:1", "http://a.test:2")
    add_backend(lite, msgspec.structs.replace(backend("a", kind="v2"), endpoints=two), author=ANN)
    assert live_backend(set_backend(lite, {})).health == Health(path="/v2/health/ready")
    assert live_backend(set_backend(lite, {"health": {"path": "/well"}})).health == Health(path="/well")
    assert live_backend(set_backend(lite, {"checked": False})).health is None
    assert live_backend(set_backend(lite, {"checked": True})).health == Health(path="/well")
    assert live_backend(set_backend(lite, {"health": None})).health == Health(path="/v2/health/ready")
    assert read_catalog(lite).backend("a").backend.health is None


KEY = {"name": "app", "sha256": "a" * 64}
POLICIES: dict[str, object] = {
    "capture": {"arm_header": False},
    "admission": {"keys": [KEY], "rate": {"requests": 5, "by": "key"}, "body_bytes": 9, "deny": ["/admin"], "encoded": ["2f"]},
    "breaker": {"consecutive": 3},
}
ADMISSION = {
    "keys": (ApiKey(name="app", sha256="a" * 64),),
    "rate": RateLimit(requests=5, by="key"),  # type: ignore[arg-type]
    "body_bytes": 9,
    "deny": ("/admin",),
    "encoded": (EncodedByte.SLASH,),
}


def test_policies_of_a_route_are_stored_and_reach_the_routers(engine: Engine) -> None:
    populate(engine, "a")
    change = set_route(engine, POLICIES)
    found = live_route(change)
    assert msgspec.to_builtins(found.admission) == msgspec.to_builtins(Admission(**ADMISSION))  # type: ignore[arg-type]
    assert (found.breaker, found.capture) == (Breaker(consecutive=3), Capture(arm_header=False))
    stored = read_catalog(engine).route("fraud")
    assert (stored.admission, stored.breaker, stored.revision) == (found.admission, found.breaker, 2)
    assert newest(engine).detail["admission.rate"]["to"] == {"requests": 5, "seconds": 1, "by": "key"}


def test_a_route_without_policies_lets_everybody_in(engine: Engine) -> None:
    populate(engine, "a")
    stored = read_catalog(engine).route("fraud")
    assert (stored.admission, stored.breaker) == (Admission(), None)


def test_policies_come_with_a_new_route_and_go_with_null(lite: Engine) -> None:
    populate(lite, "a")
    wanted = NewRoute(name="x", path="/x", baseline="a", admission=Admission(deny=("/a",)), breaker=Breaker())
    assert live_route(add_route(lite, wanted, author=ANN), "x").admission.deny == ("/a",)
    found = live_route(set_route(lite, {"admission": None, "breaker": None}, name="x"), "x")
    assert (found.admission, found.breaker) == (Admission(), None)


def test_policies_stay_while_a_rollout_moves_the_baseline(lite: Engine) -> None:
    populate(lite, "a", "b")
    set_route(lite, POLICIES)
    change = start(lite)
    assert live_route(change).breaker == Breaker(consecutive=3)
    assert len(live_route(change).admission.keys) == 1


def test_the_address_of_a_route_moves_and_its_clients_with_it(engine: Engine) -> None:
    populate(engine, "a")
    found = live_route(set_route(engine, {"path": "/new", "host": "api.test"}))
    assert (found.path, found.host) == ("/new", "api.test")


def test_the_unit_stays_while_a_rollout_is_open(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite)
    with pytest.raises(Conflict, match="open rollout: 1"):
        set_route(lite, {"unit": "header:x-user"})
    assert set_route(lite, {"breaker": {}}).subject.breaker == Breaker()
    add_route(lite, NewRoute(name="free", path="/free", baseline="a"), author=ANN)
    assert set_route(lite, {"unit": "header:x-user"}, name="free").subject.unit == "header:x-user"


@pytest.mark.parametrize(
    ("changes", "revision", "error", "words"),
    [
        ({"path": "/other"}, None, Conflict, "route 'other' has the address any host/other already"),
        ({"path": "/-/x"}, None, InvalidInput, "the router's own"),
        ({"unit": "cookie:a"}, None, InvalidInput, "'request' or 'header:NAME'"),
        ({"admission": {"deny": ["admin"]}}, None, InvalidInput, "segments like '/admin'"),
        ({"admission": {"rate": {"requests": 1, "by": "key"}}}, None, InvalidInput, "needs keys"),
        ({"breaker": {}}, 9, StaleRevision, "revision 1 and you asked"),
    ],
)
def test_a_change_of_a_route_that_cannot_be_leaves_no_trace(
    lite: Engine, changes: dict[str, object], *, revision: int | None, error: type[ModelctlError], words: str
) -> None:
    populate(lite, "a")
    add_route(lite, NewRoute(name="other", path="/other", baseline="a"), author=ANN)
    before = read_table(lite), newest(lite)
    with pytest.raises(error, match=words):
        set_route(lite, changes, revision=revision)
    assert (read_table(lite), newest(lite)) == before


def test_a_removed_route_is_not_changed(lite: Engine) -> None:
    populate(lite, "a")
    remove_route(lite, "fraud", author=ANN)
    with pytest.raises(NotFound):
        set_route(lite, {"breaker": {}})
