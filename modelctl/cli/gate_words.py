"""Gates as people write them: percentage points where a share is meant, which `0.005` hides."""

import msgspec

from modelctl.errors import InvalidInput
from modelctl.gate import Gate, gate_words, parse_gate


def shown_gate(text: str) -> str:
    """The gate `text` of the API as people say it; as it is when this program cannot read it."""
    try:
        return gate_words(parse_gate(text))
    except InvalidInput:
        return text


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
    return gate_words(changed)
