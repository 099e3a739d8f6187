"""A figure with all that belongs to it: what it means in a sentence, and its numbers as a table. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

from modelctl.controlplane.figures.forest import Proof
from modelctl.controlplane.judgement.figures import amount, duration, figure

_SAFE = frozenset({"not-worse", "better", "equivalent"})
_UNITS = (" points", "%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """`svg` is markup, all else is text. The first column of `rows` names the row; `left` are the other columns that hold words."""

    svg: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()
    more: str = ""


def proof(finding: str, *, direction: str = "") -> Proof:
    """What a finding, or the side on which a slice stands out, is drawn as."""
    if finding == "worse" or direction in ("worse", "more"):
        return Proof.WORSE
    return Proof.SAFE if finding in _SAFE or direction in ("better", "less") else Proof.OPEN


def harm_words(lower: float | None, upper: float | None, *, unit: str) -> str:
    """A harm from end to end, its unit once."""
    return _once(amount(lower, unit), amount(upper, unit))


def between(lower: float | None, upper: float | None, *, unit: str) -> str:
    """An interval from end to end, its unit once."""
    return _once(figure(lower, unit), figure(upper, unit))


def moment(microseconds: int) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(milliseconds: int) -> str:
    """The same to the minute."""
    return datetime.fromtimestamp(milliseconds / 1_000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def age(evidence_at: int | None, generated_at: int) -> str:
    """How old the evidence is; both are Unix microseconds."""
    if evidence_at is None:
        return "none yet"
    # The newest minute may not be over: its end then lies ahead.
    newest = min(evidence_at, generated_at)
    return f"up to {moment(newest)}, {duration((generated_at - newest) / 1_000)} old"


def _once(low: str, high: str) -> str:
    unit = next((unit for unit in _UNITS if low.endswith(unit) and high.endswith(unit)), "")
    return f"{low.removesuffix(unit)} to {high}"
