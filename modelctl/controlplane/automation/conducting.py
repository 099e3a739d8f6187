"""What automation does next with a rollout, why, and what stands in its way. Pure.

RULES is the law: a table of functions of one frozen Standing, the first that speaks decides. Lowering exposure needs proof of harm
or the end of a schedule and nothing else. Raising it needs every barrier to be down: `barriers` lists those that are up, each with
the one command that clears it. People are held up by some of them too (BINDING), unless they say why they go ahead.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from modelctl.conduct import AtEnd, Mode
from modelctl.controlplane.judgement.figures import duration
from modelctl.gate import GateRole
from modelctl.rollout import Phase, Rollout, Step, Verb
from modelctl.traffic import ALL, Role

CONTROLLER = "controller"
"""Who the history names where automation acted; also the name of its lease."""

PROMOTE, ROLLBACK, INCONCLUSIVE, INVALID = "promote", "rollback", "inconclusive", "invalid"
LATCHED_WORDS = frozenset({PROMOTE, ROLLBACK, INCONCLUSIVE, INVALID})


class Barrier(StrEnum):
    """What can stand between a rollout and more exposure."""

    HOLD = "hold"
    PAUSE = "pause"
    GATE = "gate"
    STEP = "step"
    CEILING = "ceiling"
    FREEZE = "freeze"
    APPROVAL = "approval"
    WINNER = "winner"
    BAKE = "bake"
    MODE = "mode"


BINDING = frozenset({Barrier.GATE, Barrier.FREEZE, Barrier.APPROVAL})


class Block(msgspec.Struct, frozen=True):
    """A barrier that is up, in a sentence; `command` clears it, and is empty where only time or traffic does."""

    barrier: Barrier
    sentence: str
    command: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known at `at` (Unix ms). `missing` is what the next step's gate still needs, `needs` what the verdict does.

    With `leap` the next raise is promotion, from whatever step: people may skip the rest of a ladder.
    `frozen` says why traffic is not moved now. `latched` are the kinds of decisions made so far and when (Unix ms). `shown` counts
    the requests the candidates were shown; `winner` is the candidate the verdict would promote.
    """

    rollout: Rollout
    word: str
    sentence: str
    at: int
    missing: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    leap: bool = False
    frozen: str = ""
    latched: dict[str, int] = {}
    shown: int = 0
    winner: str = ""

    @property
    def promotes(self) -> bool:
        """Whether the next raise is promotion."""
        return self.leap or is_last(self.rollout)

    @property
    def share(self) -> int:
        """The candidates' share (basis points) after the next raise."""
        return ALL if self.promotes else share_of(self.rollout.steps[self.rollout.step + 1])

    @property
    def proven(self) -> bool:
        """Whether harm is proven, now or at any look before: a first crossing stands."""
        return self.word == ROLLBACK or ROLLBACK in self.latched


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What is next. With a `verb` it is done now; else `blocked_by` says what is waited for.

    `kind` is advance:STEP, promote, rollback, complete, hold, wait or ended. `holds` is what to write into the rollout. `since` and
    `due_at` (0: not by itself) are Unix milliseconds.
    """

    kind: str
    sentence: str
    verb: Verb | None = None
    winner: str = ""
    blocked_by: tuple[Block, ...] = ()
    holds: str = ""
    since: int = 0
    due_at: int = 0


def next_move(standing: Standing) -> Intent:
    """What automation does now. Never raises exposure while a barrier is up; may always lower it."""
    return next(intent for intent in (rule(standing) for rule in RULES) if intent is not None)


def findings(standing: Standing) -> tuple[str, ...]:
    """The kinds of decisions that the evidence supports now: its word, and `advance:STEP` for a passed gate."""
    words = (standing.word,) if standing.word in LATCHED_WORDS else ()
    passed = not standing.promotes and not _unproven(standing)
    return (*words, f"advance:{standing.rollout.step + 1}") if passed else words


def contradicted(standing: Standing) -> tuple[str, ...]:
    """Earlier proofs that the evidence no longer supports. They stand; that the effect has changed is worth a line of history."""
    return tuple(kind for kind in (ROLLBACK, PROMOTE) if kind in standing.latched and standing.word != kind)


def barriers(standing: Standing) -> tuple[Block, ...]:
    """Every barrier that is up against the next raise, the one a person can clear first."""
    return tuple(_barriers(standing))


def binding(standing: Standing) -> tuple[Block, ...]:
    """The barriers that hold people up as well. Without margins nothing has to be proven: the decision was left to people."""
    mine = BINDING if bounded(standing.rollout) else BINDING - {Barrier.GATE}
    return tuple(block for block in barriers(standing) if block.barrier in mine)


def raise_command(standing: Standing) -> str:
    """What a person types for the next raise."""
    rollout = standing.rollout
    if not standing.promotes:
        return f"modelctl {Verb.ADVANCE} {rollout.route}"
    named = f" --winner {standing.winner or 'NAME'}" if len(rollout.candidates) > 1 else ""
    return f"modelctl {Verb.PROMOTE} {rollout.route}{named}"


def bounded(rollout: Rollout) -> bool:
    """Whether a margin or limit is declared, so that harmlessness can be proven."""
    return any(gate.role in (GateRole.GUARDRAIL, GateRole.EQUIVALENCE) for gate in rollout.gates)


def is_last(rollout: Rollout) -> bool:
    """Whether promotion is what comes after the step."""
    return rollout.step + 1 >= len(rollout.steps)


def share_of(step: Step) -> int:
    """The candidates' share of clients' requests in a step, in basis points."""
    return sum(arm.answers for arm in step.arms if arm.role is Role.CANDIDATE)


def switched(rollout: Rollout) -> bool:
    """Whether the baseline answers nothing any more, so that nothing is compared at the same time."""
    return share_of(rollout.current) == ALL


def _ended(standing: Standing) -> Intent | None:
    rollout = standing.rollout
    if rollout.open:
        return None
    return Intent(kind="ended", sentence=f"The rollout has ended ({rollout.phase}).", since=rollout.closed_at)


def _harm(standing: Standing) -> Intent | None:
    if not standing.proven:
        return None
    rollout, since = standing.rollout, standing.latched.get(ROLLBACK, standing.at)
    said = standing.sentence if standing.word == ROLLBACK else "Harm was proven at an earlier look, and that stands."
    if rollout.conduct.mode is Mode.AUTO:
        return Intent(kind=ROLLBACK, verb=Verb.ROLLBACK, sentence=said, since=since)
    advice = Block(Barrier.MODE, "The mode is advise, so a person rolls back.", f"modelctl rollback {rollout.route}")
    return Intent(kind=ROLLBACK, sentence=said, blocked_by=(advice,), since=since)


def _promotion(standing: Standing) -> Intent | None:
    """Before the end of a schedule: what is proven is not lost to it."""
    intent = _raise(standing) if standing.rollout.phase is Phase.PROGRESSING and is_last(standing.rollout) else None
    return intent if intent and intent.verb is Verb.PROMOTE and not standing.rollout.holds else None


def _schedule(standing: Standing) -> Intent | None:
    """A schedule is a person's own word, so it ends in either mode."""
    rollout, conduct = standing.rollout, standing.rollout.conduct
    end = rollout.opened_at + conduct.for_ms if conduct.for_ms else 0
    ready = " The evidence says promote; that is now a person's decision." if standing.word == PROMOTE else ""
    if end and standing.at >= end:
        said = f"Its schedule of {duration(conduct.for_ms)} is over.{ready}"
    elif conduct.max_shown and standing.shown >= conduct.max_shown:
        said = f"The candidates were shown {standing.shown:,} requests; the budget was {conduct.max_shown:,}.{ready}"
    else:
        return None
    return Intent(kind="complete", verb=Verb.COMPLETE, sentence=said, since=standing.at)


