"""The nouns of moving traffic, as values that check themselves, and the decision for one request.

Shares are integers in basis points: 10,000 is all. A share that answers is exclusive (the shares of a route's arms add up
to 10,000); a share that is shown is extra (the client never sees those answers).

The decision is one keyed hash. `blake2b(unit, key=salt, digest_size=16)` gives two 64-bit numbers; each is scaled to
0..9999. The first picks the arm that answers, the second the arms that are shown the request; a noise arm, a second copy for
the baseline's backend, has its share of what every candidate is shown. Candidates own the
intervals from 0 upwards in their order and the baseline owns the rest, so raising the share of the only candidate, or of the
last one, moves units from the baseline into it and no others, on every router and after every restart. (Raising another one
also moves units between the candidates behind it.)
"""

import re
from bisect import bisect_right
from enum import StrEnum
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

import msgspec

from modelctl.endpoint import parse_endpoint
from modelctl.errors import InvalidInput, InvalidTable
from modelctl.policy import Admission, Breaker, Ejection, Health, Retries, Tls
from modelctl.rule import Rule, check_field, check_rules

ALL = 10_000
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ROUTE_PATH = re.compile(r"/|(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_FINE = ALL * ALL  # the parts that a shown point is compared in: shares of shares are whole numbers
_SECRET_FIELDS = frozenset({"authorization", "cookie", "x-api-key"})
_MOST_KEPT = 16
_MEBIBYTES = {1 << 24: "16777216 (16 MiB)"}
_MOST = {"request_bytes": 1 << 24, "answer_bytes": 1 << 24, "shadow_bytes": 1 << 24, "sample_bodies": ALL, "keep_bytes": 1 << 60}
_LEAST_KEPT, _LONGEST_KEPT = 3_600, 100 * 365 * 86_400  # seconds
_ROUTE_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]+\]")


class Role(StrEnum):
    """What an arm is to its rollout."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    NOISE = "noise"  # the baseline's backend asked again: how much its own answers differ


class Reason(StrEnum):
    """Why an arm answered a request."""

    ONLY = "only"  # no split: one arm answers everything
    SPLIT = "split"  # the hash of the unit
    PREVIEW = "preview"  # the client asked for this arm at its preview address
    FALLBACK = "fallback"  # a candidate's breaker is open: the baseline answered for it
    RULE = "rule"  # a rule of the route matched the request
    REPLAY = "replay"  # no client asked: a recorded request was sent to a candidate again
    ADDRESSED = "addressed"  # the client named the arm in the field modelctl-arm


# What nobody drew: these answers are in no comparison.
CHOSEN = frozenset({Reason.PREVIEW, Reason.RULE, Reason.ADDRESSED})


class PredictionType(StrEnum):
    """What the extracted prediction is. `auto` decides from the JSON type."""

    AUTO = "auto"
    LABEL = "label"
    NUMBER = "number"
    TEXT = "text"
    RANKING = "ranking"


def checked_name(name: str, noun: str) -> str:
    """`name` itself, or InvalidInput. Names stand in URLs, header values and file names."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for a {noun}: use 1 to 63 lower-case letters, digits, '.', '_' or '-', "
            "starting and ending with a letter or digit"
        )
    return name


