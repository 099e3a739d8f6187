"""The whole acceptance list of error levels, power and delays, in the order of its ids."""

from tests.statistics.acceptance import fields, forecasts, looks, means, rates, shares, units, verdicts
from tests.statistics.acceptance.promise import Case

CASES: tuple[Case, ...] = tuple(
    sorted(
        (case for part in (means, rates, shares, verdicts, looks, units, fields, forecasts) for case in part.CASES),
        key=lambda case: int(case.id.removeprefix("A")),
    )
)
