"""What a rollout's ladder can compare: decided by its steps, so before the first observation. Pure."""

from collections.abc import Sequence

from modelctl import traffic
from modelctl.rollout import Rollout
from modelctl.traffic import Arm


def shows(rollout: Rollout, candidate: str) -> bool:
    """Whether some step shows the candidate requests that the baseline answers."""
    return any(_answered(step.arms) and any(arm.shown for arm in _of(step.arms, candidate)) for step in rollout.steps)


def splits(rollout: Rollout, candidate: str) -> bool:
    """Whether in some step both the baseline and the candidate answer a share."""
    return any(_answered(step.arms) and any(arm.answers for arm in _of(step.arms, candidate)) for step in rollout.steps)


def _of(arms: Sequence[Arm], backend: str) -> list[Arm]:
    return [arm for arm in arms if arm.backend == backend]


def _answered(arms: Sequence[Arm]) -> bool:
    return any(arm.answers for arm in arms if arm.role is traffic.Role.BASELINE)
