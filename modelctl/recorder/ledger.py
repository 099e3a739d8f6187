"""Sums by what they are about, which add up to the rows of `rollup`. Pure."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from modelctl.evidence import Context
from modelctl.recorder.texts import storable

MINUTE = 60_000_000
DISTINCT_KEYS = 1000
OTHER = "…"


class Place(NamedTuple):
    """What a sum is about, but for its metric and key."""

    route: str
    rollout: int
    stage: int
    arm: str
    minute: int


class Pivot(NamedTuple):
    """What one pivot belongs to."""

    route: str
    rollout: int
    metric: str


def place_of(context: Context, arm: str, *, at: int) -> Place:
    """Where a request of `arm` at Unix microsecond `at` is counted."""
    return Place(storable(context.route), context.rollout, context.stage, storable(arm), at // MINUTE)


def pivot_for(place: Place, metric: str) -> Pivot:
    """The pivot of a metric there."""
    return Pivot(place.route, place.rollout, metric)


@lru_cache(maxsize=4096)
def key_of(*parts: str) -> str:
    """A key of several parts: JSON."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


class Ledger:
    """Adds up."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Place, str, str], list[float]] = {}
        self._distinct: dict[tuple[Place, str], int] = {}

    def add(
        self,
        place: Place,
        metric: str,
        *,
        key: str = "",
        n: int = 1,
        k: int = 0,
        products: tuple[float, float, float] = (0, 0, 0),
    ) -> None:
        """`n`, `k`, and the `products`, which go to s1, s2 and sp."""
        sums = self._sums.get((place, metric, key))
        if sums is None:
            sums = self._sums[place, metric, key] = [0, 0, 0.0, 0.0, 0.0]
        sums[0] += n
        sums[1] += k
        sums[2] += products[0]
        sums[3] += products[1]
        sums[4] += products[2]

    def add_one_of_many(self, place: Place, metric: str, *, key: str, other: str) -> None:
        """Like `add`, with at most DISTINCT_KEYS new keys: a backend that answers with free text must not fill the database."""
        if (place, metric, key) not in self._sums:
            if self._distinct.get((place, metric), 0) >= DISTINCT_KEYS:
                key = other
            else:
                self._distinct[place, metric] = self._distinct.get((place, metric), 0) + 1
        self.add(place, metric, key=key)

    def add_number(self, place: Place, metric: str, *, value: float, key: str = "") -> None:
        """One value, whose pivot is taken off already."""
        self.add(place, metric, key=key, products=(value, value * value, 0))

    def rows(self) -> list[dict[str, object]]:
        """The rows of `rollup` to add to what is there. Sums that came to nothing are left out."""
        return [
            {**place._asdict(), "metric": metric, "key": key, "n": n, "k": k, "s1": s1, "s2": s2, "sp": sp}
            for (place, metric, key), (n, k, s1, s2, sp) in self._sums.items()
            if n or k or s1 or s2 or sp
        ]


class Admission:
    """Which values of a dimension, and which paths of answers, have sums of their own: the first ones that came, for good.

    Everything else is counted under OTHER. What the database has is told by `load` once for each scope.
    """

    def __init__(self) -> None:
        self._admitted: dict[tuple[str, int, str], set[str]] = {}
        self._loaded: set[tuple[str, int]] = set()

    def missing(self, scopes: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """The routes and rollouts among `scopes` that were not loaded yet."""
        return sorted({scope for scope in scopes if scope not in self._loaded})

    def load(self, route: str, rollout: int, *, families: Mapping[str, set[str]]) -> None:
        """What a route has sums of under a rollout already, by family."""
        self._loaded.add((route, rollout))
        for family, values in families.items():
            self._admitted.setdefault((route, rollout, family), set()).update(values)

    def named(self, place: Place, family: str, *, value: str, most: int) -> str:
        """`value`, or OTHER when `most` others have come before."""
        admitted = self._admitted.setdefault((place.route, place.rollout, family), set())
        if value in admitted:
            return value
        if len(admitted) >= most:
            return OTHER
        admitted.add(value)
        return value
