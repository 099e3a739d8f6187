"""Gates as people write them: percentage points where a share is meant, which `0.005` hides."""

import msgspec

from modelctl.errors import InvalidInput
from modelctl.gate import Gate, MarginKind, gate_text, parse_gate
from modelctl.metric import METRICS, Scale


def shown_gate(text: str) -> str:
    """The gate `text` with the margin of a share in points and its limit in percent; `parse_gate` reads it all the same."""
    try:
        gate = parse_gate(text)
    except InvalidInput:
        return text
    metric = METRICS.get(gate.metric)
    if metric is None or metric.scale is not Scale.SHARE:
        return text
    parts = {f"limit={_plain(gate.limit)}": f"limit={_percent(gate.limit)}%"} if gate.limit is not None else {}
    if gate.margin is not None and gate.margin.kind is MarginKind.ABSOLUTE:
        parts[f"margin={_plain(gate.margin.amount)}"] = f"margin={_percent(gate.margin.amount)}pt"
    if gate.mde is not None:
        parts[f"mde={_plain(gate.mde)}"] = f"mde={_percent(gate.mde)}pt"
    shown = gate_text(gate)
    for plain, worded in parts.items():
        shown = shown.replace(plain, worded, 1)
    return shown


def margin_word(text: str) -> str:
    """The margin or limit of a gate alone, such as `0.5pt`."""
    options = shown_gate(text).split(":")[-1].split(",")
    return next((option.partition("=")[2] for option in options if option.startswith(("margin=", "limit="))), "")


def with_margin(text: str, margin: str) -> str:
    """The gate with another margin or limit, which a person typed. Raises InvalidInput."""
    gate = parse_gate(text)
    key = "limit" if gate.limit is not None else "margin"
    wanted = parse_gate(f"{gate.metric}:{gate.role}:{key}={margin}")
    changed: Gate = msgspec.structs.replace(gate, margin=wanted.margin, limit=wanted.limit)
    return shown_gate(gate_text(changed))


def _plain(number: float) -> str:
    return f"{number:.12g}"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.10g}"
