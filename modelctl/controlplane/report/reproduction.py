"""What somebody else needs to come to the same page, and how to tell that both are of the same evidence. Pure."""

import shlex
from hashlib import sha256

import msgspec

from modelctl import __version__
from modelctl.controlplane.judgement.comparison import Evidence

_encode = msgspec.json.Encoder(order="deterministic").encode


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """`evidence_sha256` is of the sums, the pivots and the stages, `terms_sha256` of the gates, the conduct and the ladder: two
    pages with the same digests say the same. The levels are of error: what may roll back, what may promote."""

    version: str
    rollout: int
    revision: int
    unit: str
    engine: str
    mode: str
    alpha_rollback: float
    alpha_promote: float
    sums: int
    evidence_sha256: str
    terms_sha256: str
    commands: tuple[str, ...]


def reproduction(evidence: Evidence) -> Reproduction:
    """Of a rollout's evidence as it is now."""
    rollout, conduct = evidence.rollout, evidence.rollout.conduct
    rows = sorted(evidence.sums.rows, key=lambda one: (one.stage, one.arm, one.metric, one.key))
    route = shlex.quote(rollout.route)
    return Reproduction(
        version=__version__,
        rollout=rollout.id,
        revision=rollout.revision,
        unit=rollout.unit,
        engine=conduct.engine.value,
        mode=conduct.mode.value,
        alpha_rollback=conduct.alpha_rollback,
        alpha_promote=conduct.alpha_promote,
        sums=len(rows),
        evidence_sha256=sha256(_encode((rows, evidence.pivots, evidence.stages, evidence.looks))).hexdigest(),
        terms_sha256=sha256(_encode((rollout.gates, conduct, rollout.steps, rollout.fields, rollout.unit))).hexdigest(),
        commands=(
            f"modelctl report {route} --rollout {rollout.id} -o json",
            f"modelctl decision list {route} --rollout {rollout.id}",
            "modelctl decision bundle ID --out bundle.json && modelctl verify bundle.json",
            f"modelctl export {route} --what pairs --rollout {rollout.id}",
        ),
    )
