"""From the catalog to the table that routers serve from."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.controlplane.compiler import bereft, checks_of, compile_route, compile_table
from modelctl.errors import InvalidTable
from modelctl.policy import Admission, Breaker, Health
from modelctl.rollout import Phase, Rollout, Verb, apply
from modelctl.store.catalog import RouteEntry
from modelctl.traffic import ALL, Backend, Route, RoutingTable, assign, decode_table, encode_table
from tests.controlplane.scene import AT, SALT, backend, rollout

ENTRY = RouteEntry(name="fraud", path="/fraud", unit="header:x-user", baseline="a", created_at=AT)


def table(*rollouts: Rollout, version: int = 1) -> RoutingTable:
    return compile_table(version, backends=[backend("b"), backend("a")], routes=[ENTRY], rollouts=rollouts)


def answering(route: Route) -> dict[str, int]:
    return {arm.backend: arm.answers for arm in route.arms}


def test_without_an_open_rollout_the_baseline_answers_everything() -> None:
    (route,) = table().routes
    assert (answering(route), route.rollout, route.stage, route.preview) == ({"a": ALL}, 0, 0, "")
    assert (route.path, route.unit) == ("/fraud", "header:x-user")


def test_an_open_rollout_decides_the_split_and_labels_it() -> None:
    (route,) = table(rollout("canary", {"percent_bp": 500})).routes
    assert answering(route) == {"a": 9500, "b": 500}
    assert (route.rollout, route.stage, route.salt) == (1, 1, SALT)


def test_a_paused_rollout_keeps_its_shares() -> None:
    running = rollout("canary", {"percent_bp": 500})
    assert table(apply(running, Verb.PAUSE, at=1)).routes == table(running).routes


@pytest.mark.parametrize("verb", [Verb.PROMOTE, Verb.ROLLBACK])
def test_an_ended_rollout_decides_nothing(verb: Verb) -> None:
    assert table(apply(rollout("canary", {"percent_bp": 500}), verb, at=1, winner="b" if verb is Verb.PROMOTE else "")) == table()


def test_the_preview_address_is_the_steps() -> None:
    (route,) = table(rollout("blue-green")).routes
    assert route.preview == "b"


def test_the_same_catalog_gives_the_same_bytes_whatever_its_order() -> None:
    first = compile_table(3, backends=[backend("a"), backend("b")], routes=[ENTRY], rollouts=[])
    second = compile_table(3, backends=[backend("b"), backend("a")], routes=[ENTRY], rollouts=[])
    assert encode_table(first) == encode_table(second)
    assert decode_table(encode_table(first)) == first


def test_a_table_that_lacks_a_backend_is_refused() -> None:
    with pytest.raises(InvalidTable, match="does not hold: a"):
        compile_table(1, backends=[backend("b")], routes=[ENTRY], rollouts=[])


TWO = ("http://a.test:1", "http://a.test:2")


@pytest.mark.parametrize(
    ("kind", "endpoints", "wanted"),
    [
        ("v2", TWO, Health(path="/v2/health/ready")),
        ("v2", TWO[:1], None),  # a lone endpoint gets the requests anyway
        ("v1", TWO, None),  # TensorFlow Serving has no /v1/models
        ("json", TWO, None),  # a server of one's own need not have /health
        ("of-another-version", TWO, None),
    ],
)
def test_health_checks_that_nobody_set_are_those_every_server_of_the_kind_must_answer(
    kind: str, endpoints: tuple[str, ...], wanted: Health | None
) -> None:
    assert checks_of(Backend(name="a", endpoints=endpoints, kind=kind)) == wanted


def test_health_checks_that_were_set_are_made_whatever_the_kind_and_none_when_switched_off() -> None:
    own = Health(path="/well", status=204)
    assert checks_of(Backend(name="a", endpoints=TWO[:1], health=own)) == own
    assert checks_of(Backend(name="a", endpoints=TWO, kind="v2", checked=False)) is None
    assert checks_of(Backend(name="a", endpoints=TWO, health=own, checked=False)) is None


def test_the_table_holds_the_checks_that_routers_make_and_the_policies_of_the_route() -> None:
    entry = msgspec.structs.replace(ENTRY, admission=Admission(deny=("/admin",)), breaker=Breaker(probes=1))
    made = compile_table(1, backends=[Backend(name="a", endpoints=TWO, kind="v2")], routes=[entry], rollouts=[])
    assert made.backends[0].health == Health(path="/v2/health/ready")
    assert (made.routes[0].admission, made.routes[0].breaker) == (entry.admission, entry.breaker)


def test_a_backend_is_bereft_when_a_route_no_longer_sends_it_anything() -> None:
    shadowed, split = table(rollout("shadow")), table(rollout("canary", {"percent_bp": 500}))
    promoted = compile_table(
        2, backends=[backend("a"), backend("b")], routes=[msgspec.structs.replace(ENTRY, baseline="b")], rollouts=[]
    )
    assert bereft(split, table()) == ("b",)
    assert bereft(shadowed, table()) == ("b",)
    assert bereft(split, promoted) == ("a",)
    assert bereft(table(), split) == ()


units = st.lists(st.binary(min_size=1, max_size=16), min_size=1, max_size=50)


@given(low=st.integers(1, ALL), high=st.integers(1, ALL), salt=st.binary(min_size=16, max_size=16), units=units)
def test_raising_a_canarys_share_only_moves_units_into_the_candidate(low: int, high: int, salt: bytes, units: list[bytes]) -> None:
    low, high = sorted((low, high))
    steps = {"percent_bp": low, "steps_bp": [high] if high > low else []}
    first = msgspec.structs.replace(rollout("canary", steps), salt=salt.hex())
    later = apply(first, Verb.ADVANCE, at=1) if high > low else first
    before, after = (compile_route(ENTRY, one) for one in (first, later))
    for unit in units:
        if assign(before, unit).arm.backend == "b":
            assert assign(after, unit).arm.backend == "b"


@given(share=st.integers(1, ALL), units=units)
def test_a_rollback_sends_every_unit_to_the_baseline(share: int, units: list[bytes]) -> None:
    ended = apply(rollout("canary", {"percent_bp": share}), Verb.ROLLBACK, at=1)
    assert ended.phase is Phase.ROLLED_BACK
    (route,) = table(ended).routes
    assert {assign(route, unit).arm.backend for unit in units} == {"a"}
