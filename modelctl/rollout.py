"""One attempt to replace a route's baseline, as frozen values, and the law of what may happen to it.

TRANSITIONS is the law: a phase and a verb give the next phase, and what is not in it is refused. Three verbs end a
rollout; all are legal in every open phase, so nothing can get stuck and abort always wins.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from modelctl.conduct import Approval, Conduct
from modelctl.errors import IllegalMove, InvalidInput
from modelctl.gate import Gate
from modelctl.metric import Dimension, Field
from modelctl.rule import Rule
from modelctl.traffic import Arm, Role


class Phase(StrEnum):
    """Where a rollout stands. The last three are its ends."""

    PROGRESSING = "progressing"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    COMPLETED = "completed"  # its schedule or its question is over, and the baseline stays


class Verb(StrEnum):
    """What a person (or, through a gate, the controller) does to a rollout."""

    ADVANCE = "advance"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    COMPLETE = "complete"


OPEN = frozenset({Phase.PROGRESSING, Phase.PAUSED})

TRANSITIONS: Mapping[tuple[Phase, Verb], Phase] = MappingProxyType(
    {
        (Phase.PROGRESSING, Verb.ADVANCE): Phase.PROGRESSING,
        (Phase.PROGRESSING, Verb.PAUSE): Phase.PAUSED,
        (Phase.PROGRESSING, Verb.PROMOTE): Phase.PROMOTED,
        (Phase.PROGRESSING, Verb.ROLLBACK): Phase.ROLLED_BACK,
        (Phase.PROGRESSING, Verb.COMPLETE): Phase.COMPLETED,
        (Phase.PAUSED, Verb.RESUME): Phase.PROGRESSING,
        (Phase.PAUSED, Verb.PROMOTE): Phase.PROMOTED,
        (Phase.PAUSED, Verb.ROLLBACK): Phase.ROLLED_BACK,
        (Phase.PAUSED, Verb.COMPLETE): Phase.COMPLETED,
    }
)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of a ladder: who answers, who is shown, and who can be reached at the preview address.

    Automation never leaves a step that is on `hold`: a person does. `bake_ms` is how long it lasts at least.
    """

    title: str
    arms: tuple[Arm, ...]
    preview: str = ""
    bake_ms: int = 0
    hold: bool = False


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A period of a rollout with constant shares. Times are Unix milliseconds; `closed_at` is 0 while it lasts."""

    id: int
    rollout: int
    arms: tuple[Arm, ...]
    opened_at: int
    closed_at: int = 0


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """From start to promoted or rolled back. `winner` is the backend that was promoted, or empty.

    `revision` grows with every change; it is the rollout's ETag. `step_at` is when its step began. `unit`, `fields` and
    `dimensions` are what its route had declared when it started: what is measured does not change under an open rollout. `holds`
    says why automation stopped and leaves the next move to people; empty while it goes on. `rules` send requests to its arms past
    the split, and end with it.
    """

    id: int
    route: str
    strategy: str
    baseline: str
    candidates: tuple[str, ...]
    steps: tuple[Step, ...]
    step: int = 0
    phase: Phase = Phase.PROGRESSING
    winner: str = ""
    stage: int = 0
    salt: str
    opened_at: int
    closed_at: int = 0
    actor: str = ""
    reason: str = ""
    revision: int = 1
    step_at: int = 0
    unit: str = "request"
    gates: tuple[Gate, ...] = ()
    conduct: Conduct = msgspec.field(default_factory=Conduct)
    fields: tuple[Field, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    approvals: tuple[Approval, ...] = ()
    holds: str = ""
    rules: tuple[Rule, ...] = ()

    @property
    def open(self) -> bool:
        """Whether it still decides about its route's traffic."""
        return self.phase in OPEN

    @property
    def current(self) -> Step:
        """The step whose split is live while the rollout is open. A paused rollout keeps it."""
        return self.steps[self.step]


def legal_verbs(rollout: Rollout) -> tuple[Verb, ...]:
    """The verbs that `apply` accepts now, in the order of Verb."""
    verbs = (verb for verb in Verb if (rollout.phase, verb) in TRANSITIONS)
    return tuple(verb for verb in verbs if verb is not Verb.ADVANCE or rollout.step + 1 < len(rollout.steps))


def apply(rollout: Rollout, verb: Verb, *, at: int, winner: str = "") -> Rollout:
    """The rollout after `verb` at Unix millisecond `at`. `winner` goes with PROMOTE alone and names a candidate.

    Raises IllegalMove, which names what is possible instead, and InvalidInput for a wrong winner.
    """
    if verb not in legal_verbs(rollout):
        raise IllegalMove(_refusal(rollout, verb))
    if winner not in (rollout.candidates if verb is Verb.PROMOTE else ("",)):
        raise InvalidInput(_wrong_winner(rollout, verb, winner=winner))
    phase = TRANSITIONS[rollout.phase, verb]
    return msgspec.structs.replace(
        rollout,
        phase=phase,
        step=rollout.step + (verb is Verb.ADVANCE),
        step_at=at if verb is Verb.ADVANCE else rollout.step_at,
        holds="",
        winner=winner,
        closed_at=0 if phase in OPEN else at,
        revision=rollout.revision + 1,
    )


def replan(rollout: Rollout, steps: tuple[Step, ...], *, at: int) -> Rollout:
    """The open rollout at the first step of another ladder from Unix millisecond `at`. Its salt stays, so units only move where
    shares do; approvals of the old ladder are void.

    Raises IllegalMove when it has ended.
    """
    if not rollout.open:
        raise IllegalMove(f"cannot change: rollout {rollout.id} of route {rollout.route!r} has ended ({rollout.phase})")
    return msgspec.structs.replace(
        rollout,
        steps=steps,
        step=0,
        step_at=at,
        approvals=(),
        holds="",
        phase=Phase.PROGRESSING,
        revision=rollout.revision + 1,
    )


def exposes(rollout: Rollout) -> bool:
    """Whether a client may get a candidate's answer now, other than by asking for it at the preview address."""
    return any(arm.answers for arm in rollout.current.arms if arm.role is Role.CANDIDATE)


def _refusal(rollout: Rollout, verb: Verb) -> str:
    name = f"rollout {rollout.id} of route {rollout.route!r}"
    if not rollout.open:
        return f"cannot {verb}: {name} has ended ({rollout.phase}); start a new one"
    legal = ", ".join(legal_verbs(rollout))
    if verb is Verb.ADVANCE and rollout.phase is Phase.PROGRESSING:
        return f"cannot advance: {name} is at its last step, {rollout.current.title!r}; possible now: {legal}"
    return f"cannot {verb}: {name} is {rollout.phase}; possible now: {legal}"


def _wrong_winner(rollout: Rollout, verb: Verb, *, winner: str) -> str:
    if verb is not Verb.PROMOTE:
        return f"a winner goes with promote, not with {verb}: leave {winner!r} out"
    candidates = ", ".join(rollout.candidates)
    return f"{winner!r} is no candidate of rollout {rollout.id} of route {rollout.route!r}; name one of: {candidates}"


def settled(backend: str) -> tuple[Arm, ...]:
    """The arms of a route without an open rollout: its baseline answers everything."""
    return (Arm(backend=backend, role=Role.BASELINE, answers=10_000),)
