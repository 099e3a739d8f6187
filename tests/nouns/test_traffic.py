"""The values of moving traffic refuse what they must not hold, and travel to the routers unchanged."""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput, InvalidTable
from modelctl.traffic import (
    ALL,
    Arm,
    Backend,
    Capture,
    Role,
    Route,
    RoutingTable,
    decode_table,
    encode_table,
    parse_unit,
)

SALT = "0123456789abcdef" * 2


def backend(**changed: Any) -> Backend:  # noqa: ANN401 - a wrong value of any type
    return Backend(**{"name": "fraud-v6", "endpoints": ("http://127.0.0.1:8001",), **changed})


def arm(name: str, *, answers: int = 0, shown: int = 0, role: Role = Role.CANDIDATE, max_inflight: int = 256) -> Arm:
    return Arm(backend=name, role=role, answers=answers, shown=shown, max_inflight=max_inflight)


def baseline(*, answers: int = ALL, shown: int = 0) -> Arm:
    return arm("fraud-v6", answers=answers, shown=shown, role=Role.BASELINE)


def route(*arms: Arm, **changed: Any) -> Route:  # noqa: ANN401 - a wrong value of any type
    return Route(**{"name": "fraud", "arms": arms or (baseline(),), "salt": SALT, **changed})


def table(*routes: Route, backends: tuple[str, ...] = ("fraud-v6", "fraud-v7"), version: int = 1) -> RoutingTable:
    return RoutingTable(version=version, backends=tuple(backend(name=name) for name in backends), routes=routes)


