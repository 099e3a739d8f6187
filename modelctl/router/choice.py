"""Who answers where the split does not say it: the arm that the client named, or that of the first rule that matches.

A rule about the body waits until the body is all there, within limits; until then the request is held like one that waits for a
connection. What is larger, later or no JSON is left to the split, and counted.
"""

from typing import Final, Protocol

import msgspec

from modelctl.router.decision import Decision
from modelctl.router.head import RequestHead
from modelctl.router.overload import Load
from modelctl.rule import Rule, RuleSource

READABLE: Final = 65_536  # bytes of a body that a rule can look at
PATIENCE: Final = 2.0  # seconds for it to come

_SPLIT: Final = -1  # nobody is chosen
_WAIT: Final = -2  # a rule has to see the body first

_MISSING: Final = object()
_decode = msgspec.json.Decoder().decode


class Unread:
    """Bodies that no rule could look at, by why."""

    __slots__ = ("large", "late", "no_json")

    def __init__(self) -> None:
        self.large = 0
        self.late = 0
        self.no_json = 0

    def __str__(self) -> str:
        return f"too large {self.large}, late {self.late}, no JSON {self.no_json}"


class Matcher:
    """One rule, prepared."""

    __slots__ = ("_equals", "_place", "_rule", "_tokens", "in_body")

    def __init__(self, rule: Rule, path: bytes) -> None:
        """`path` is the route's own."""
        self._rule = rule
        self.in_body = rule.source is RuleSource.REQUEST
        self._place = path + rule.place.encode() if rule.source is RuleSource.PATH else rule.place.encode()
        self._tokens = [token.replace("~1", "/").replace("~0", "~") for token in rule.place.split("/")[1:]]
        self._equals = rule.equals.encode() if isinstance(rule.equals, str) else None

    def matches_head(self, head: RequestHead) -> bool:
        """Whether a rule about the head matches."""
        if self._rule.source is RuleSource.PATH:
            target = head.target
            place = self._place
            return target.startswith(place) and target[len(place) : len(place) + 1] in (b"", b"/", b"?")
        value = head.field(self._place)
        return value is not None and (self._equals is None or value == self._equals)

    def matches_body(self, document: object) -> bool:
        """Whether a rule about the body matches the decoded one."""
        found = value_at(document, self._tokens)
        if found is _MISSING:
            return False
        wanted = self._rule.equals
        if wanted is None:
            return True
        if isinstance(wanted, bool) or isinstance(found, bool):  # in Python, true is 1
            return found is wanted
        return found == wanted


def value_at(document: object, tokens: list[str]) -> object:
    """What a JSON pointer's tokens lead to (RFC 6901 4)."""
    for name in tokens:
        if isinstance(document, dict):
            document = document.get(name, _MISSING)
        elif isinstance(document, list):
            index = int(name) if name.isdecimal() and len(name) < 9 else -1
            document = document[index] if str(index) == name and index < len(document) else _MISSING
        else:
            return _MISSING
    return document


class Choice:
    """What a route has besides its split. `addressed` is by the name of the arm; empty where no client may choose."""

    __slots__ = ("_addressed", "_decisions", "_matchers", "reads_bodies", "unread")

    def __init__(
        self, addressed: dict[bytes, Decision], matchers: list[Matcher], *, decisions: list[Decision], unread: Unread
    ) -> None:
        """`decisions` belong to the `matchers`, in their order."""
        self._addressed = addressed
        self._matchers = matchers
        self._decisions = decisions
        self.reads_bodies = any(matcher.in_body for matcher in matchers)
        self.unread = unread

    def of_address(self, head: RequestHead) -> Decision | None:
        """The decision for the arm that the client named."""
        return self._addressed.get(head.arm) if head.arm else None

    def of_rule(self, place: int) -> Decision:
        """The decision of the rule at this place."""
        return self._decisions[place]

    def first(self, head: RequestHead, body: bytes | None, *, readable: bool) -> int:
        """The place of the first rule that matches, or _SPLIT. `body` None: it is not there; _WAIT while it may still be
        `readable`."""
        document: object = None
        decoded = False
        for place, matcher in enumerate(self._matchers):
            if not matcher.in_body:
                if matcher.matches_head(head):
                    return place
            elif body is not None:
                if not decoded:
                    decoded = True
                    document = self._read(body)
                if matcher.matches_body(document):
                    return place
            elif readable:
                return _WAIT
        return _SPLIT

    def _read(self, body: bytes) -> object:
        """The document in a body, or nothing that any pointer leads into."""
        if not body:
            return None
        try:
            return _decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self.unread.no_json += 1
            return None


class Held(Protocol):
    """The part of a client's connection that waits with its request."""

    load: Load

    def await_body(self, until: float) -> None:
        """The rest of the body counts only if it comes by then."""


class Routed(Protocol):
    """Its route."""

    choice: Choice | None


class Undecided(Protocol):
    """A request before it is known who answers it. `decide_by` is by when it must be, 0 when it is; `decision` is the split's."""

    head: RequestHead
    kept: list[bytes]
    size: int
    complete: bool
    decide_by: float
    decision: Decision

    @property
    def client(self) -> Held:
        """The connection it came on."""

    @property
    def route(self) -> Routed:
        """Where it goes."""

    def go(self, decision: Decision, load: Load) -> None:
        """It is decided."""


def choose(request: Undecided, split: Decision) -> None:
    """Decide, or wait for more of the body: to be asked again when more has come, and when the time is over.

    `split` is what is decided when nothing else decides.
    """
    request.decision = split
    choice = request.route.choice
    addressed = choice.of_address(request.head) if choice is not None and not request.decide_by else None
    if addressed is not None or choice is None:
        request.go(addressed or split, request.client.load)
        return
    now = split.answering.target.clock.now
    large = max(request.size, request.head.length or 0) > READABLE
    late = request.decide_by != 0.0 and now >= request.decide_by
    body = b"".join(request.kept) if request.complete and not large else None
    place = choice.first(request.head, body, readable=not (large or late))
    if place == _WAIT:
        request.decide_by = request.decide_by or now + PATIENCE
        request.client.await_body(request.decide_by)
        return
    request.decide_by = 0.0
    if place == _SPLIT and body is None and choice.reads_bodies:
        choice.unread.large += large
        choice.unread.late += not large
    request.go(split if place == _SPLIT else choice.of_rule(place), request.client.load)
