"""The status as lines for a pipe, of each route and of the routers. Without times, so that only changes change them. Pure."""

from collections.abc import Iterator

from modelctl.cli.gate_words import shown_gate
from modelctl.cli.quantities import percent
from modelctl.cli.status_answer import ArmStatus, RolloutStatus, RouteStatus, Status


def status_lines(status: Status) -> dict[str, str]:
    """The line of each route by its name, and of the workers by an empty one."""
    lines = {route.name: f"{route.name}: {' · '.join(_words(route))}" for route in status.routes}
    alive = [worker for worker in status.workers if worker.alive]
    behind = [worker.worker for worker in alive if worker.version != status.table_version]
    late = f", behind: {', '.join(behind)}" if behind else ""
    return {**lines, "": f"table {status.table_version} · workers: {len(alive)} connected{late}"}


def _words(route: RouteStatus) -> Iterator[str]:
    rollout = route.rollout
    if rollout is None:
        last = route.last
        yield f"baseline {route.baseline}"
        yield f"no open rollout{f', the last, {last.strategy} {last.rollout}, was {last.phase}' if last else ''}"
        return
    step = f"step {rollout.step + 1} of {rollout.steps}" if rollout.steps else f"step {rollout.step + 1}"
    yield f"{rollout.strategy} {rollout.id} · {rollout.phase} · {step}: {rollout.title}"
    yield from (_arm(arm) for arm in route.arms)
    if route.verdict is not None:
        yield f"verdict {route.verdict.word}"
    yield from _gates(rollout)
    if rollout.next is not None:
        yield from (f"waits for {block.barrier}" for block in rollout.next.blocked_by)


def _arm(arm: ArmStatus) -> str:
    shown = f", shown {percent(arm.shown)}" if arm.shown else ""
    return f"{arm.backend} {percent(arm.answers)}{shown}"


def _gates(rollout: RolloutStatus) -> Iterator[str]:
    yield from (f"{shown_gate(gate.gate)} of {gate.candidate} {gate.state}" for gate in rollout.gates)