REFUSED: tuple[tuple[str, Callable[[], object], str], ...] = (
    ("an empty backend name", lambda: backend(name=""), "'' is no name for a backend: use 1 to 63 lower-case letters"),
    ("capitals in a name", lambda: backend(name="Fraud"), "'Fraud' is no name for a backend"),
    ("a name that starts with a hyphen", lambda: backend(name="-a"), "'-a' is no name for a backend"),
    ("a name that ends with a dot", lambda: backend(name="a."), "'a.' is no name for a backend"),
    ("a slash in a name", lambda: backend(name="a/b"), "'a/b' is no name for a backend"),
    ("a newline in a name", lambda: backend(name="a\n"), "is no name for a backend"),
    ("a letter beyond ASCII", lambda: backend(name="\u017f"), "is no name for a backend"),
    ("a name of 64 letters", lambda: backend(name="a" * 64), "is no name for a backend"),
    ("a backend without a URL", lambda: backend(endpoints=()), "backend 'fraud-v6' needs at least one URL, such as http://"),
    ("a URL of another scheme", lambda: backend(endpoints=("ftp://h",)), "an endpoint starts with http:// or https://"),
    (
        "one URL in two spellings",
        lambda: backend(endpoints=("http://Host", "http://host:80/")),
        "backend 'fraud-v6' names one URL twice",
    ),
    (
        "no time to connect",
        lambda: backend(connect_timeout_ms=0),
        "connect_timeout_ms of backend 'fraud-v6' must be from 1 to 60000, not 0",
    ),
    ("long to connect", lambda: backend(connect_timeout_ms=60_001), "must be from 1 to 60000, not 60001"),
    (
        "no time to answer",
        lambda: backend(response_timeout_ms=0),
        "response_timeout_ms of backend 'fraud-v6' must be from 1 to 3600000",
    ),
    ("hours to answer", lambda: backend(response_timeout_ms=3_600_001), "must be from 1 to 3600000, not 3600001"),
    ("negative idle time", lambda: backend(pool_idle_ms=-1), "pool_idle_ms of backend 'fraud-v6' must be from 0 to 600000, not -1"),
    ("long idle time", lambda: backend(pool_idle_ms=600_001), "must be from 0 to 600000, not 600001"),
    ("none in flight", lambda: backend(max_inflight=0), "max_inflight of backend 'fraud-v6' must be from 1 to 100000, not 0"),
    ("too many in flight", lambda: backend(max_inflight=100_001), "must be from 1 to 100000, not 100001"),
    ("negative pending", lambda: backend(max_pending=-1), "max_pending of backend 'fraud-v6' must be from 0 to 100000, not -1"),
    ("too many pending", lambda: backend(max_pending=100_001), "must be from 0 to 100000, not 100001"),
    ("negative request bytes", lambda: Capture(request_bytes=-1), "request_bytes must be from 0 to 16777216 (16 MiB), not -1"),
    (
        "too many answer bytes",
        lambda: Capture(answer_bytes=16_777_217),
        "answer_bytes must be from 0 to 16777216 (16 MiB), not 16777217",
    ),
    ("too many shadow bytes", lambda: Capture(shadow_bytes=16_777_217), "shadow_bytes must be from 0 to 16777216 (16 MiB)"),
    ("a negative share", lambda: arm("b", answers=-1), "the share `answers` of arm 'b' must be from 0 to 10000 basis points"),
    ("more than all answers", lambda: arm("b", answers=ALL + 1), "the share `answers` of arm 'b' must be from 0 to 10000"),
    ("a negative shown share", lambda: arm("b", shown=-1), "the share `shown` of arm 'b' must be from 0 to 10000 basis points"),
    ("more than all shown", lambda: arm("b", shown=ALL + 1), "the share `shown` of arm 'b' must be from 0 to 10000"),
    ("an arm with none in flight", lambda: arm("b", max_inflight=0), "max_inflight of arm 'b' must be from 1 to 100000, not 0"),
    ("an arm with many in flight", lambda: arm("b", max_inflight=100_001), "max_inflight of arm 'b' must be from 1 to 100000"),
    ("a route without a name", lambda: route(name=""), "'' is no name for a route"),
    (
        "a path without a slash",
        lambda: route(path="fraud"),
        "the path 'fraud' of route 'fraud' must be '/' or segments like '/fraud'",
    ),
    ("an empty path", lambda: route(path=""), "the path '' of route 'fraud' must be"),
    ("a path with a slash at its end", lambda: route(path="/fraud/"), "the path '/fraud/' of route 'fraud' must be"),
    ("an empty segment", lambda: route(path="/a//b"), "the path '/a//b' of route 'fraud' must be"),
    ("a dot segment", lambda: route(path="/a/../b"), "the path '/a/../b' of route 'fraud' must be"),
    ("a dot segment at the end", lambda: route(path="/a/."), "the path '/a/.' of route 'fraud' must be"),
    ("a percent sign in a path", lambda: route(path="/a%2Fb"), "the path '/a%2Fb' of route 'fraud' must be"),
    ("a query in a path", lambda: route(path="/a?b"), "the path '/a?b' of route 'fraud' must be"),
    ("a newline in a path", lambda: route(path="/a\n"), "of route 'fraud' must be"),
    ("the router's own path", lambda: route(path="/-/preview/x"), "the path '/-/preview/x' of route 'fraud' is the router's own"),
    ("the root of the router's own paths", lambda: route(path="/-"), "the path '/-' of route 'fraud' is the router's own"),
    (
        "a host with a port",
        lambda: route(host="h:80"),
        "the host 'h:80' of route 'fraud' must be a lower-case host name without a port",
    ),
    ("a host in capitals", lambda: route(host="Host"), "the host 'Host' of route 'fraud' must be a lower-case host name"),
    ("a host with a dot at its end", lambda: route(host="host."), "the host 'host.' of route 'fraud' must be"),
    ("an unknown unit", lambda: route(unit="user"), "the unit 'user' must be 'request' or 'header:NAME'"),
    ("a unit without a header's name", lambda: route(unit="header:"), "the unit 'header:' must be 'request' or 'header:NAME'"),
    (
        "a header that cannot be one",
        lambda: route(unit="header:x user"),
        "the unit 'header:x user' must be 'request' or 'header:NAME'",
    ),
    ("a unit of another kind", lambda: route(unit="cookie:id"), "the unit 'cookie:id' must be 'request' or 'header:NAME'"),
    ("a short salt", lambda: route(salt="0" * 31), "the salt of route 'fraud' must be 32 lower-case hex digits"),
    ("a salt in capitals", lambda: route(salt="A" * 32), "the salt of route 'fraud' must be 32 lower-case hex digits"),
    ("a salt with a newline", lambda: route(salt="0" * 32 + "\n"), "the salt of route 'fraud' must be 32 lower-case hex digits"),
    (
        "one backend in two arms",
        lambda: route(baseline(answers=5_000), arm("fraud-v6", answers=5_000)),
        "route 'fraud' names one backend in two arms",
    ),
    ("no arms", lambda: route(arms=()), "route 'fraud' needs exactly one baseline arm"),
    ("no baseline", lambda: route(arm("fraud-v7", answers=ALL)), "route 'fraud' needs exactly one baseline arm"),
    (
        "two baselines",
        lambda: route(baseline(), arm("fraud-v7", role=Role.BASELINE)),
        "route 'fraud' needs exactly one baseline arm",
    ),
    (
        "shares below all",
        lambda: route(baseline(answers=9_000), arm("fraud-v7", answers=999)),
        "the answering shares of route 'fraud' must add up to 10000 basis points",
    ),
    (
        "shares above all",
        lambda: route(baseline(), arm("fraud-v7", answers=1)),
        "the answering shares of route 'fraud' must add up to 10000 basis points",
    ),
    (
        "a baseline that is shown requests",
        lambda: route(baseline(shown=1)),
        "the baseline of route 'fraud' cannot be shown requests: it answers them",
    ),
)