class HostSent(StrEnum):
    """The Host field a backend gets."""

    CLIENT = "client"  # the client's
    ENDPOINT = "endpoint"  # the endpoint's own host and port


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A model server the router can send requests to. Times are milliseconds.

    `idempotent` says that asking twice does no harm, whatever the method. `slow_start_ms` is how long an endpoint that comes (back)
    takes to get its whole share. As it is registered, a `health` of None means what its kind asks for, and `checked` False means
    no checks at all; in a routing table that is decided: `health` is what routers do.
    """

    name: str
    endpoints: tuple[str, ...]
    kind: str = "json"
    prediction: str = ""
    prediction_type: PredictionType = PredictionType.AUTO
    connect_timeout_ms: int = 2_000
    response_timeout_ms: int = 60_000
    pool_idle_ms: int = 4_000
    max_inflight: int = 256
    max_pending: int = 1_024
    slow_start_ms: int = 10_000
    host: HostSent = HostSent.CLIENT
    idempotent: bool = False
    tls: Tls = msgspec.field(default_factory=Tls)
    health: Health | None = None
    checked: bool = True
    ejection: Ejection | None = msgspec.field(default_factory=Ejection)
    retries: Retries | None = None

    def __post_init__(self) -> None:
        checked_name(self.name, "backend")
        if not self.endpoints:
            raise InvalidInput(f"backend {self.name!r} needs at least one URL, such as http://127.0.0.1:8001")
        for url in self.endpoints:
            parse_endpoint(url)
        if len({parse_endpoint(url) for url in self.endpoints}) != len(self.endpoints):
            raise InvalidInput(f"backend {self.name!r} names one URL twice")
        for field, low, high in _BACKEND_LIMITS:
            if not low <= getattr(self, field) <= high:
                raise InvalidInput(f"{field} of backend {self.name!r} must be from {low} to {high}, not {getattr(self, field)}")


_BACKEND_LIMITS = (
    ("connect_timeout_ms", 1, 60_000),
    ("response_timeout_ms", 1, 3_600_000),
    ("pool_idle_ms", 0, 600_000),
    ("max_inflight", 1, 100_000),
    ("max_pending", 0, 100_000),
    ("slow_start_ms", 0, 600_000),
)


REDACTED = "[redacted]"
"""What stands in a record where a rule took a value out."""
_MOST_REDACTIONS = 32


class RedactionPart(StrEnum):
    """Where a rule of redaction looks."""

    BODY = "body"
    HEADER = "header"
    QUERY = "query"


def parse_redaction(rule: str) -> tuple[RedactionPart, tuple[str, ...]]:
    """The part and the name, or for a body the keys on the way (RFC 6901; `*` is every one). Raises InvalidInput."""
    if rule.startswith("/") and len(rule) > 1:
        return RedactionPart.BODY, tuple(key.replace("~1", "/").replace("~0", "~") for key in rule[1:].split("/"))
    part, _, name = rule.partition(":")
    if part == RedactionPart.QUERY and name:
        return RedactionPart.QUERY, (name,)
    if part != RedactionPart.HEADER or not _TOKEN.fullmatch(name) or name != name.lower():
        raise InvalidInput(f"{rule!r} is no rule of redaction: write /card/number, /items/*/name, header:x-name or query:token")
    if name == "x-request-id":
        raise InvalidInput("x-request-id is what a record is found by, so it cannot be redacted; have clients send another")
    return RedactionPart.HEADER, (name,)


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a request is kept. Of a body beyond its limit only the beginning is recorded; all of it passes through.

    A request whose body is larger than `shadow_bytes` is not shown to any arm (counted as `too-large`). Of the fields `headers`
    (names in lower case) the first 256 bytes of the first value are kept. Rows older than `keep_seconds` go; 0 keeps them for ever.
    The oldest go until the rest takes `keep_bytes`; 0 is no limit. What `redact` names is never written down: see parse_redaction.
    Of `sample_bodies` (basis points) of the units bodies are kept.
    """

    request_bytes: int = 64 * 1024
    answer_bytes: int = 64 * 1024
    shadow_bytes: int = 1024 * 1024
    arm_header: bool = True
    headers: tuple[str, ...] = ()
    keep_seconds: int = 0
    redact: tuple[str, ...] = ()
    sample_bodies: int = ALL
    keep_bytes: int = 0

    def __post_init__(self) -> None:
        for field, most in _MOST.items():
            if not 0 <= getattr(self, field) <= most:
                raise InvalidInput(f"{field} must be from 0 to {_MEBIBYTES.get(most, most)}, not {getattr(self, field)}")
        if self.keep_seconds != 0 and not _LEAST_KEPT <= self.keep_seconds <= _LONGEST_KEPT:
            raise InvalidInput(f"keep_seconds must be from {_LEAST_KEPT} (an hour) to {_LONGEST_KEPT} (100 years), or 0 for ever")
        if len(set(self.headers)) != len(self.headers) or len(self.headers) > _MOST_KEPT:
            raise InvalidInput(f"a route keeps at most {_MOST_KEPT} headers of a request, each once: {', '.join(self.headers)}")
        if len(self.redact) > _MOST_REDACTIONS or any(len(rule) > 256 for rule in self.redact):
            raise InvalidInput(f"a route has at most {_MOST_REDACTIONS} rules of redaction, each of 256 characters at most")
        for rule in self.redact:
            parse_redaction(rule)
        for name in self.headers:
            check_field(name, "a route's capture")
            if name in _SECRET_FIELDS:
                raise InvalidInput(f"the header {name!r} holds secrets, so it is not kept; slice by another one")


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One backend's place on a route now. What a noise arm is `shown` is a share of what every candidate is shown."""

    backend: str
    role: Role
    answers: int = 0
    shown: int = 0
    max_inflight: int = 256

    def __post_init__(self) -> None:
        for field in ("answers", "shown"):
            if not 0 <= getattr(self, field) <= ALL:
                raise InvalidInput(f"the share `{field}` of arm {self.backend!r} must be from 0 to {ALL} basis points")
        if not 1 <= self.max_inflight <= 100_000:
            raise InvalidInput(f"max_inflight of arm {self.backend!r} must be from 1 to 100000, not {self.max_inflight}")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The stable address clients use, and what happens to its requests now.

    `unit` is `request` or `header:NAME`: what is kept on one arm. `salt` is the key of the hash, 32 hex digits.
    `preview` names the backend that answers at `/-/preview/<route name>`, or is empty.
    """

    name: str
    arms: tuple[Arm, ...]
    path: str = "/"
    host: str = ""
    unit: str = "request"
    salt: str = "00000000000000000000000000000000"
    rollout: int = 0
    stage: int = 0
    preview: str = ""
    capture: Capture = msgspec.field(default_factory=Capture)
    admission: Admission = msgspec.field(default_factory=Admission)
    breaker: Breaker | None = None
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        check_address(self.name, path=self.path, host=self.host)
        parse_unit(self.unit)
        if self.unit.lower() in self.capture.redact:
            raise InvalidInput(f"{self.unit} is the unit of route {self.name!r}, which records are counted by: choose another unit")
        if not re.fullmatch(r"[0-9a-f]{32}", self.salt):
            raise InvalidInput(f"the salt of route {self.name!r} must be 32 lower-case hex digits")
        drawn = [arm for arm in self.arms if arm.role is not Role.NOISE]
        if len({arm.backend for arm in drawn}) != len(drawn):
            raise InvalidInput(f"route {self.name!r} names one backend in two arms")
        if [arm.role for arm in self.arms].count(Role.BASELINE) != 1:
            raise InvalidInput(f"route {self.name!r} needs exactly one baseline arm")
        if sum(arm.answers for arm in self.arms) != ALL:
            raise InvalidInput(f"the answering shares of route {self.name!r} must add up to {ALL} basis points")
        if any(arm.shown for arm in self.arms if arm.role is Role.BASELINE):
            raise InvalidInput(f"the baseline of route {self.name!r} cannot be shown requests: it answers them")
        if len(drawn) != len(self.arms):
            _check_noise(self)
        check_rules(self.rules, frozenset(arm.backend for arm in drawn), route=self.name)

    @property
    def baseline(self) -> Arm:
        """The arm that stands until something better is promoted."""
        return next(arm for arm in self.arms if arm.role is Role.BASELINE)


def _check_noise(route: Route) -> None:
    noise = [arm for arm in route.arms if arm.role is Role.NOISE]
    if len(noise) != 1 or noise[0].backend != route.baseline.backend or noise[0].answers or not noise[0].shown:
        raise InvalidInput(
            f"the noise arm of route {route.name!r} is one more copy for its baseline: one arm that is shown requests"
        )
    if not any(arm.shown for arm in route.arms if arm.role is Role.CANDIDATE):
        raise InvalidInput(
            f"route {route.name!r} has a noise arm but shows no candidate anything: there is nothing to compare it with"
        )


def check_address(name: str, *, path: str, host: str) -> None:
    """Raises InvalidInput unless the name, path prefix and host are ones a route can have."""
    checked_name(name, "route")
    if not _ROUTE_PATH.fullmatch(path) or "/./" in f"{path}/" or "/../" in f"{path}/":
        raise InvalidInput(f"the path {path!r} of route {name!r} must be '/' or segments like '/fraud', no '/' at the end, no '%'")
    if path == "/-" or path.startswith("/-/"):
        raise InvalidInput(f"the path {path!r} of route {name!r} is the router's own: paths below /-/ are preview addresses")
    if host and not _ROUTE_HOST.fullmatch(host):
        raise InvalidInput(f"the host {host!r} of route {name!r} must be a lower-case host name without a port")


def parse_unit(unit: str) -> str:
    """The lower-case header name of `header:NAME`, or "" for `request`. Raises InvalidInput."""
    if unit == "request":
        return ""
    kind, _, header = unit.partition(":")
    if kind != "header" or not _TOKEN.fullmatch(header):
        raise InvalidInput(f"the unit {unit!r} must be 'request' or 'header:NAME', such as header:x-user-id")
    return header.lower()


class RoutingTable(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a router serves from. Complete: a router needs nothing else. `version` only grows."""

    version: int
    backends: tuple[Backend, ...] = ()
    routes: tuple[Route, ...] = ()

    def __post_init__(self) -> None:
        known = {backend.name for backend in self.backends}
        if len(known) != len(self.backends):
            raise InvalidTable("the routing table names one backend twice")
        if len({route.name for route in self.routes}) != len(self.routes):
            raise InvalidTable("the routing table names one route twice")
        if len({(route.host, route.path) for route in self.routes}) != len(self.routes):
            raise InvalidTable("two routes of the routing table have the same host and path")
        for route in self.routes:
            wanted = {arm.backend for arm in route.arms} | ({route.preview} if route.preview else set())
            if wanted - known:
                raise InvalidTable(
                    f"route {route.name!r} names a backend the routing table does not hold: {', '.join(sorted(wanted - known))}"
                )


