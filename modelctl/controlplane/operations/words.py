"""Gates and a conduct as the words of a command that asks for the same. Pure."""

import shlex
from collections.abc import Iterator

from msgspec import UNSET

from modelctl.controlplane.operations.terms import AskedGates, ConductChanges
from modelctl.gate import gate_words

_PLAIN = (
    *(("mode", "mode"), ("engine", "engine"), ("looks", "looks"), ("min_n", "min-n"), ("max_n", "max-n")),
    *(("max_shown", "max-shown"), ("approvals", "approvals"), ("at_end", "at-end")),
)
_TIMES = (("bake_ms", "bake"), ("min_ms", "min-time"), ("max_ms", "max-time"), ("for_ms", "for"), ("watch_ms", "watch"))


def terms_words(gates: AskedGates | None, conduct: ConductChanges | None) -> str:
    """The options with a space between them; empty for nothing. What the command line cannot say is left out."""
    texts = [gate if isinstance(gate, str) else gate_words(gate) for gate in gates or ()]
    return " ".join([*(f"--gate {shlex.quote(text)}" for text in texts), *(_conduct_words(conduct) if conduct else ())])


def _conduct_words(conduct: ConductChanges) -> Iterator[str]:
    for field, option in _PLAIN:
        if _given(conduct, field):
            yield f"--{option} {getattr(conduct, field)}"
    for field, option in _TIMES:
        if _given(conduct, field):
            yield f"--{option} {_time(getattr(conduct, field))}"
    if _given(conduct, "ceiling_bp"):
        yield f"--ceiling {conduct.ceiling_bp / 100:g}%"


def _given(conduct: ConductChanges, field: str) -> bool:
    return getattr(conduct, field, UNSET) not in (UNSET, None)


def _time(milliseconds: int) -> str:
    sizes = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))
    return next(
        (f"{milliseconds // size}{unit}" for size, unit in sizes if milliseconds and not milliseconds % size), f"{milliseconds}ms"
    )
