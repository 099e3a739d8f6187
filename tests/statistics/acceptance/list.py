"""The whole acceptance list of error levels, power and delays, in the order of its ids."""

from tests.statistics.acceptance import means, rates, shares, verdicts
from tests.statistics.acceptance.promise import Case

CASES: tuple[Case, ...] = tuple(
    sorted((*means.CASES, *rates.CASES, *shares.CASES, *verdicts.CASES), key=lambda case: int(case.id.removeprefix("A")))
)
