"""What may be asked for, made from the nouns; and changes merged into what is there."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from modelctl.controlplane.asking import differences, merged, partial, strict
from modelctl.errors import InvalidInput
from modelctl.policy import Admission, ApiKey, Breaker, Ejection, Health, Retries, RetryOn, Tls
from modelctl.traffic import Backend
from tests.controlplane.scene import backend

CHANGES: Any = partial(Backend, without=("name",))


def change(before: Backend, body: bytes) -> Backend:
    return merged(before, msgspec.json.decode(body, type=CHANGES))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"colour": 1}', "unknown field `colour`"),
        (b'{"tls": {"verfy": false}}', r"unknown field `verfy` - at `\$.tls`"),
        (b'{"retries": {"on": ["503"], "attempts": 3, "budget": 1}}', r"unknown field `budget` - at `\$.retries`"),
        (b'{"retries": {"on": ["500"]}}', "Invalid enum value '500'"),
        (b'{"health": {}}', "missing required field `path`"),
        (b'{"tls": {"ca": "ca.pem"}}', "absolute path of a PEM file"),
    ],
)
def test_a_policy_that_nobody_knows_is_refused_at_any_depth(body: bytes, words: str) -> None:
    whole = b'{"name": "a", "endpoints": ["http://a.test"], ' + body[1:]
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.json.decode(whole, type=strict(Backend))


def test_what_is_asked_for_is_the_noun_and_has_its_defaults() -> None:
    asked = msgspec.json.decode(b'{"name": "a", "endpoints": ["http://a.test:8000"]}', type=strict(Backend))
    assert isinstance(asked, Backend)
    assert msgspec.to_builtins(asked) == msgspec.to_builtins(backend("a"))


def test_fields_that_are_not_named_stay_at_any_depth() -> None:
    before = backend("a", health=Health(path="/x", interval_ms=500), tls=Tls(server_name="model.test"), max_inflight=7)
    after = change(before, b'{"health": {"path": "/y"}, "tls": {"verify": false}}')
    assert after == backend(
        "a", health=Health(path="/y", interval_ms=500), tls=Tls(server_name="model.test", verify=False), max_inflight=7
    )


def test_null_is_nothing_where_a_field_may_be_nothing_and_the_default_elsewhere() -> None:
    before = backend("a", health=Health(path="/x"), retries=Retries(), max_inflight=7, tls=Tls(ca="/ca.pem"), idempotent=True)
    after = change(
        before, b'{"health": null, "retries": null, "ejection": null, "max_inflight": null, "tls": null, "idempotent": null}'
    )
    assert after == backend("a", ejection=None)
    assert change(after, b'{"ejection": {}}').ejection == Ejection()


def test_a_policy_that_was_off_begins_with_its_defaults() -> None:
    after = change(backend("a"), b'{"retries": {"on": ["503"]}, "health": {"path": "/x"}}')
    assert (after.retries, after.health) == (Retries(on=(RetryOn.UNAVAILABLE,)), Health(path="/x"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"health": {"interval_ms": 500}}', "health needs path"),
        (b'{"endpoints": null}', "backend needs endpoints"),
        (b'{"endpoints": []}', "at least one URL"),
        (b'{"max_inflight": 0}', "max_inflight of backend 'a' must be from 1"),
        (b'{"health": {"path": "x"}}', "starts with '/'"),
    ],
)
def test_a_change_that_leads_to_nonsense_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        change(backend("a"), body)


@pytest.mark.parametrize("body", [b'{"name": "b"}', b'{"tls": {"verfy": true}}', b'{"retries": {"on": ["x"]}}'])
def test_a_change_of_what_cannot_change_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=CHANGES)


def test_a_list_is_replaced_and_its_items_are_whole() -> None:
    keys = (ApiKey(name="a", sha256="0" * 64), ApiKey(name="b", sha256="1" * 64))
    changes: Any = partial(Admission)
    after = merged(Admission(keys=keys, deny=("/x",)), msgspec.json.decode(b'{"deny": ["/y", "/z"]}', type=changes))
    assert after == Admission(keys=keys, deny=("/y", "/z"))
    with pytest.raises(msgspec.ValidationError, match="sha256"):
        msgspec.json.decode(b'{"keys": [{"name": "c"}]}', type=changes)


def test_the_history_of_a_change_names_the_places_that_differ() -> None:
    before = backend("a", retries=Retries())
    after = change(before, b'{"tls": {"verify": false}, "retries": null, "max_inflight": 256}')
    found = differences(before, after)
    assert found["tls.verify"] == {"from": True, "to": False}
    assert found["retries"]["to"] is None
    assert found.keys() == {"tls.verify", "retries"}


@given(
    before=st.builds(Breaker, consecutive=st.integers(1, 50), failure_percent=st.integers(1, 100)),
    wanted=st.dictionaries(st.sampled_from(["consecutive", "failure_percent", "probes"]), st.none() | st.integers(1, 100)),
)
def test_a_change_holds_exactly_what_it_names(before: Breaker, wanted: dict[str, int | None]) -> None:
    changes: Struct = msgspec.convert(wanted, type=partial(Breaker))
    after = merged(before, changes)
    for field in Breaker.__struct_fields__:
        given_value = wanted.get(field, getattr(before, field))
        assert getattr(after, field) == (getattr(Breaker(), field) if given_value is None else given_value)
    assert merged(after, changes) == after
