"""Rate limits as laws: what a client gets at most, what it gets at least, and what it is told."""

import re
from fractions import Fraction
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.policy import RateLimit
from modelctl.router.address import believed, one_client, parsed
from modelctl.router.rate import GENERATION, Rations, Standing

SECOND = 1_000_000
LIMITS = st.builds(RateLimit, requests=st.integers(1, 40), seconds=st.integers(1, 7))
ODD_LIMITS = st.builds(RateLimit, requests=st.integers(1, 10_000_000), seconds=st.integers(1, 86_400))
STARTS = st.integers(0, 1 << 60)


@st.composite
def timelines(draw: st.DrawFn) -> tuple[RateLimit, list[int]]:
    """A limit, and the times at which one client asks: in bursts, steadily, and after pauses."""
    limit = draw(LIMITS)
    step = limit.seconds * SECOND // limit.requests
    pauses = st.one_of(st.just(0), st.integers(0, 3), st.integers(step - 2, step + 2), st.integers(0, 2 * limit.seconds * SECOND))
    now = draw(STARTS)
    times = []
    for pause in draw(st.lists(pauses, min_size=1, max_size=120)):
        now += max(pause, 0)
        times.append(now)
    return limit, times


def admitted(rations: Rations, times: list[int], client: str = "c") -> list[int]:
    return [now for now in times if rations.take(client, now).admitted]


@given(timelines())
def test_in_no_span_a_client_gets_more_than_its_ration_and_what_comes_back(timeline: tuple[RateLimit, list[int]]) -> None:
    limit, times = timeline
    passed = admitted(Rations(limit), times)
    for first, began in enumerate(passed):
        for last in range(first, len(passed)):
            back = Fraction((passed[last] - began) * limit.requests, limit.seconds * SECOND)
            assert last - first + 1 <= limit.requests + back


@given(timelines())
def test_a_request_is_refused_only_when_one_more_would_break_that_law(timeline: tuple[RateLimit, list[int]]) -> None:
    limit, times = timeline
    rations = Rations(limit)
    passed: list[int] = []
    for now in times:
        spans = [
            (len(passed) - place + 1, Fraction((now - began) * limit.requests, limit.seconds * SECOND))
            for place, began in enumerate(passed)
        ]
        fits = all(count <= limit.requests + back for count, back in spans)
        assert rations.take("c", now).admitted == fits
        if fits:
            passed.append(now)


@given(timelines())
def test_a_quiet_client_has_its_whole_ration(timeline: tuple[RateLimit, list[int]]) -> None:
    limit, times = timeline
    rations = Rations(limit)
    admitted(rations, times)
    later = times[-1] + limit.seconds * SECOND
    assert len(admitted(rations, [later] * (limit.requests + 5))) == limit.requests


