"""How a rollout is run: by whom, how fast, how far and until when. Values; `controlplane.automation.conducting` reads them.

Automation may lower exposure at any time. It raises it only through a passed gate, only in mode `auto`, never above the ceiling,
never in a freeze, and never before the people who must agree have done so. Times are milliseconds; 0 means none.
"""

from enum import StrEnum

import msgspec

from modelctl.errors import InvalidInput
from modelctl.traffic import ALL

_LONGEST = 366 * 86_400_000


class Mode(StrEnum):
    """ADVISE says what it would do; AUTO does it. Rolling back on proven harm is part of AUTO alone."""

    ADVISE = "advise"
    AUTO = "auto"


class AtEnd(StrEnum):
    """What becomes of an automatic rollout that reaches its maximum without proof."""

    HOLD = "hold"  # the shares stay, and a person decides
    ROLLBACK = "rollback"


class Engine(StrEnum):
    """ANYTIME is valid at every look. GROUP_SEQUENTIAL spends its error over planned looks up to max_n. FIXED looks once, there."""

    ANYTIME = "anytime"
    GROUP_SEQUENTIAL = "gst"
    FIXED = "fixed"


class Conduct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agreed course of one rollout.

    `bake_ms` is how long each step lasts at least. `watch_ms` is how long after promotion it may still be taken back. `max_n`
    counts units of the candidates and pairs, `max_ms` the time since the start: what comes first ends it without proof. `for_ms`
    ends a schedule: the shadow stops then. `max_shown` is the most requests candidates are shown. `approvals` counts people other
    than the one who started it. `ceiling_bp` is the largest candidate share automation raises to.
    """

    mode: Mode = Mode.ADVISE
    engine: Engine = Engine.ANYTIME
    looks: int = 4
    alpha_promote: float = 0.05
    alpha_rollback: float = 0.05
    min_n: int = 1_000
    max_n: int = 0
    min_ms: int = 0
    max_ms: int = 0
    bake_ms: int = 0
    watch_ms: int = 0
    for_ms: int = 0
    max_shown: int = 0
    approvals: int = 0
    ceiling_bp: int = ALL
    at_end: AtEnd = AtEnd.HOLD
    deduplicate: bool = True

    def __post_init__(self) -> None:
        for field in ("alpha_promote", "alpha_rollback"):
            if not 0.0001 <= getattr(self, field) <= 0.2:
                raise InvalidInput(f"{field} must be from 0.0001 to 0.2, not {getattr(self, field)}; 0.05 is usual")
        for field, low, high in _LIMITS:
            if not low <= getattr(self, field) <= high:
                raise InvalidInput(f"{field} must be from {low} to {high}, not {getattr(self, field)}")
        if self.max_n and self.max_n < self.min_n:
            raise InvalidInput(f"max_n is {self.max_n}, below min_n, {self.min_n}: it could only end without proof")
        if self.engine is not Engine.ANYTIME and not self.max_n:
            raise InvalidInput(f"the engine {self.engine} plans its looks up to a maximum: declare max_n")


_LIMITS = (
    ("looks", 1, 100),
    ("min_n", 1, 1_000_000_000),
    ("max_n", 0, 1_000_000_000_000),
    ("min_ms", 0, _LONGEST),
    ("max_ms", 0, _LONGEST),
    ("bake_ms", 0, _LONGEST),
    ("watch_ms", 0, _LONGEST),
    ("for_ms", 0, _LONGEST),
    ("max_shown", 0, 1_000_000_000_000),
    ("approvals", 0, 10),
    ("ceiling_bp", 1, ALL),
)


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody agreed that the candidate may be promoted. `at` is a Unix time in milliseconds."""

    actor: str
    at: int
    reason: str = ""