INVALID_TABLES: tuple[tuple[str, Callable[[], object], str], ...] = (
    ("one backend twice", lambda: table(backends=("a", "a")), "the routing table names one backend twice"),
    (
        "one route twice",
        lambda: table(route(), route(path="/b")),
        "the routing table names one route twice",
    ),
    (
        "two routes at one address",
        lambda: table(route(host="h", path="/p"), route(name="other", host="h", path="/p")),
        "two routes of the routing table have the same host and path",
    ),
    (
        "an arm without its backend",
        lambda: table(route(baseline(), arm("ghost")), backends=("fraud-v6",)),
        "route 'fraud' names a backend the routing table does not hold: ghost",
    ),
    (
        "a preview without its backend",
        lambda: table(route(preview="ghost")),
        "route 'fraud' names a backend the routing table does not hold: ghost",
    ),
)


@pytest.mark.parametrize(("make", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_value_refuses_what_it_must_not_hold_and_says_why(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make()
    assert words in str(refused.value)


@pytest.mark.parametrize(("make", "words"), [row[1:] for row in INVALID_TABLES], ids=[row[0] for row in INVALID_TABLES])
def test_a_table_that_contradicts_itself_is_an_invalid_table(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidTable) as refused:
        make()
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: backend(name="a", connect_timeout_ms=1, response_timeout_ms=1, pool_idle_ms=0, max_inflight=1, max_pending=0),
        lambda: backend(name="0._-9" + "a" * 58, connect_timeout_ms=60_000, response_timeout_ms=3_600_000, pool_idle_ms=600_000),
        lambda: backend(endpoints=("http://host", "https://host", "http://host:81", "http://host/v1")),
        lambda: Capture(request_bytes=0, answer_bytes=16_777_216, shadow_bytes=0),
        lambda: route(baseline(answers=0), arm("fraud-v7", answers=ALL)),
        lambda: route(baseline(), arm("fraud-v7", shown=ALL), arm("fraud-v8", shown=1)),
        lambda: route(path="/"),
        lambda: route(path="/v2/models/fraud:predict/..a/b..", host="models.example.org"),
        lambda: route(path="/-a", host="[2001:db8::1]", unit="header:X-User-Id"),
        lambda: table(route(path="/p"), route(name="b", path="/p", host="h"), route(name="c", path="/p/q")),
        lambda: table(route(preview="fraud-v7"), version=2**53),
    ],
)
def test_values_at_the_edge_of_what_is_allowed_are_allowed(make: Callable[[], msgspec.Struct]) -> None:
    made = make()
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made


def test_the_baseline_is_the_arm_with_that_role() -> None:
    assert route(arm("fraud-v7", answers=500), baseline(answers=9_500)).baseline == baseline(answers=9_500)


def test_a_unit_is_the_request_or_a_header_in_lower_case() -> None:
    assert [parse_unit(unit) for unit in ("request", "header:x-user", "header:X-User-Id")] == ["", "x-user", "x-user-id"]


names = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,10}[a-z0-9])?", fullmatch=True)


@st.composite
def tables(draw: st.DrawFn) -> RoutingTable:
    """Any valid table of up to three routes over up to five backends."""
    known = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    made = [
        Backend(name=name, endpoints=(f"http://model-{number}:8001",), prediction=draw(st.text(max_size=8)))
        for number, name in enumerate(known)
    ]
    routes = [_route(draw, known, name=name) for name in draw(st.lists(names, max_size=3, unique=True))]
    return RoutingTable(version=draw(st.integers(0, 2**53)), backends=tuple(made), routes=tuple(routes))


