"""What a rollout must prove and how it is run, as it is asked for: read, and checked before the first request."""

from typing import TYPE_CHECKING

import msgspec

from modelctl.conduct import Conduct, Mode
from modelctl.controlplane.asking import merged, partial
from modelctl.controlplane.judgement.engines import refusal
from modelctl.controlplane.judgement.rungs import require_design, rungs_of
from modelctl.errors import InvalidInput
from modelctl.gate import Gate, GateRole, check_gate, gate_words, parse_gate
from modelctl.rollout import Rollout

if TYPE_CHECKING:
    ConductChanges = Conduct
else:
    ConductChanges = partial(Conduct)

AskedGates = tuple[str | Gate, ...]

_PROVES_HARMLESS = (GateRole.GUARDRAIL, GateRole.EQUIVALENCE)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The criteria of a rollout and its agreed course."""

    gates: tuple[Gate, ...] = ()
    conduct: Conduct = msgspec.field(default_factory=Conduct)


def read_terms(gates: AskedGates | None, conduct: ConductChanges | None, *, standing: Rollout | None) -> Terms:
    """What is asked for; the rest is as in the `standing` rollout, or the default. Raises InvalidInput."""
    kept = Terms() if standing is None else Terms(gates=standing.gates, conduct=standing.conduct)
    return Terms(
        gates=kept.gates if gates is None else tuple(parse_gate(gate) if isinstance(gate, str) else gate for gate in gates),
        conduct=kept.conduct if conduct is None else merged(kept.conduct, conduct),
    )


_DECLARED = ("engine", "looks", "alpha_promote", "alpha_rollback", "deduplicate")
"""What of a conduct belongs to the error promise: fixed before the first look."""


def same_promise(terms: Terms, standing: Rollout) -> bool:
    """Whether the terms prove the same things at the same error levels as those of the open rollout.

    A margin that is chosen with the data in sight, or a second set of gates on the same evidence, promises nothing.
    """
    levels = (getattr(terms.conduct, field) == getattr(standing.conduct, field) for field in _DECLARED)
    return terms.gates == standing.gates and all(levels)


def check_terms(rollout: Rollout) -> None:
    """Raises InvalidInput with the reason and what to type when the rollout's ladder or mode cannot keep these terms."""
    check_gates(rollout)
    if why := refusal(rollout):
        raise InvalidInput(why)
    if rollout.conduct.mode is Mode.AUTO:
        _check_automatic(rollout)


def check_gates(rollout: Rollout) -> None:
    """Raises InvalidInput for gates that are none, that are there twice, or that the ladder cannot be judged by."""
    _refuse_twins(rollout.gates)
    for gate in rollout.gates:
        metric = check_gate(gate, rollout.fields, dimensions=rollout.dimensions)
        for candidate in rollout.candidates:
            require_design(gate, metric, ladder=rungs_of(rollout.steps, candidate), strategy=rollout.strategy)


def _refuse_twins(gates: tuple[Gate, ...]) -> None:
    seen: dict[str, Gate] = {}
    for gate in gates:
        if gate.name in seen:
            raise InvalidInput(
                f"two gates are about {gate.name}: {gate_words(seen[gate.name])} and {gate_words(gate)}; keep one, or tell them "
                "apart with design=paired and design=split"
            )
        seen[gate.name] = gate


def _check_automatic(rollout: Rollout) -> None:
    conduct = rollout.conduct
    if not any(gate.role in _PROVES_HARMLESS for gate in rollout.gates):
        raise InvalidInput(
            "mode auto raises the share only through a gate, and none is declared: add the harm you tolerate, such as "
            "--gate error_rate:guardrail:margin=0.5pt (modelctl plan suggests margins), or leave --mode auto out"
        )
    if not (conduct.max_n or conduct.max_ms):
        raise InvalidInput(
            "mode auto needs an end, so that it can be inconclusive: add --max-n 200000 (units of the candidate) or --max-time 7d; "
            "modelctl plan says how much is needed"
        )