@given(ODD_LIMITS, STARTS)
def test_a_client_that_keeps_to_the_pace_is_never_refused(limit: RateLimit, start: int) -> None:
    rations = Rations(limit)
    paced = [start - (-place * limit.seconds * SECOND // limit.requests) for place in range(200)]
    assert admitted(rations, paced) == paced


@given(timelines(), st.lists(st.integers(0, 4), min_size=1, max_size=120))
def test_what_others_ask_makes_no_difference(timeline: tuple[RateLimit, list[int]], others: list[int]) -> None:
    limit, times = timeline
    alone, crowd = Rations(limit), Rations(limit)
    for place, now in enumerate(times):
        for other in range(others[place % len(others)]):
            crowd.take(f"other-{other}", now)
        assert alone.take("c", now).admitted == crowd.take("c", now).admitted


@given(timelines())
def test_what_a_client_is_told_is_true(timeline: tuple[RateLimit, list[int]]) -> None:
    limit, times = timeline
    rations = Rations(limit)
    for now in times:
        told = rations.take("c", now)
        assert 0 <= told.left < limit.requests
        assert 1 <= told.seconds <= limit.seconds
        assert told.admitted or not told.left
    if told.left:  # at once, or at the pace it was told
        assert len(admitted(rations, [times[-1]] * (told.left + 3))) == told.left
    else:
        assert not rations.take("c", times[-1]).admitted
        assert rations.take("c", times[-1] + told.seconds * SECOND).admitted


@given(ODD_LIMITS, st.integers(0, 1 << 40))
def test_the_time_to_wait_is_the_shortest_in_whole_seconds(limit: RateLimit, start: int) -> None:
    rations = Rations(RateLimit(requests=1, seconds=limit.seconds))
    assert rations.take("c", start).seconds == limit.seconds
    for passed in range(0, limit.seconds, max(1, limit.seconds // 20)):
        refused = rations.take("c", start + passed * SECOND + 1)
        assert not refused.admitted
        assert refused.seconds == limit.seconds - passed
    assert rations.take("c", start + limit.seconds * SECOND).admitted


def test_many_clients_cost_a_bounded_memory() -> None:
    rations = Rations(RateLimit(requests=5, seconds=3_600))
    for client in range(3 * GENERATION):
        assert rations.take(f"c{client}", 0).admitted
        assert len(rations) <= 2 * GENERATION


def test_who_goes_on_asking_is_not_forgotten_whatever_the_crowd() -> None:
    rations = Rations(RateLimit(requests=2, seconds=3_600))
    assert [rations.take("greedy", 0).admitted for _ in range(3)] == [True, True, False]
    for client in range(5 * GENERATION):
        rations.take(f"c{client}", 0)
        if client % (GENERATION // 2) == 0:
            assert not rations.take("greedy", 0).admitted
    assert not rations.take("greedy", 0).admitted


def test_who_is_silent_in_a_crowd_is_remembered_until_a_generation_has_come() -> None:
    rations = Rations(RateLimit(requests=1, seconds=3_600))
    rations.take("silent", 0)
    for client in range(GENERATION):
        rations.take(f"c{client}", 0)
    assert not rations.take("silent", 0).admitted
    for client in range(2 * GENERATION):
        rations.take(f"d{client}", 0)
    assert rations.take("silent", 0).admitted


def test_clients_that_came_no_more_are_forgotten_after_two_windows() -> None:
    rations = Rations(RateLimit(requests=5, seconds=10))
    for client in range(1_000):
        rations.take(f"c{client}", client)
    rations.take("last", 11 * SECOND)
    rations.take("last", 22 * SECOND)
    assert len(rations) <= 2


@given(LIMITS, st.integers(0, 50), st.booleans(), st.integers(1, 100))
def test_the_field_lines_are_those_of_the_draft(limit: RateLimit, left: int, admitted: bool, seconds: int) -> None:
    text = Rations(limit).fields(Standing(left, admitted=admitted, seconds=seconds))
    policy, standing, *rest = text.decode().splitlines()
    assert policy == f'ratelimit-policy: "default";q={limit.requests};w={limit.seconds}'
    assert standing == f'ratelimit: "default";r={left};t={seconds}'
    assert rest == ([] if admitted else [f"retry-after: {seconds}"])
    assert text.endswith(b"\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", text)


# -- whose ration it is

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8:ff::/48")]


def trusts(address: str) -> bool:
    return any(ip_address(address) in network for network in TRUSTED)


def asked_by(*values: str) -> str:
    """Who asks when a trusted proxy forwards these X-Forwarded-For fields."""
    lines = [f"X-Forwarded-For: {value}\r\n".encode("latin-1") for value in values]
    return believed("10.0.0.1", [b"Forwarded: for=9.9.9.9\r\n", *lines, b"x-forwarded-proto: https\r\n"], trusts=trusts)


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        (["1.2.3.4"], "1.2.3.4"),
        (["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (["6.6.6.6, 1.2.3.4, 10.0.0.7"], "1.2.3.4"),
        (["6.6.6.6,1.2.3.4,10.0.0.7,10.9.9.9"], "1.2.3.4"),
        (["6.6.6.6", "1.2.3.4", "10.0.0.7"], "1.2.3.4"),
        (["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        (["1.2.3.4:5678"], "1.2.3.4"),
        (["[2001:db8::1]:443"], "2001:db8::1"),
        (["2001:db8::1, 2001:db8:ff::2"], "2001:db8::1"),
        (["::ffff:1.2.3.4"], "1.2.3.4"),
        (["6.6.6.6, ::ffff:10.0.0.7"], "6.6.6.6"),
        (["unknown"], "10.0.0.1"),
        (["1.2.3.4, unknown, 10.0.0.7"], "10.0.0.7"),
        (["1.2.3.4, , 10.0.0.7"], "10.0.0.7"),
        ([""], "10.0.0.1"),
        (["\xff"], "10.0.0.1"),
        ([], "10.0.0.1"),
        ([", ".join(["6.6.6.6"] + ["10.0.0.7"] * 100)], "10.0.0.7"),
    ],
)
def test_the_client_is_the_right_most_address_that_no_trusted_proxy_vouches_for(fields: list[str], client: str) -> None:
    assert asked_by(*fields) == client


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=20), max_size=5), st.ip_addresses())
def test_nothing_left_of_what_a_trusted_proxy_wrote_counts(forged: list[str], client: object) -> None:
    real = str(parsed(str(client)))
    if not trusts(real):
        assert asked_by(*forged, real) == asked_by(", ".join([*forged, real])) == asked_by(f"{real},10.1.1.1") == real


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_one_client_in_every_clothes(address: object) -> None:
    assert one_client(str(address)) == one_client(f"::ffff:{address}") == str(address)


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_ipv6_addresses_are_one_client_when_their_first_half_is_the_same(high: int, low: int, other: int) -> None:
    high |= 1 << 61  # not one that stands for an IPv4 address
    first, second = (str(ip_address(high << 64 | part)) for part in (low, other))
    assert one_client(first) == one_client(second)
    assert one_client(first) != one_client(str(ip_address((high ^ 1) << 64 | low)))


def test_a_peer_without_an_address_is_one_client() -> None:
    assert one_client("") == one_client("")
    assert parsed("") is None
