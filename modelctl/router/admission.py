"""What a route lets in: denied paths, API keys, known arms, body sizes and rate limits, prepared once per table.

A Gate is asked after the route is known and before anything is sent. What it refuses is not recorded; it is counted like every
answer of the router's own. The checks stand in the order of what they cost, and the ration is last: only what is forwarded counts.
"""

from collections.abc import Callable
from hashlib import sha256
from time import perf_counter_ns
from typing import Protocol

from modelctl.policy import Admission, RationBy
from modelctl.router.head import RequestHead
from modelctl.router.origin import Origin
from modelctl.router.paths import both_forms, code_bits, denied
from modelctl.router.rate import Rations
from modelctl.router.refusal import Refusal
from modelctl.traffic import Route, RoutingTable

_NOTHING = Admission()
_FIRST_LETTERS = b"aAxX"  # of the fields that may hold a key
_MAX_OPENED = 1_024
_MAX_KEY = 1_024  # bytes: what a request may cost to hash is bounded


class Asked(Protocol):
    """A request at the gate. `notes` are field lines for its answer, `body_limit` the bytes its body may have."""

    head: RequestHead
    size: int
    notes: bytes
    body_limit: int


class Opened:
    """Whose key a head showed, and the head without it."""

    __slots__ = ("head", "name")

    def __init__(self, name: str, head: RequestHead) -> None:
        self.name = name
        self.head = head


class Gate:
    """The admission of one address of a route. `start` is how much of a path stands before the denied prefixes."""

    __slots__ = ("_arms", "_body_bytes", "_by_key", "_deny", "_keys", "_opened", "_rations", "_refused_codes", "_start")

    def __init__(
        self, admission: Admission, rations: Rations | None, *, deny: frozenset[bytes], start: int, arms: frozenset[bytes]
    ) -> None:
        """`arms` may be named by clients; without any, what they name is not looked at."""
        self._arms = arms
        self._refused_codes = ~code_bits(admission.encoded)
        self._deny = deny
        self._start = start
        self._keys = {bytes.fromhex(key.sha256): key.name for key in admission.keys}
        self._opened: dict[bytes, Opened] = {}  # by the bytes of heads that come again and again; cleared when full
        self._body_bytes = admission.body_bytes
        self._rations = rations
        self._by_key = rations is not None and rations.limit.by is RationBy.KEY

    def refusal(self, asked: Asked, origin: Origin, *, trusts: Callable[[str], bool]) -> Refusal | None:
        """Why this request is not let in, or None; then its head is one without the field that showed a key."""
        head = asked.head
        if head.encoded & self._refused_codes:
            return Refusal.BAD_PATH
        if self._deny and denied(head.target.partition(b"?")[0][self._start :], self._deny):
            return Refusal.DENIED
        key = ""
        if self._keys:
            opened = self._open(head)
            if opened is None:
                return Refusal.KEY_REQUIRED
            key = opened.name
            asked.head = opened.head
        if self._arms and head.arm and head.arm not in self._arms:
            return Refusal.NO_ARM
        limit = self._body_bytes
        if limit:
            asked.body_limit = limit
            if asked.size > limit or (head.length or 0) > limit:
                return Refusal.BODY_TOO_LARGE
        rations = self._rations
        if rations is None:
            return None
        standing = rations.take(key if self._by_key else origin.client(head, trusts), perf_counter_ns() // 1000)
        asked.notes = rations.fields(standing)
        return None if standing.admitted else Refusal.RATE_LIMITED

    def _open(self, head: RequestHead) -> Opened | None:
        opened = self._opened.get(head.raw) if head.raw else None
        if opened is None:
            opened = _open(head, self._keys)
            if opened is not None and head.raw:
                if len(self._opened) >= _MAX_OPENED:
                    self._opened.clear()
                self._opened[head.raw] = opened
        return opened


def _open(head: RequestHead, keys: dict[bytes, str]) -> Opened | None:
    """Who shows a key in `head`. Every line with a key is taken out: keys are the router's, not the backend's.

    Looking a hash up is not done in constant time, and need not be: what its timing could tell is how a hash begins, and nobody
    finds a key that way without inverting SHA-256.
    """
    shown = ""
    gone: list[bytes] = []
    taken: list[bytes] = []
    for line in head.lines:
        candidate = _candidate(line) if line[0] in _FIRST_LETTERS else b""
        name = keys.get(sha256(candidate).digest(), "") if candidate else ""
        if name:
            shown = shown or name
            gone.append(line)
            taken.append(line[: line.index(b":")] + b": " + name.encode() + b"\r\n")
    return Opened(shown, head.without(gone, taken)) if shown else None


def _candidate(line: bytes) -> bytes:
    """What may be a key in this field line, or b"": `Authorization: Bearer KEY` (RFC 6750 2.1) or `X-Api-Key: KEY`."""
    if line[:10].lower() == b"x-api-key:":
        value = line[10:].strip()
    elif line[:14].lower() == b"authorization:":
        scheme, _, value = line[14:].strip().partition(b" ")
        value = value.strip() if scheme.lower() == b"bearer" else b""
    else:
        return b""
    return value if len(value) <= _MAX_KEY else b""


def addressed_arms(route: Route) -> frozenset[bytes]:
    """The names that clients of the route may give in the field modelctl-arm."""
    return frozenset(arm.backend.encode() for arm in route.arms) if route.admission.addressable else frozenset()


class Gates:
    """What a worker keeps across tables: the rations of each route's clients, while its limit is the same."""

    __slots__ = ("_rations",)

    def __init__(self) -> None:
        self._rations: dict[str, Rations] = {}

    def gate(self, route: Route) -> Gate | None:
        """The gate of the route's own address, or None when everything may pass."""
        deny = both_forms(route.admission.deny)
        return self._gate(route, deny=deny, start=0 if route.path == "/" else len(route.path), arms=addressed_arms(route))

    def preview_gate(self, route: Route, cut: int) -> Gate | None:
        """The gate of the route's preview, where `cut` bytes of the path are not forwarded and the route's path may follow."""
        path = "" if route.path == "/" else route.path
        deny = both_forms(before + prefix for prefix in route.admission.deny for before in ("", path))
        return self._gate(route, deny=deny, start=cut, arms=frozenset())

    def _gate(self, route: Route, *, deny: frozenset[bytes], start: int, arms: frozenset[bytes]) -> Gate | None:
        if route.admission == _NOTHING:
            return None
        return Gate(route.admission, self._rations_of(route), deny=deny, start=start, arms=arms)

    def _rations_of(self, route: Route) -> Rations | None:
        limit = route.admission.rate
        if limit is None:
            return None
        rations = self._rations.get(route.name)
        if rations is None or rations.limit != limit:
            rations = self._rations[route.name] = Rations(limit)
        return rations

    def keep(self, table: RoutingTable) -> None:
        """Forget the clients of routes that have no limit any more."""
        limited = {route.name for route in table.routes if route.admission.rate is not None}
        self._rations = {name: rations for name, rations in self._rations.items() if name in limited}
