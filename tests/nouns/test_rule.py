"""Rules check themselves, and each other on a route; so do the headers that a capture keeps."""

import msgspec
import pytest

from modelctl.errors import InvalidInput
from modelctl.rule import Rule, RuleSource
from modelctl.traffic import Arm, Capture, Role, Route, RoutingTable, decode_table, encode_table

HEADER, PATH, REQUEST = RuleSource.HEADER, RuleSource.PATH, RuleSource.REQUEST
ARMS = (Arm(backend="old", role=Role.BASELINE, answers=10_000), Arm(backend="new", role=Role.CANDIDATE))


def rule(source: RuleSource, place: str, equals: str | int | float | bool | None = None, *, name: str = "r") -> Rule:
    return Rule(name=name, arm="new", source=source, place=place, equals=equals)


@pytest.mark.parametrize(
    ("source", "place", "equals", "why"),
    [
        (HEADER, "X-Upper", None, "lower case"),
        (HEADER, "", None, "lower case"),
        (HEADER, "x tester", None, "lower case"),
        (HEADER, "connection", None, "one hop"),
        (HEADER, "modelctl-arm", None, "router itself"),
        (HEADER, "x-tester", 1, "text"),
        (HEADER, "x-tester", True, "text"),
        (HEADER, "x-tester", "y" * 257, "256 characters"),
        (PATH, "beta", None, "segments"),
        (PATH, "/beta/", None, "segments"),
        (PATH, "/", None, "segments"),
        (PATH, "/be ta", None, "segments"),
        (PATH, "/beta", "x", "no value"),
        (REQUEST, "plan", "x", "JSON pointer"),
        (REQUEST, "", "x", "JSON pointer"),
        (REQUEST, "/a~2", "x", "JSON pointer"),
        (REQUEST, "$.plan", "x", "JSON pointer"),
    ],
)
def test_a_rule_that_could_never_match_as_meant_is_refused(
    source: RuleSource, place: str, equals: str | int | bool | None, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        rule(source, place, equals)


def test_a_rule_needs_a_name() -> None:
    with pytest.raises(InvalidInput, match="no name for a rule"):
        rule(PATH, "/beta", name="Bad Name")


def test_a_route_has_at_most_sixteen_rules_of_different_names_for_its_own_arms() -> None:
    many = tuple(rule(PATH, "/beta", name=f"r{number}") for number in range(17))
    assert Route(name="x", arms=ARMS, rules=many[:16]).rules == many[:16]
    with pytest.raises(InvalidInput, match="17 rules"):
        Route(name="x", arms=ARMS, rules=many)
    with pytest.raises(InvalidInput, match="the same name"):
        Route(name="x", arms=ARMS, rules=many[:1] * 2)
    with pytest.raises(InvalidInput, match="no arm of route 'x' now; it has old"):
        Route(name="x", arms=ARMS[:1], rules=many[:1])


@pytest.mark.parametrize("equals", ["1", 1, 1.5, True, None])
def test_a_table_keeps_the_type_of_a_rules_value(equals: str | float | bool | None) -> None:
    made = Route(name="x", arms=ARMS, rules=(rule(REQUEST, "/a", equals),))
    back = msgspec.json.decode(msgspec.json.encode(made), type=Route)
    assert back == made
    assert type(back.rules[0].equals) is type(equals)


def test_a_table_without_rules_from_before_is_a_table_still() -> None:
    table = RoutingTable(version=3)
    assert decode_table(encode_table(table)) == table
    old = msgspec.json.decode(b'{"name":"x","arms":[{"backend":"old","role":"baseline","answers":10000}]}', type=Route)
    assert (old.rules, old.capture.headers, old.admission.addressable) == ((), (), False)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (("X-Country",), "lower case"),
        (("x-country", "x-country"), "once"),
        (tuple(f"x-{number}" for number in range(17)), "at most 16"),
        (("authorization",), "secrets"),
        (("cookie",), "secrets"),
        (("x-api-key",), "secrets"),
        (("te",), "one hop"),
    ],
)
def test_what_a_capture_cannot_or_must_not_keep_is_refused(headers: tuple[str, ...], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        Capture(headers=headers)
