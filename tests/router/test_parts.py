"""The router's pure parts: paths, heads, routes, ids and refusals, as laws where there are some."""

import json
import re

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.endpoint import parse_endpoint
from modelctl.router.answer_head import status_line
from modelctl.router.clock import Clock
from modelctl.router.guard import check_head
from modelctl.router.head import RequestHead, without_named
from modelctl.router.identity import uuid7, valid_request_id, valid_traceparent
from modelctl.router.refusal import Refusal, refusal_answer
from modelctl.router.retargeting import upstream_target
from modelctl.router.table import CompiledTable, Targets
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline

PLAIN = st.text("abcXYZ019-_~!$&'()*+,=:@", min_size=1, max_size=8)
PATHS = st.lists(PLAIN, max_size=5).map(lambda segments: ("/" + "/".join(segments)).encode())


def head(target: bytes = b"/", host: bytes = b"a", *, method: bytes = b"GET", hosts: int = 1) -> RequestHead:
    made = RequestHead()
    made.method, made.target, made.host, made.hosts = method, target, host, hosts
    return made


def test_an_absolute_target_is_rewritten_once_and_for_all() -> None:
    request = head(b"HTTPS://B:1?x", b"a")
    assert check_head(request) is None
    assert (request.target, request.host) == (b"/?x", b"B:1")


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_a_check_gives_the_same_answer_twice(target: bytes, host: bytes) -> None:
    assert check_head(head(target, host)) == check_head(head(target, host))


@given(
    st.lists(st.sampled_from([b"X-A", b"x-b", b"Via", b"Content-Length"]), max_size=8),
    st.sets(st.sampled_from([b"x-a", b"via", b""])),
)
def test_named_fields_go_and_the_others_keep_their_order(names: list[bytes], tokens: set[bytes]) -> None:
    lines = [name + b": %d" % number for number, name in enumerate(names)]
    kept = without_named(lines, tokens)
    assert kept == [line for line in lines if not (b"x-a" in tokens and line.startswith(b"X-A:"))]


@given(st.integers(100, 599).filter(lambda status: status != 101))
def test_every_status_has_a_valid_line(status: int) -> None:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=b"GET", target=b"/", headers=[(b"host", b"x")]))
    parser.receive_data(status_line(status) + b"\r\n")
    event = parser.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    assert event.status_code == status


@given(st.integers(0, (1 << 48) * 1000 - 1), st.integers(0, (1 << 80) - 1))
def test_a_uuid7_has_its_time_version_and_variant(unix_us: int, chance: int) -> None:
    made = uuid7(unix_us, lambda bits: chance)
    assert len(made) == 16
    assert int.from_bytes(made[:6], "big") == unix_us // 1000
    assert made[6] >> 4 == 7
    assert made[8] >> 6 == 0b10
    kept = chance & ~((0xF << 76) | (0x3 << 62))
    assert int.from_bytes(made, "big") & ~((0xF << 76) | (0x3 << 62)) & ((1 << 80) - 1) == kept


@given(st.integers(0, 1 << 57), st.integers(1_000, 1 << 40))
def test_uuid7s_sort_by_time(unix_us: int, later: int) -> None:
    assert uuid7(unix_us) < uuid7(unix_us + later)


@given(st.binary(max_size=140))
def test_a_valid_request_id_is_short_and_plain(value: bytes) -> None:
    assert valid_request_id(value) == bool(re.fullmatch(rb"[\w.:-]{1,128}", value, re.ASCII))


@given(st.binary(max_size=60))
def test_nothing_but_a_traceparent_is_one(value: bytes) -> None:
    assert not valid_traceparent(value)


