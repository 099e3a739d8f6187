"""What is agreed about a backend or a route beyond where it is: how it is secured, watched, repeated and rationed.

Values that check themselves and are part of the routing table. Times are milliseconds. A field that is None in a Backend or
Route means that the feature is off.
"""

import re
from enum import StrEnum

import msgspec

from modelctl.errors import InvalidInput

_FIELD_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PATH = re.compile(r"/[!-~]{0,1023}")
_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_SERVER_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\.?")


class RetryOn(StrEnum):
    """What an attempt that may be repeated ended with. A failed connection needs no permission: nothing was sent."""

    RESET = "reset"  # the connection broke before the first byte of the answer
    TIMEOUT = "timeout"  # no first byte within the time of one attempt
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"


class RationBy(StrEnum):
    """Who shares one ration of a rate limit."""

    ADDRESS = "address"  # the client's address: the right-most one that no trusted proxy vouches for
    KEY = "key"  # the API key that the request showed


class EncodedByte(StrEnum):
    """A percent code in a path that servers read differently, so that it is refused unless the route allows it."""

    SLASH = "2f"
    PERCENT = "25"
    SEMICOLON = "3b"
    QUESTION_MARK = "3f"
    NUMBER_SIGN = "23"


def _in_range(noun: str, value: object, *, low: int, high: int, field: str) -> None:
    number = getattr(value, field)
    if not low <= number <= high:
        raise InvalidInput(f"{field} of {noun} must be from {low} to {high}, not {number}")


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """How an https endpoint is met. Files are PEM and lie where the router runs; an empty `ca` means the system's authorities.

    `server_name` is what the certificate must be for and what is asked for (SNI); empty: the endpoint's host.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True

    def __post_init__(self) -> None:
        for field in ("ca", "certificate", "key"):
            path = getattr(self, field)
            if path and (not path.startswith("/") or "\0" in path):
                raise InvalidInput(f"{field} of tls must be the absolute path of a PEM file on the router's machine, not {path!r}")
        if self.key and not self.certificate:
            raise InvalidInput("tls names a key without its certificate")
        if self.server_name and not _SERVER_NAME.fullmatch(self.server_name):
            raise InvalidInput(f"server_name {self.server_name!r} of tls is not a host name")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Active checks of each endpoint: GET `path` (below the endpoint's root), well when the status is `status`.

    `fall` failures in a row take an endpoint out, `rise` successes in a row take it back. Each pause varies by a tenth.
    """

    path: str
    status: int = 200
    interval_ms: int = 2_000
    timeout_ms: int = 1_000
    fall: int = 3
    rise: int = 2

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise InvalidInput(f"the path {self.path!r} of a health check starts with '/' and is visible ASCII, such as /health")
        for field, low, high in (
            ("status", 200, 599),
            ("interval_ms", 100, 600_000),
            ("timeout_ms", 10, 60_000),
            ("fall", 1, 100),
            ("rise", 1, 100),
        ):
            _in_range("a health check", self, low=low, high=high, field=field)


