"""Units that stay on their arm: where each met an event first, and sums over units instead of requests. Pure.

The requests of one unit are not independent, so a difference of sticky arms is judged on units (delta method) and an event counts
once for each. What a unit comes to stands in the tables `first_event` and `unit_total`; the sums over all units in `rollup` are
kept up from the change of each unit's products. A request without a unit was drawn by itself: it is a unit of its own, and no table
remembers it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from modelctl.kinds.value import bounded
from modelctl.recorder.ledger import Ledger, Place
from modelctl.recorder.texts import text_from

_LONGEST = 128
_SEEN = "unit:"


class FirstKey(NamedTuple):
    """A unit and a kind of event: the key of `first_event`."""

    rollout: int
    kind: str
    unit: str


class UnitKey(NamedTuple):
    """A unit on an arm in a stage, and a metric: the key of `unit_total`."""

    rollout: int
    stage: int
    arm: str
    metric: str
    unit: str


class Total(NamedTuple):
    """How many values, and their sum."""

    n: int
    s: float


class _Change:
    """Values that came one after the other at one place: what they come to depends on their sums alone."""

    __slots__ = ("n", "place", "s")

    def __init__(self, place: Place, n: int, *, s: float) -> None:
        self.place = place
        self.n = n
        self.s = s


def unit_name(unit: bytes) -> str:
    """A unit as it is stored; what is longer than 128 characters ends in a digest."""
    return bounded(text_from(unit), _LONGEST)


class Units:
    """What units did, in the order it was seen."""

    def __init__(self) -> None:
        self._changes: dict[UnitKey, list[_Change]] = {}
        self._firsts: dict[FirstKey, Place] = {}

    def seen(self, ledger: Ledger, place: Place, *, unit: str) -> None:
        """A unit was drawn for the place's arm in its stage."""
        self._first(ledger, place, unit=unit, kind=f"{_SEEN}{place.stage}")

    def met(self, ledger: Ledger, place: Place, *, unit: str, event: str) -> None:
        """A unit met an event in the rollout."""
        self._first(ledger, place, unit=unit, kind=event)

    def change(self, ledger: Ledger, place: Place, *, unit: str, metric: str, n: int, s: float) -> None:
        """`n` more values of a metric, which sum to `s`; both negative to take a value back."""
        if unit:
            changes = self._changes.setdefault(UnitKey(place.rollout, place.stage, place.arm, metric, unit), [])
            if changes and changes[-1].place is place:
                changes[-1].n += n
                changes[-1].s += s
            else:
                changes.append(_Change(place, n, s=s))
        else:
            _add(ledger, place, metric=metric, before=Total(0, 0.0) if n > 0 else Total(-n, -s), n=n, s=s)

    def firsts(self) -> list[dict[str, object]]:
        """Rows of `first_event` for those that may be the first, in the order of their keys."""
        return [
            {**key._asdict(), "stage": place.stage, "arm": place.arm} for key, place in sorted(self._firsts.items(), key=_of_first)
        ]

    def totals(self) -> list[dict[str, object]]:
        """Rows of `unit_total` to add to what is there."""
        return [
            {**key._asdict(), "n": sum([change.n for change in changes]), "s": sum([change.s for change in changes])}
            for key, changes in self._changes.items()
        ]

    def settle(self, ledger: Ledger, inserted: Iterable[FirstKey], *, totals: Mapping[UnitKey, Total]) -> None:
        """Adds up what it came to: `inserted` were the first, `totals` are the units' after all changes."""
        for first in inserted:
            metric = "first_unit" if first.kind.startswith(_SEEN) else f"first_{first.kind}"
            ledger.add(self._firsts[first], metric)
        for key, changes in self._changes.items():
            n, s = totals[key]
            n -= sum([change.n for change in changes])
            s -= sum([change.s for change in changes])
            for change in changes:
                _add(ledger, change.place, metric=key.metric, before=Total(n, s), n=change.n, s=change.s)
                n += change.n
                s += change.s

    def _first(self, ledger: Ledger, place: Place, *, unit: str, kind: str) -> None:
        if unit:
            self._firsts.setdefault(FirstKey(place.rollout, kind, unit), place)
        else:
            ledger.add(place, "first_unit" if kind.startswith(_SEEN) else f"first_{kind}")


def _of_first(item: tuple[FirstKey, Place]) -> FirstKey:
    return item[0]


def _add(ledger: Ledger, place: Place, *, metric: str, before: Total, n: int, s: float) -> None:
    """The change of the unit's products N, S, S^2, SN and N^2 when `n` values that sum to `s` come to `before`."""
    units = int(before.n + n > 0) - int(before.n > 0)
    products = (s, s * (2 * before.s + s), before.s * n + s * (before.n + n))
    ledger.add(place, f"unit:{metric}", n=units, k=n, products=products)
    ledger.add(place, f"unit:{metric}", key="size", n=0, products=(0, n * (2 * before.n + n), 0))
