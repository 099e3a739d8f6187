"""Rate limits: how much of its ration each client of a route has left.

The algorithm is GCRA (ITU-T I.371), in whole numbers: nothing is rounded, so the law below is exact. A client that has asked
nothing for `seconds` has its whole ration; after that one request comes back every `seconds / requests`. In any span of t
seconds a client gets at most `requests + t * requests / seconds` requests.

Time is microseconds of a clock that only goes forward. The router's own ticks (0.1 s) are too coarse: a client that keeps to
one request a second to the millisecond would meet a refusal whenever a tick came late.
"""

from modelctl.policy import RateLimit

GENERATION = 32_768  # clients; two generations are kept


class Standing:
    """What became of one request: with `admitted`, `left` more may follow at once.

    `seconds` is the time within which the client should send no more than `left`: spread over it they are the rate of the
    limit. Where nothing is left it is the time until the next request is admitted, at least 1.
    """

    __slots__ = ("admitted", "left", "seconds")

    def __init__(self, left: int, *, admitted: bool, seconds: int) -> None:
        self.admitted = admitted
        self.left = left
        self.seconds = seconds


class Rations:
    """The clients of one limit. At most 2 * GENERATION are remembered.

    Time is scaled: a microsecond is `requests` units, so one request costs `seconds` million of them. For each client stands
    the time at which its ration is whole again; who is not there has a whole one.

    Clients are kept in two generations by their last request. A generation ends when it is as old as the limit's window: then
    everybody in the one before has a whole ration, and forgetting it changes nothing. It also ends when it is full. Then somebody
    may be forgotten early, and begins with a whole ration: only who is silent while GENERATION other clients ask.
    """

    __slots__ = ("_cost", "_old", "_policy", "_requests", "_rotate_at", "_second", "_whole", "_young", "limit")

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._requests = limit.requests
        self._second = limit.requests * 1_000_000
        self._cost = limit.seconds * 1_000_000
        self._whole = limit.requests * self._cost
        self._policy = b'ratelimit-policy: "default";q=%d;w=%d\r\nratelimit: "default"' % (limit.requests, limit.seconds)
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._rotate_at = 0

    def take(self, client: str, now: int) -> Standing:
        """Admit one more request of `client` at `now`, or not; what is not admitted costs nothing."""
        now *= self._requests
        if now >= self._rotate_at or len(self._young) >= GENERATION:
            self._rotate(now)
        known = self._young.get(client)
        if known is None:
            known = self._old.get(client, 0)
        used = max(known - now, 0) + self._cost
        if used > self._whole:
            self._young[client] = known  # who goes on asking is not forgotten
            return Standing(0, admitted=False, seconds=_up(used - self._whole, self._second))
        self._young[client] = now + used
        left = (self._whole - used) // self._cost
        wait = left * self._cost if left else used + self._cost - self._whole
        return Standing(left, admitted=True, seconds=_up(wait, self._second))

    def _rotate(self, now: int) -> None:
        self._old = self._young
        self._young = {}
        self._rotate_at = now + self._whole

    def fields(self, standing: Standing) -> bytes:
        """The field lines of an answer (draft-ietf-httpapi-ratelimit-headers-11), and Retry-After where it is a refusal."""
        lines = b"%b;r=%d;t=%d\r\n" % (self._policy, standing.left, standing.seconds)
        return lines if standing.admitted else b"%bretry-after: %d\r\n" % (lines, standing.seconds)

    def __len__(self) -> int:
        """How many clients are remembered; one may count twice."""
        return len(self._young) + len(self._old)


def _up(part: int, unit: int) -> int:
    """`part / unit`, rounded up."""
    return -(-part // unit)