class Ejection(msgspec.Struct, frozen=True, kw_only=True):
    """Passive ejection of endpoints, from the answers of real requests (the signals and numbers of Envoy's outlier detection).

    `consecutive` failures in a row (5xx, or no answer; 429 is no failure) eject at once. Every `interval_ms` an endpoint is also
    ejected whose success rate lies more than `deviations`/10 standard deviations below the mean of the endpoints, when at least
    `minimum_endpoints` have had `minimum_requests` each. The n-th ejection lasts n times `base_ms`, `longest_ms` at most. At most
    `most_percent` of the endpoints are out at a time, and never the last one.
    """

    consecutive: int = 5
    interval_ms: int = 10_000
    base_ms: int = 30_000
    longest_ms: int = 300_000
    most_percent: int = 50
    deviations: int = 19
    minimum_endpoints: int = 5
    minimum_requests: int = 100

    def __post_init__(self) -> None:
        for field, low, high in (
            ("consecutive", 1, 10_000),
            ("interval_ms", 100, 600_000),
            ("base_ms", 100, 3_600_000),
            ("longest_ms", 100, 86_400_000),
            ("most_percent", 0, 100),
            ("deviations", 1, 100),
            ("minimum_endpoints", 2, 1_000),
            ("minimum_requests", 1, 1_000_000),
        ):
            _in_range("an ejection", self, low=low, high=high, field=field)


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """When a request that a backend may have seen is sent again: where that is safe (RFC 9110 9.2.2) and no answer has begun.

    Safe are GET, HEAD, OPTIONS, PUT and DELETE, requests with Idempotency-Key, and everything on a backend that says
    `idempotent`. `attempts` counts the first. Of n requests in the last ten seconds at most n * `budget_percent` / 100 are
    repeated; while that is less than `budget_minimum` (little traffic), so many at a time may be.
    """

    on: tuple[RetryOn, ...] = (RetryOn.RESET,)
    attempts: int = 2
    attempt_timeout_ms: int = 0
    budget_percent: int = 20
    budget_minimum: int = 3

    def __post_init__(self) -> None:
        for field, low, high in (
            ("attempts", 2, 10),
            ("attempt_timeout_ms", 0, 3_600_000),
            ("budget_percent", 0, 100),
            ("budget_minimum", 0, 1_000),
        ):
            _in_range("retries", self, low=low, high=high, field=field)


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """When a route stops asking a candidate that keeps failing; its requests go to the baseline and are marked `fallback`.

    It opens after `consecutive` failures in a row, or when at least `failure_percent` of `minimum_requests` or more failed in the
    last ten seconds (exact counts in ten buckets: a burst cannot hide an outage). After `open_ms` it lets `probes` requests
    through at a time; that many successes in a row close it, one failure opens it again.
    """

    consecutive: int = 10
    failure_percent: int = 50
    minimum_requests: int = 20
    open_ms: int = 10_000
    probes: int = 3

    def __post_init__(self) -> None:
        for field, low, high in (
            ("consecutive", 1, 100_000),
            ("failure_percent", 1, 100),
            ("minimum_requests", 1, 1_000_000),
            ("open_ms", 100, 3_600_000),
            ("probes", 1, 1_000),
        ):
            _in_range("a breaker", self, low=low, high=high, field=field)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that opens a route: only its hash is kept. Clients show it as `Authorization: Bearer KEY` or `X-Api-Key: KEY`."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        if not _FIELD_NAME.fullmatch(self.name):
            raise InvalidInput(f"{self.name!r} is no name for a key: use lower-case letters, digits, '.', '_' or '-'")
        if not _SHA256.fullmatch(self.sha256):
            raise InvalidInput(f"the hash of key {self.name!r} must be the 64 lower-case hex digits of its SHA-256")


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `requests` in `seconds` seconds for each client of a route, per router process; all of them may come at once."""

    requests: int
    seconds: int = 1
    by: RationBy = RationBy.ADDRESS

    def __post_init__(self) -> None:
        _in_range("a rate limit", self, low=1, high=10_000_000, field="requests")
        _in_range("a rate limit", self, low=1, high=86_400, field="seconds")


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What a route lets in. Without `keys` everybody may ask; `body_bytes` 0 leaves the router's own limit.

    `deny` are path prefixes below the route that are answered 403. `encoded` are percent codes that its backends read as text.
    `addressable`: a client may name the arm that answers it, in the field modelctl-arm.
    """

    keys: tuple[ApiKey, ...] = ()
    rate: RateLimit | None = None
    body_bytes: int = 0
    deny: tuple[str, ...] = ()
    encoded: tuple[EncodedByte, ...] = ()
    addressable: bool = False

    def __post_init__(self) -> None:
        if len({key.name for key in self.keys}) != len(self.keys):
            raise InvalidInput("two keys of a route have the same name")
        if self.rate is not None and self.rate.by is RationBy.KEY and not self.keys:
            raise InvalidInput("a rate limit by key needs keys: without them nobody shows one")
        _in_range("an admission", self, low=0, high=1 << 50, field="body_bytes")
        for prefix in self.deny:
            if not re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+", prefix) or re.search(r"/\.{1,2}(/|$)", prefix):
                raise InvalidInput(f"the denied path {prefix!r} must be segments like '/admin', no '/' at the end, no '%'")
