"""The status as a tree: route -> rollout -> arms, funnel, verdict; then the routers and the evidence.

Colour only repeats what a word says.
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from modelctl.cli.fitting import Fitting
from modelctl.cli.funnel import funnel_lines
from modelctl.cli.gate_words import shown_gate
from modelctl.cli.harm import amount, harm_interval
from modelctl.cli.output import line, plain, table
from modelctl.cli.quantities import count, duration, moment, percent, rate
from modelctl.cli.report_sections import VERDICT_STYLES
from modelctl.cli.status_answer import ArmStatus, Ending, Evidence, GateLine, RolloutStatus, RouteStatus, Status, WorkerStatus


def status_tree(status: Status) -> RenderableType:
    """Everything `modelctl status` shows."""
    if not status.routes:
        return Group(line("no route yet · next: modelctl route add NAME --path /NAME --backend BACKEND"), *_foot(status))
    return Group(*(_route(route, status.at) for route in status.routes), *_foot(status))


def _foot(status: Status) -> list[Text]:
    return [workers_line(status.workers), evidence_line(status.evidence)]


def _route(route: RouteStatus, at: int) -> Tree:
    tree = Tree(Text.assemble((route.name, "bold"), f"  {route.host}{route.path} · baseline {route.baseline}"))
    rollout = route.rollout
    branch = tree
    if rollout is None:
        tree.add(line(f"no open rollout{_ended(route.last)}"))
    else:
        step = f"step {rollout.step + 1} of {rollout.steps}" if rollout.steps else f"step {rollout.step + 1}"
        head = f"{rollout.strategy} {rollout.id} · {rollout.phase} · {step}: {rollout.title}"
        branch = tree.add(line(f"{head}{_baking(rollout, at)} · mode {rollout.mode}", style="bold"))
        if rollout.preview:
            branch.add(line(f"preview address {rollout.preview}"))
    if route.arms:
        arms = [_arm_cells(arm) for arm in route.arms]
        branch.add(Fitting(table(ARM_COLUMNS, arms, right=ARM_COLUMNS[2:]), [_arm_line(cells) for cells in arms]))
    for funnel in route.funnel:
        branch.add(line("\n".join(funnel_lines(funnel))))
    if rollout is not None and rollout.gates:
        gates = [_gate_cells(gate, rollout.gates) for gate in rollout.gates]
        branch.add(Fitting(table(GATE_COLUMNS, gates, right=GATE_COLUMNS[1:3]), [_gate_line(cells) for cells in gates]))
    if route.verdict is not None:
        style = VERDICT_STYLES.get(route.verdict.word, "")
        branch.add(Text.assemble("verdict ", (route.verdict.word, style), f": {plain(route.verdict.sentence)}"))
    for text in _automation(route, at):
        branch.add(line(text))
    branch.add(line(f"next: {' · '.join(_next_commands(route))}"))
    return tree


def _ended(last: Ending | None) -> str:
    if last is None:
        return ""
    who = f" by {last.actor}" if last.actor else ""
    why = f": {last.reason}" if last.reason else ""
    what = last.winner or ", ".join(last.candidates)
    return f" · the last, {last.strategy} {last.rollout} of {what}, was {last.phase}{who} at {moment(last.at * 1000)}{why}"


def _baking(rollout: RolloutStatus, at: int) -> str:
    left = (rollout.baked_at - at) / 1000
    return f" · bakes for another {duration(left)}" if at and left >= 1 else ""


GATE_COLUMNS = ("GATE", "HARM", "MARGIN", "STATE", "ENOUGH FOR", "N", "STILL NEEDED")


def _gate_cells(gate: GateLine, gates: tuple[GateLine, ...]) -> list[str]:
    several = len({one.candidate for one in gates}) > 1
    twice = len({one.design for one in gates if one.gate == gate.gate}) > 1
    name = " ".join([*([f"{gate.candidate}:"] if several else []), shown_gate(gate.gate), *([f"({gate.design})"] if twice else [])])
    harm = "-" if gate.lower is None and gate.upper is None else harm_interval(gate.lower, gate.upper, unit=gate.unit)
    margin = "-" if gate.margin is None else amount(gate.margin, gate.unit)
    enough = "-" if gate.enough_for is None else percent(gate.enough_for)
    return [name, harm, margin, gate.state, enough, f"{count(gate.n)} {gate.counts}", gate.reason or gate.forecast or "-"]


def _automation(route: RouteStatus, at: int) -> Iterator[str]:
    """What happens by itself, what it waits for, and the one command that clears each wait."""
    move = route.rollout.next if route.rollout else None
    if move is not None:
        yield f"automation ({move.mode}): {move.sentence}"
        for block in move.blocked_by:
            clears = f" · clears it: {block.command}" if block.command else ""
            yield f"waits for {block.barrier}: {block.sentence}{clears}"
    if route.watch is not None:
        watch, left = route.watch, (route.watch.until - at) / 1000
        rest = f"for another {duration(left)}" if at and left >= 1 else "until its watch ends"
        yield f"watch: {watch.backend} may go back to {watch.baseline} {rest} (mode {watch.mode}). {watch.sentence}".rstrip()
    if route.last_rollback is not None and route.last_rollback.ms_to_zero is not None:
        yield f"last rollback by itself: {duration(route.last_rollback.ms_to_zero / 1000)} from the first failure to zero traffic"


ARM_COLUMNS = ("ARM", "ROLE", "ANSWERS", "SHOWN", "OBSERVED 5 MIN", "OBSERVED STAGE", "REQUESTS", "ERRORS")


def _arm_cells(arm: ArmStatus) -> list[str]:
    shares = [percent(arm.answers), percent(arm.shown), percent(arm.observed), percent(arm.observed_stage)]
    return [arm.backend, arm.role, *shares, count(arm.requests), rate(arm.error_rate)]


def _arm_line(cells: list[str]) -> str:
    name, role, answers, shown, lately, stage, requests, errors = cells
    return (
        f"{name} ({role}): answers {answers}, shown {shown} · observed {lately} in 5 min, {stage} in the stage · "
        f"{requests} requests · errors {errors}"
    )


def _gate_line(cells: list[str]) -> str:
    name, harm, margin, state, enough, n, needed = cells
    return f"{name}: {state} · harm {harm}, margin {margin} · enough for {enough} · n {n} · still needed {needed}"


def _next_commands(route: RouteStatus) -> list[str]:
    if route.rollout is None:
        return [f"modelctl shadow {route.name} CANDIDATE", f"modelctl canary {route.name} CANDIDATE --percent 5"]
    return [*(f"modelctl {verb} {route.name}" for verb in route.rollout.verbs), f"modelctl report {route.name}"]


def workers_line(workers: tuple[WorkerStatus, ...]) -> Text:
    """Which table the workers serve from, and which of them are silent or refused one."""
    alive = [worker for worker in workers if worker.alive]
    if not alive:
        start = "start one with modelctl serve or modelctl router"
        return line(f"workers: none is connected, so what is changed here changes nothing for clients · {start}", style="bold red")
    versions = ", ".join(str(version) for version in sorted({worker.version for worker in alive}))
    silent = [f"{worker.worker} is silent" for worker in workers if not worker.alive]
    refused = [f"{worker.worker} refused table {worker.refused}: {worker.why}" for worker in alive if worker.refused]
    return line(" · ".join([f"workers: {len(alive)} connected, table {versions}", *silent, *refused]))


def evidence_line(evidence: Evidence) -> Text:
    """How many records were offered and what became of them."""
    lag = "nothing recorded yet" if evidence.lag is None else f"last recorded {duration(evidence.lag)} ago"
    parts = [f"{name} {count(getattr(evidence, name))}" for name in ("offered", "accepted", "dropped", "committed", "quarantined")]
    parts[2] += evidence.why_dropped
    return line(f"evidence: {' · '.join(parts)} · {lag}")