def decode_table(body: bytes) -> RoutingTable:
    """The table in `body` (JSON). Raises InvalidTable with the path of what is wrong."""
    try:
        return msgspec.json.decode(body, type=RoutingTable)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidTable(f"the routing table is not valid: {error}") from error


def encode_table(table: RoutingTable) -> bytes:
    """The JSON of `table`: the same bytes for the same table."""
    return msgspec.json.encode(table, order="deterministic")


class Assignment(NamedTuple):
    """The decision for one request. `probability` is the answering arm's share when it was made, in basis points."""

    arm: Arm
    shown: tuple[Arm, ...]
    reason: Reason
    probability: int


class Split:
    """A route's decision, prepared: `index` allocates nothing and points into `assignments`."""

    __slots__ = ("_answers", "_fixed", "_hash", "_noise", "_shown", "assignments")

    def __init__(self, route: Route) -> None:
        candidates = [arm for arm in route.arms if arm.role is Role.CANDIDATE]
        arms = [arm for arm in [*candidates, route.baseline] if arm.answers]
        shown = sorted((arm for arm in candidates if arm.shown), key=lambda arm: arm.shown)
        self._shown = [arm.shown * ALL for arm in shown]
        noise = next((arm for arm in route.arms if arm.role is Role.NOISE), None)
        self._noise = noise is not None
        if noise is not None:
            self._shown.insert(0, shown[0].shown * noise.shown)
            shown.insert(0, noise)
        reason = Reason.ONLY if len(arms) == 1 else Reason.SPLIT
        self._hash = blake2b(digest_size=16, key=bytes.fromhex(route.salt))
        self._answers = list(accumulate(arm.answers for arm in arms))[:-1]
        self._fixed = not self._answers and all(share == _FINE for share in self._shown) and noise is None
        self.assignments = tuple(Assignment(arm, seen, reason, arm.answers) for arm in arms for seen in _shown_sets(arm, shown))

    def index(self, unit: bytes) -> int:
        """Which of `assignments` is the decision for `unit`: the same for the same route, salt and unit, everywhere."""
        if self._fixed:  # one arm answers everything, and whoever is shown anything is shown all
            return 0
        keyed = self._hash.copy()  # cheaper than a new one with its key
        keyed.update(unit)
        digest = keyed.digest()
        answering = bisect_right(self._answers, int.from_bytes(digest[:8], "big") * ALL >> 64)
        if not self._shown:
            return answering
        number = int.from_bytes(digest[8:], "big")
        place = answering * (len(self._shown) + 1) + bisect_right(self._shown, number * _FINE >> 64)
        return place * 2 + (number & 1) if self._noise else place


def _shown_sets(answering: Arm, shown: list[Arm]) -> list[tuple[Arm, ...]]:
    """Who is shown a request, by how many of the ascending `shown` shares its point has passed: only the baseline's are.

    With a noise arm, which is the first of them, each set is there in two orders: who is asked first finds colder caches.
    """
    baseline = answering.role is Role.BASELINE
    sets = [tuple(shown[passed:]) if baseline else () for passed in range(len(shown) + 1)]
    if all(arm.role is not Role.NOISE for arm in shown):
        return sets
    return [order for seen in sets for order in (seen, tuple(sorted(seen, key=lambda arm: arm.role is Role.NOISE)))]


def assign(route: Route, unit: bytes) -> Assignment:
    """The decision for one request of `route` by `unit`. A router prepares a `Split` once per table instead."""
    split = Split(route)
    return split.assignments[split.index(unit)]