def _exhausted(standing: Standing) -> Intent | None:
    """The declared maximum without proof. It never raises exposure."""
    rollout = standing.rollout
    if standing.word != INCONCLUSIVE or rollout.holds:
        return None
    since = standing.latched.get(INCONCLUSIVE, standing.at)
    if rollout.conduct.mode is Mode.AUTO and rollout.conduct.at_end is AtEnd.ROLLBACK:
        return Intent(kind=ROLLBACK, verb=Verb.ROLLBACK, sentence=standing.sentence, since=since)
    if rollout.conduct.mode is Mode.AUTO:
        return Intent(kind="hold", sentence=standing.sentence, holds=standing.sentence, since=since, blocked_by=(_held(standing),))
    return None


def _raise(standing: Standing) -> Intent:
    rollout = standing.rollout
    last = standing.promotes
    kind = PROMOTE if last else f"advance:{rollout.step + 1}"
    blocked = barriers(standing)
    due = bakes_until(rollout)
    if not blocked:
        verb = Verb.PROMOTE if last else Verb.ADVANCE
        winner = standing.winner or rollout.candidates[0] if last else ""
        return Intent(kind=kind, verb=verb, winner=winner, sentence=f"The gate is passed. {standing.sentence}", since=due)
    waits = {block.barrier for block in blocked} == {Barrier.BAKE}
    said = f"Next: {_aim(standing)}. {blocked[0].sentence}"
    return Intent(
        kind=kind, sentence=said, blocked_by=blocked, since=max(rollout.step_at, rollout.opened_at), due_at=due if waits else 0
    )