@pytest.mark.parametrize("refusal", Refusal)
@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("head_only", [True, False])
def test_every_refusal_is_a_whole_answer(refusal: Refusal, close: bool, head_only: bool) -> None:
    data = refusal_answer(refusal, close=close, head_only=head_only, request_id=b"r-1")
    parser = h11.Connection(h11.CLIENT)
    method = b"HEAD" if head_only else b"GET"
    parser.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    answer = parser.next_event()
    assert isinstance(answer, h11.Response)
    fields = dict(answer.headers)
    assert answer.status_code == refusal.status
    assert (fields[b"modelctl-error"], fields[b"x-request-id"]) == (refusal.code.encode(), b"r-1")
    assert (fields.get(b"connection") == b"close") == close
    assert (b"retry-after" in fields) == (refusal.status == 503)
    if not head_only:
        body = parser.next_event()
        assert isinstance(body, h11.Data)
        assert json.loads(body.data)["detail"] == refusal.detail
    assert isinstance(parser.next_event(), h11.EndOfMessage)
    assert parser.trailing_data == (b"", False)


def test_no_two_refusals_have_the_same_code() -> None:
    assert len({refusal.code for refusal in Refusal}) == len(Refusal)


def compiled(*addresses: tuple[str, str]) -> CompiledTable:
    """One route per host and path; the route's name is its number."""
    backend = Backend(name="b", endpoints=("http://127.0.0.1:9",))
    routes = tuple(
        Route(name=f"r{number}", host=host, path=path, arms=(baseline("b"),)) for number, (host, path) in enumerate(addresses)
    )
    table = RoutingTable(version=1, backends=(backend,), routes=routes)
    return CompiledTable(table, Targets(Clock(0.0), lambda event, text: None))


def found(table: CompiledTable, host: bytes, target: bytes) -> str:
    route = table.match(host, target)
    return route.name if route is not None else ""


def test_the_longest_prefix_wins_and_ends_at_a_segment() -> None:
    table = compiled(("", "/"), ("", "/fraud"), ("", "/fraud/eu"))
    asked = {
        b"/": "r0",
        b"/other": "r0",
        b"/frau": "r0",
        b"/frauds": "r0",
        b"/fraud": "r1",
        b"/fraud?x=/fraud/eu": "r1",
        b"/fraud/": "r1",
        b"/fraud/europe": "r1",
        b"/fraud/eu": "r2",
        b"/fraud/eu/1/2": "r2",
        b"/FRAUD": "r0",
    }
    assert {target: found(table, b"any", target) for target in asked} == asked


def test_a_host_wins_over_none_whatever_its_case_and_port() -> None:
    table = compiled(("", "/x"), ("models.example", "/"), ("[::1]", "/"))
    assert found(table, b"Models.Example:8080", b"/x") == "r1"
    assert found(table, b"models.example", b"/") == "r1"
    assert found(table, b"[::1]:80", b"/x") == "r2"
    assert found(table, b"[::1]", b"/x") == "r2"
    assert found(table, b"other.example", b"/x/y") == "r0"
    assert found(table, b"other.example", b"/") == ""


def test_a_host_without_a_fitting_path_falls_back_to_routes_of_every_host() -> None:
    table = compiled(("", "/"), ("models.example", "/only"))
    assert found(table, b"models.example", b"/else") == "r0"


@given(st.lists(PATHS, min_size=1, max_size=6, unique=True), PATHS)
def test_matching_is_the_longest_prefix_by_definition(paths: list[bytes], target: bytes) -> None:
    valid = [path for path in paths if path == b"/" or not re.search(rb"//|/$|/\.\.?(/|$)|^/-(/|$)", path)]
    table = compiled(*[("", path.decode()) for path in valid])
    fitting = [path for path in valid if not target.startswith(b"/-/")]  # those are previews, and there are none
    fitting = [path for path in fitting if path == b"/" or (target + b"/").startswith(path + b"/")]
    expected = f"r{valid.index(max(fitting, key=len))}" if fitting else ""
    assert found(table, b"h", target) == found(table, b"h", target) == expected


@given(PATHS, st.sampled_from(["", "/", "/base", "/base/deep"]))
def test_an_endpoints_path_replaces_exactly_the_routes_prefix(rest: bytes, path: str) -> None:
    table = compiled(("", "/fraud"))
    route = table.match(b"h", b"/fraud" + rest)
    assert route is not None
    endpoint = parse_endpoint(f"http://127.0.0.1:9{path}")
    base = path.rstrip("/").encode()
    assert upstream_target(route, endpoint, target=b"/fraud" + rest) == (base or b"/fraud") + rest
