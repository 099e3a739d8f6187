"""Requests that go to a named arm because of what they are, not by the split: a tester's header, a path, a value in the body.

What a rule decides is in no comparison: nobody drew it. Which fields of a request can be looked at at all stands here too.
"""

import re
from enum import StrEnum

import msgspec

from modelctl.errors import InvalidInput

MOST = 16  # rules of a route
LONGEST = 256  # characters of a value, and bytes of a field that is kept
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")
_PREFIX = re.compile(r"(/[!-.0->@-~]+)+")  # no "?": a rule is about the path
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
# What is said to this hop alone, or is written anew by the router, so that it says nothing about the client's wish.
_NOT_SEEN = frozenset(
    {
        *("host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer", "keep-alive"),
        *("proxy-connection", "proxy-authenticate", "proxy-authorization", "traceparent", "forwarded", "x-shadow"),
        *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "modelctl-arm", "modelctl-error"),
        *("x-modelctl-arm", "x-modelctl-error"),
    }
)


class RuleSource(StrEnum):
    """Where a rule looks."""

    HEADER = "header"  # the first field of this name
    PATH = "path"  # a prefix of the path, below the route's own
    REQUEST = "request"  # a place in the request's JSON body


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that match go to `arm`. The first rule of a route that matches counts.

    `place` is a header's name in lower case, a path prefix (whole segments, as they come), or a JSON pointer (RFC 6901). `equals`
    is what stands there, null for anything; a header is compared as text, a JSON value with its type. A path has none.
    """

    name: str
    arm: str
    source: RuleSource
    place: str
    equals: str | int | float | bool | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"{self.name!r} is no name for a rule: use 1 to 63 lower-case letters, digits, '.', '_' or '-'")
        if self.source is RuleSource.HEADER:
            check_field(self.place, f"rule {self.name!r}")
        _check_place(self)
        _check_value(self)


def _check_place(rule: Rule) -> None:
    if rule.source is RuleSource.PATH and not (_PREFIX.fullmatch(rule.place) and len(rule.place) <= LONGEST):
        raise InvalidInput(f"the path {rule.place!r} of rule {rule.name!r} must be segments like '/beta', no '/' at the end")
    if rule.source is RuleSource.REQUEST and not (_POINTER.fullmatch(rule.place) and len(rule.place) <= LONGEST):
        raise InvalidInput(f"the place {rule.place!r} of rule {rule.name!r} must be a JSON pointer, such as /user/plan (RFC 6901)")


def _check_value(rule: Rule) -> None:
    if rule.source is RuleSource.PATH and rule.equals is not None:
        raise InvalidInput(f"rule {rule.name!r} is about a path: it has no value to compare")
    if rule.source is RuleSource.HEADER and not isinstance(rule.equals, str | None):
        raise InvalidInput(f"rule {rule.name!r} is about a header, which is text: write its value in quotes")
    if isinstance(rule.equals, str) and len(rule.equals) > LONGEST:
        raise InvalidInput(f"the value of rule {rule.name!r} may have {LONGEST} characters, not {len(rule.equals)}")


def check_rules(rules: tuple[Rule, ...], arms: frozenset[str], *, route: str) -> None:
    """Raises InvalidInput unless these can be the rules of a route with these `arms`."""
    if len(rules) > MOST:
        raise InvalidInput(
            f"route {route!r} has {len(rules)} rules, at most {MOST} are possible: each request is held against them"
        )
    if len({rule.name for rule in rules}) != len(rules):
        raise InvalidInput(f"two rules of route {route!r} have the same name")
    for rule in rules:
        if rule.arm not in arms:
            raise InvalidInput(
                f"rule {rule.name!r} names {rule.arm!r}, which is no arm of route {route!r} now; it has {', '.join(sorted(arms))}"
            )


def check_field(name: str, noun: str) -> None:
    """Raises InvalidInput unless `name` is that of a request field that can be looked at, in lower case."""
    if not _FIELD.fullmatch(name):
        raise InvalidInput(f"{name!r} of {noun} is no header's name in lower case, such as x-country")
    if name in _NOT_SEEN:
        raise InvalidInput(f"{noun} cannot look at {name!r}: it is for one hop, or written by the router itself")
