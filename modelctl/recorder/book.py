"""Where readings are added up: the ledger, and what it takes to add to it. Pure but for what it collects."""

from collections.abc import Mapping

from modelctl.recorder.ledger import Admission, Ledger, Pivot, Place, pivot_for
from modelctl.recorder.units import Units
from modelctl.traffic import Arm, Role

SLICES = 50
PATHS = 200


class Book:
    """Sums of one batch. `pivots` must hold one for every number that is added."""

    def __init__(self, pivots: Mapping[Pivot, float], admission: Admission) -> None:
        self.ledger = Ledger()
        self.units = Units()
        self._pivots = pivots
        self._admission = admission
        self._arms: tuple[Arm, ...] = ()
        self._eligible: frozenset[str] = frozenset()

    def with_pivots(self, pivots: Mapping[Pivot, float]) -> "Book":
        """The same book, which knows these pivots as well from now on."""
        self._pivots = {**self._pivots, **pivots}
        return self

    def eligible(self, arms: tuple[Arm, ...]) -> frozenset[str]:
        """The candidates among a stage's arms that requests are shown to; of the last stage they are remembered."""
        if arms is not self._arms:
            self._arms = arms
            self._eligible = frozenset(arm.backend for arm in arms if arm.shown and arm.role is Role.CANDIDATE)
        return self._eligible

    def pivot(self, place: Place, metric: str) -> float:
        """What is taken off every value of the metric."""
        return self._pivots[pivot_for(place, metric)]

    def slice_of(self, place: Place, named: tuple[str, str]) -> tuple[str, str]:
        """A dimension and a value, which is OTHER beyond SLICES different ones under the rollout."""
        dimension, value = named
        return dimension, self._admission.named(place, f"slice:{dimension}", value=value, most=SLICES)

    def path(self, place: Place, path: str) -> str:
        """A place in answers, which is OTHER beyond PATHS different ones under the rollout."""
        return self._admission.named(place, "path", value=path, most=PATHS)


def families(metric_keys: Mapping[str, list[list[str]]]) -> dict[str, set[str]]:
    """What an Admission is told: the dimensions' values and the paths among keys that have sums, by metric."""
    found: dict[str, set[str]] = {}
    for metric, keys in metric_keys.items():
        for key in keys:
            family, value = (f"slice:{key[0]}", key[1]) if metric.startswith("slice:") else ("path", key[0])
            found.setdefault(family, set()).add(value)
    return found
