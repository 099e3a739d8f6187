"""Harm and margins in words, for a status and a report."""

from modelctl.cli.quantities import number


def amount(value: float | None, unit: str) -> str:
    """A harm or margin in its unit: points (of a share), relative (to the baseline's value), rate (of one arm) or value."""
    if value is None:
        return "unbounded"
    if unit == "points":
        return f"{100 * value:.3g} pt"
    return f"{100 * value:.3g}%" if unit in ("relative", "rate") else number(value)


def harm_interval(lower: float | None, upper: float | None, *, unit: str) -> str:
    """`-0.1 pt to 0.4 pt`; a bound that is infinite is said so."""
    return f"{amount(lower, unit)} to {amount(upper, unit)}"
