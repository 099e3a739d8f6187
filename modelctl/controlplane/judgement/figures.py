"""Numbers as people read them in sentences. Pure."""

import math

SECOND = 1_000


def share(number: float | None) -> str:
    """A share as people read it: 0.0312 is 3.12%."""
    return "unbounded" if number is None else f"{number * 100:.3g}%"


def figure(number: float | None, unit: str) -> str:
    """A number in a row's unit."""
    if number is None:
        return "unbounded"
    return share(number) if unit == "share" else f"{number:.4g}"


def amount(number: float | None, unit: str) -> str:
    """A harm or a margin: `points` are a difference of shares, `relative` a share of the baseline's value, `rate` an arm's own."""
    if number is None or math.isinf(number):
        return "unbounded"
    match unit:
        case "points":
            return f"{number * 100:.3g} points"
        case "relative" | "rate":
            return f"{number * 100:.3g}%"
    return f"{number:.4g}"


def how_many(n: int, noun: str) -> str:
    """1 pair, 2 pairs."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def duration(milliseconds: float) -> str:
    """3m 04s, 1h 40m, 2d 3h: the two largest units."""
    seconds = int(milliseconds // SECOND)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h {seconds % 3600 // 60:02}m"
    return f"{seconds // 86_400}d {seconds % 86_400 // 3600}h"
