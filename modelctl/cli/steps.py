"""The ladder of a canary as it is typed: `5,20!,50`, where `!` keeps automation from going on by itself."""

from typing import Any

from modelctl.cli.quantities import basis_points
from modelctl.errors import InvalidInput


def read_steps(percent: str | None, steps: str | None, *, command: str) -> dict[str, Any]:
    """The parameters of the ladder. Without a percent the first step is it. Raises InvalidInput."""
    rungs = [part.strip() for part in (steps or "").split(",") if part.strip()]
    if percent is None and not rungs:
        raise InvalidInput(f"say how much: modelctl {command} --percent 5, or a ladder: modelctl {command} --steps 1,5,20,50")
    first, later = (rungs[0], rungs[1:]) if percent is None else (percent, rungs)
    shares = [basis_points(rung.removesuffix("!")) for rung in (first, *later)]
    held = [share for share, rung in zip(shares, (first, *later), strict=True) if rung.endswith("!")]
    found: dict[str, Any] = {"percent_bp": shares[0]}
    return found | ({"steps_bp": shares[1:]} if later else {}) | ({"holds_bp": held} if held else {})