RULES: tuple[Callable[[Standing], Intent | None], ...] = (_ended, _harm, _promotion, _schedule, _exhausted, _raise)


def _barriers(standing: Standing) -> Iterator[Block]:
    rollout, conduct, route = standing.rollout, standing.rollout.conduct, standing.rollout.route
    command = raise_command(standing)
    forced = f"{command} --force --reason WHY"
    if rollout.holds:
        yield _held(standing)
    if rollout.phase is Phase.PAUSED:
        yield Block(Barrier.PAUSE, "It is paused.", f"modelctl resume {route}")
    for sentence in _unproven(standing):
        # Without margins it is a person's decision, and needs no force.
        yield Block(Barrier.GATE, sentence, forced if bounded(rollout) else command)
    if rollout.current.hold:
        yield Block(Barrier.STEP, f"The step {rollout.current.title!r} holds until a person goes on.", command)
    if standing.share > conduct.ceiling_bp:
        share = f"{standing.share / 100:g}%, above the ceiling of {conduct.ceiling_bp / 100:g}%"
        yield Block(Barrier.CEILING, f"It would give the candidate {share} for automation.", command)
    if standing.frozen:
        yield Block(Barrier.FREEZE, standing.frozen, forced)
    if standing.share == ALL and (lacking := _approvals_lacking(rollout)):
        people = "one more person" if lacking == 1 else f"{lacking} more people"
        yield Block(
            Barrier.APPROVAL,
            f"{people[0].upper()}{people[1:]} must approve, other than who started it.",
            f"modelctl approve {route}",
        )
    if standing.promotes and len(rollout.candidates) > 1 and not standing.winner:
        names = ", ".join(rollout.candidates)
        yield Block(Barrier.WINNER, f"There are several candidates ({names}): a person names the winner.", command)
    if standing.at < bakes_until(rollout):
        left = duration(bakes_until(rollout) - standing.at)
        yield Block(Barrier.BAKE, f"The step bakes for another {left}.", command)
    if conduct.mode is not Mode.AUTO:
        yield Block(Barrier.MODE, "The mode is advise, so a person does it.", command)


def _held(standing: Standing) -> Block:
    said = standing.rollout.holds or standing.sentence
    return Block(Barrier.HOLD, f"Automation stopped: {said}", f"{raise_command(standing)} --force --reason WHY")


def _unproven(standing: Standing) -> tuple[str, ...]:
    """What keeps the gate of the next raise closed. No data, and no margins, never pass it."""
    rollout = standing.rollout
    if not bounded(rollout):
        return ("No margins are declared, so nothing can be proven.",)
    if standing.word in (INVALID, ROLLBACK, INCONCLUSIVE, "no-data"):
        return (standing.sentence,)
    if standing.promotes and standing.word != PROMOTE:
        return standing.needs or (standing.sentence,)
    if standing.promotes and switched(rollout) and f"advance:{rollout.step}" not in standing.latched:
        return ("Before the switch the gate for all of the traffic was not passed, and before and after cannot be compared.",)
    return () if standing.promotes else standing.missing


def _approvals_lacking(rollout: Rollout) -> int:
    people = {one.actor for one in rollout.approvals} - {rollout.actor}
    return max(0, rollout.conduct.approvals - len(people))


def bakes_until(rollout: Rollout) -> int:
    """When its step has lasted as long as it must (Unix ms). One from before steps had a beginning counts from its own."""
    return max(rollout.step_at, rollout.opened_at) + max(rollout.current.bake_ms, rollout.conduct.bake_ms)


def _aim(standing: Standing) -> str:
    rollout = standing.rollout
    if standing.promotes:
        return f"promote {', '.join(rollout.candidates)}"
    return f"advance to {rollout.steps[rollout.step + 1].title}"
