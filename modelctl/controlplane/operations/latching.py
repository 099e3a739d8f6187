"""First crossings are written down once, with all they were decided from. A later contradiction is told, and changes nothing."""

from sqlalchemy import Connection

from modelctl.controlplane.automation.conducting import contradicted, findings
from modelctl.controlplane.automation.standing import Look
from modelctl.controlplane.judgement.bundle import write_bundle
from modelctl.controlplane.judgement.inquiry import LOOK
from modelctl.controlplane.operations.change import Author
from modelctl.rollout import Rollout
from modelctl.store import catalog, decisions, reading
from modelctl.store.catalog import Event
from modelctl.store.decisions import Decision

EFFECT_CHANGED = "effect-changed"


def fresh(look: Look) -> tuple[str, ...]:
    """The kinds of decisions that the look supports and none before it did; a planned look of the engine gst is one of them."""
    planned = (f"{LOOK}{len(look.evidence.looks) + 1}",) if look.judgement.look else ()
    return (*planned, *(kind for kind in findings(look.standing) if kind not in look.standing.latched))


def latch(connection: Connection, look: Look, *, author: Author) -> tuple[str, ...]:
    """Writes the look's new decisions with its bundle, and a line of history each; returns their kinds."""
    kinds = fresh(look)
    bundle = write_bundle(look.evidence, look.judgement, at=look.standing.at) if kinds else b""
    for kind in kinds:
        _latch(connection, look, decision=_decision(look, kind, at=author.at), bundle=bundle, author=author)
    return kinds


def untold(connection: Connection, look: Look) -> tuple[str, ...]:
    """The decisions that the look contradicts and the history does not say so yet."""
    rollout = look.standing.rollout
    kinds = contradicted(look.standing)
    if not kinds:
        return ()
    where: dict[str, str | int] = {"route": rollout.route, "rollout": rollout.id, "action": EFFECT_CHANGED}
    told = {str(event.detail["kind"]) for event in reading.events(connection, where).items}
    return tuple(kind for kind in kinds if kind not in told)


def tell(connection: Connection, look: Look, *, kinds: tuple[str, ...], author: Author) -> None:
    """A line of history for each decision that the evidence no longer supports."""
    for kind in kinds:
        reason = f"{kind} was decided before; the evidence now says {look.standing.word}: {look.standing.sentence}"
        connected = _event(look.standing.rollout, EFFECT_CHANGED, author=author, reason=reason, detail={"kind": kind})
        catalog.append_event(connection, connected)


def _latch(connection: Connection, look: Look, *, decision: Decision, bundle: bytes, author: Author) -> None:
    written = decisions.latch(connection, decision, bundle=bundle)
    detail: dict[str, object] = {"kind": decision.kind, "decision": written.id, "word": look.standing.word}
    event = _event(look.standing.rollout, "decision", author=author, reason=decision.sentence, detail=detail)
    catalog.append_event(connection, event)


def _decision(look: Look, kind: str, *, at: int) -> Decision:
    standing = look.standing
    sentence = standing.sentence
    if kind.startswith(LOOK):
        sentence = f"{look.judgement.look!r} of max_n: {sentence}"
    if kind.startswith("advance:"):
        step = standing.rollout.steps[int(kind.partition(":")[2])]
        sentence = f"The gate of the step {step.title!r} is passed. The whole rollout: {sentence}"
    return Decision(rollout=standing.rollout.id, kind=kind, at=at, sentence=sentence)


def _event(rollout: Rollout, action: str, *, author: Author, reason: str, detail: dict[str, object]) -> Event:
    return Event(
        at=author.at, actor=author.actor, action=action, route=rollout.route, rollout=rollout.id, reason=reason, detail=detail
    )