def _route(draw: st.DrawFn, known: list[str], *, name: str) -> Route:
    chosen = draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, ALL), min_size=len(chosen) - 1, max_size=len(chosen) - 1)))
    shares = [high - low for low, high in zip([0, *cuts], [*cuts, ALL], strict=True)]
    arms = [
        arm(
            other, answers=share, shown=draw(st.integers(0, ALL)) if number else 0, role=Role.CANDIDATE if number else Role.BASELINE
        )
        for number, (other, share) in enumerate(zip(chosen, shares, strict=True))
    ]
    return route(
        *arms,
        name=name,
        path=f"/{name}",
        host=draw(st.sampled_from(["", "models.internal"])),
        unit=draw(st.sampled_from(["request", "header:x-user-id"])),
        salt=draw(st.binary(min_size=16, max_size=16)).hex(),
        stage=draw(st.integers(0, 2**53)),
        preview=draw(st.sampled_from(["", *known])),
        capture=Capture(request_bytes=draw(st.integers(0, 1_000)), arm_header=draw(st.booleans())),
    )


@given(tables())
def test_a_table_arrives_as_it_was_sent_and_is_the_same_bytes_each_time(sent: RoutingTable) -> None:
    body = encode_table(sent)
    assert decode_table(body) == sent
    assert encode_table(decode_table(body)) == body


@given(tables(), st.dictionaries(st.from_regex(r"new_[a-z]{1,5}", fullmatch=True), st.integers() | st.text() | st.lists(st.none())))
def test_fields_of_a_future_table_are_ignored(sent: RoutingTable, later: dict[str, object]) -> None:
    body = json.loads(encode_table(sent))
    for value in (body, *body["routes"], *(one for found in body["routes"] for one in found["arms"])):
        value.update(later)
    assert decode_table(json.dumps(body).encode()) == sent


def test_what_an_older_table_leaves_out_has_its_default() -> None:
    body = b'{"version": 1, "backends": [{"name": "a", "endpoints": ["http://h"]}], "routes": [{"name": "r", "arms": [%b]}]}'
    made = decode_table(body % b'{"backend": "a", "role": "baseline", "answers": 10000}')
    assert made.routes == (Route(name="r", arms=(arm("a", answers=ALL, role=Role.BASELINE),)),)
    assert made.backends == (Backend(name="a", endpoints=("http://h",)),)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"null", "Expected `object`, got `null`"),
        (b"{}", "missing required field `version`"),
        (b'{"version": "1"}', "Expected `int`, got `str` - at `$.version`"),
        (b'{"version": 1, "backends": [{"name": "A", "endpoints": ["http://h"]}]}', "'A' is no name for a backend"),
        (b'{"version": 1, "backends": [{"name": "a", "endpoints": ["http://h"]}, {"name": "b"}]}', "at `$.backends[1]`"),
        (b'{"version": 1, "routes": [{"name": "r", "arms": [{"backend": "a", "role": "king"}]}]}', "at `$.routes[0].arms[0].role`"),
        (
            b'{"version": 1, "routes": [{"name": "r", "arms": [{"backend": "a", "role": "baseline", "answers": 10000}]}]}',
            "not hold: a",
        ),
        (b'{"version": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion depth"),
        (b'{"version": 1, "backends": [{"name": "\xff", "endpoints": []}]}', "can't decode byte 0xff"),
        (b'{"version": ' + b"9" * 5_000 + b"}", "out of range"),
        (b"\xef\xbb\xbf{}", "malformed"),
    ],
)
def test_a_body_that_is_no_table_is_refused_with_its_place(body: bytes, words: str) -> None:
    with pytest.raises(InvalidTable, match="the routing table is not valid: ") as refused:
        decode_table(body)
    assert words in str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["baseline", "http://h", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "backends", "routes", "arms", "name", "endpoints", "role"]), inner, max_size=5
        )
    ),
    max_leaves=15,
)


@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_table_or_is_refused_as_one(body: bytes) -> None:
    try:
        made = decode_table(body)
    except InvalidTable:
        return
    assert decode_table(encode_table(made)) == made


@given(tables(), st.data())
def test_a_changed_table_is_a_table_or_is_refused_as_one(sent: RoutingTable, data: st.DataObject) -> None:
    body = bytearray(encode_table(sent))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        made = decode_table(bytes(body))
    except InvalidTable:
        return
    assert all(re.fullmatch(r"[0-9a-f]{32}", one.salt) for one in made.routes)
    assert all(sum(one.answers for one in found.arms) == ALL for found in made.routes)
