"""Sums by what they are about, which add up to the rows of `rollup`. Pure."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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


class Page:
    """The sums of one place, by metric and key."""

    __slots__ = ("_counts", "_distinct", "_sums", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self._counts: dict[tuple[str, str], int] = {}
        self._sums: dict[tuple[str, str], list[float]] = {}
        self._distinct: dict[str, set[str]] = {}

    def count(self, metric: str, key: str = "", *, n: int = 1) -> None:
        """`n` more, and nothing else about them."""
        counts = self._counts
        at = (metric, key)
        counts[at] = counts.get(at, 0) + n

    def count_each(self, metric: str, keys: Iterable[str]) -> None:
        """One more for each of `keys`."""
        for key, n in Counter(keys).items():
            self.count(metric, key, n=n)

    def count_each_of_many(self, metric: str, keys: Mapping[str, int], *, other: str) -> None:
        """So many more for each of `keys`, with at most DISTINCT_KEYS new keys: a backend that answers with free text must not fill
        the database."""
        distinct = self._distinct.setdefault(metric, set())
        for key, n in keys.items():
            if key in distinct or len(distinct) < DISTINCT_KEYS:
                distinct.add(key)
                self.count(metric, key, n=n)
            else:
                self.count(metric, other, n=n)

    def add(self, metric: str, key: str = "", *, n: int = 1, k: int = 0, products: tuple[float, float, float] = (0, 0, 0)) -> None:
        """`n`, `k`, and the `products`, which go to s1, s2 and sp."""
        sums = self._sums.get((metric, key))
        if sums is None:
            sums = self._sums[metric, key] = [0, 0, 0.0, 0.0, 0.0]
        sums[0] += n
        sums[1] += k
        sums[2] += products[0]
        sums[3] += products[1]
        sums[4] += products[2]

    def sums(self) -> Iterator[tuple[str, str, list[float]]]:
        """Metric, key, and n, k, s1, s2, sp."""
        for (metric, key), count in self._counts.items():
            n, *others = self._sums.get((metric, key), (0, 0, 0.0, 0.0, 0.0))
            yield metric, key, [n + count, *others]
        for (metric, key), sums in self._sums.items():
            if (metric, key) not in self._counts:
                yield metric, key, sums


class Ledger:
    """Adds up."""

    def __init__(self) -> None:
        self._pages: dict[Place, Page] = {}
        self._found: dict[tuple[str, int, int, str, int], Page] = {}

    def page(self, place: Place) -> Page:
        """Where the place's sums stand."""
        page = self._pages.get(place)
        if page is None:
            page = self._pages[place] = Page(place)
        return page

    def page_of(self, context: Context, arm: str, *, at: int) -> Page:
        """The page of `place_of`: found by the names as they came, because most requests of a batch are counted at few places."""
        names = (context.route, context.rollout, context.stage, arm, at // MINUTE)
        page = self._found.get(names)
        if page is None:
            page = self._found[names] = self.page(place_of(context, arm, at=at))
        return page

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
        """Adds to the place's page."""
        self.page(place).add(metric, key, n=n, k=k, products=products)

    def add_number(self, place: Place, metric: str, *, value: float, key: str = "") -> None:
        """One value, whose pivot is taken off already."""
        self.page(place).add(metric, key, products=(value, value * value, 0))

    def rows(self) -> list[dict[str, object]]:
        """The rows of `rollup` to add to what is there. Sums that came to nothing are left out."""
        return [
            {**place._asdict(), "metric": metric, "key": key, "n": n, "k": k, "s1": s1, "s2": s2, "sp": sp}
            for place, page in self._pages.items()
            for metric, key, (n, k, s1, s2, sp) in page.sums()
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
