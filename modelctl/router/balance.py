"""Which endpoint gets a request: of two drawn by chance, the one with less to do (Mitzenmacher 2001).

What an endpoint has to do is its time to the head of an answer times the requests it would have in flight. Clock-free: the time,
in seconds of any clock that only grows, and chance, from 0 up to but not 1, come in as arguments.
"""

from collections.abc import Callable
from math import exp

DECAY = 10.0  # seconds after which what was seen weighs 1/e
UNKNOWN = 0.03  # seconds: what an endpoint is taken to need before it has answered
FLOOR = 0.001  # seconds: below it a difference says nothing, and after a pause all are equal again
PENALTY = 5.0  # seconds: what an endpoint is taken to need after a failure, and for how long
LONGEST_PENALTY = 300.0
_DRAWS = 3


class Load:
    """How many seconds an endpoint takes to begin an answer: a moving average that follows a rise at once and a fall slowly.

    The peak EWMA of Finagle and linkerd. Unheard of, an endpoint is taken to get faster, so that it is tried again. After a
    failure it counts as slow, however fast the failure came, for as long as it is taken to need.
    """

    __slots__ = ("_at", "_penalty", "_seconds", "_until")

    def __init__(self, now: float, seconds: float = UNKNOWN) -> None:
        self._seconds = seconds
        self._at = now
        self._penalty = 0.0
        self._until = now

    def answered(self, seconds: float, now: float) -> None:
        """An answer began `seconds` after its request."""
        if seconds >= self._seconds:
            self._seconds = seconds
        else:
            kept = exp((self._at - now) / DECAY)
            self._seconds = self._seconds * kept + seconds * (1.0 - kept)
        self._at = now

    def at_least(self, seconds: float, now: float) -> None:
        """No answer had begun after `seconds` when nobody wanted it any more: it is no faster than that."""
        if seconds > self._seconds * exp((self._at - now) / DECAY):
            self._seconds = seconds
            self._at = now

    def failed(self, now: float, penalty: float = PENALTY) -> None:
        """A request failed. `penalty` is in seconds, the server's Retry-After perhaps; the longest that runs counts."""
        penalty = min(max(penalty, PENALTY), LONGEST_PENALTY)
        if now + penalty > self._until:
            self._penalty = penalty
            self._until = now + penalty

    def seconds(self, now: float) -> float:
        """The estimate, at least FLOOR."""
        seconds = self._seconds * exp((self._at - now) / DECAY)
        if now < self._until and seconds < self._penalty:
            return self._penalty
        return seconds if seconds > FLOOR else FLOOR


class Candidate:
    """What the choice needs of an endpoint, the backend's `number`-th: the legs it has or is to have (`busy`), and its load.

    Until `warm_at` it has joined lately, and its share grows with time.
    """

    __slots__ = ("_joined", "busy", "load", "number", "warm_at")

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.busy = 0
        self.load = Load(now)
        self.warm_at = now
        self._joined = now

    def join(self, now: float, seconds: float, *, warm_up: float) -> None:
        """It comes, or comes back: nothing is known but what the others need (`seconds`). Its share is whole after `warm_up`."""
        self.load = Load(now, seconds)
        self._joined = now
        self.warm_at = now + warm_up

    def resemble(self, other: "Candidate") -> None:
        """It is the same endpoint as `other`, in a new description of the backend."""
        self.load = other.load
        self._joined = other._joined
        self.warm_at = other.warm_at

    def share(self, now: float) -> float:
        """How much of its fair share it gets: from 0 when it joins, in a straight line, to 1."""
        if now >= self.warm_at:
            return 1.0
        return max(0.0, (now - self._joined) / (self.warm_at - self._joined))

    def score(self, now: float) -> float:
        """What it has to do, with one more request, in seconds."""
        return self.load.seconds(now) * (self.busy + 1)


def pick(candidates: list[Candidate], now: float, *, chance: Callable[[], float]) -> Candidate:
    """The one of `candidates` (at least one) that gets the next request."""
    count = len(candidates)
    if count == 1:
        return candidates[0]
    one = candidates[0]
    for _ in range(_DRAWS):
        first = int(chance() * count)
        second = int(chance() * (count - 1))
        one = candidates[first]
        other = candidates[second + 1 if second >= first else second]
        if now >= one.warm_at and now >= other.warm_at:
            return other if other.score(now) < one.score(now) else one
        chosen = _pick_new(one, other, now=now, chance=chance)
        if chosen is not None:
            return chosen
    return one


def _pick_new(one: Candidate, other: Candidate, *, now: float, chance: Callable[[], float]) -> Candidate | None:
    """One of two of which at least one has joined lately, or None to draw again.

    Its score would not do: an endpoint that is held back has nothing in flight, so it would win every time. It gets its share of
    the half that is fair instead, unless it is clearly the worse one.
    """
    older, newer = (one, other) if one.warm_at <= other.warm_at else (other, one)
    if now >= older.warm_at:
        wins = 2.0 * chance() < newer.share(now) and newer.score(now) <= 2.0 * older.score(now)
        return newer if wins else older
    better = other if other.score(now) < one.score(now) else one
    return better if chance() < better.share(now) else None
