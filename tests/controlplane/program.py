"""The whole program on a simulated clock: real operations, store, folding and controller; only time and traffic are made up."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.acting.controller import Controller
from modelctl.controlplane.fleet import Fleet
from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.operations.inspecting import read_catalog, read_decisions, read_events, read_rollout
from modelctl.controlplane.operations.moving import Move, move_rollout
from modelctl.controlplane.operations.starting import NewRollout, start_rollout
from modelctl.evidence import Answer, Context, Request, Served
from modelctl.kinds import Outcome
from modelctl.recorder.readings import Judged, ServedReading
from modelctl.recorder.rollups import Fold
from modelctl.rollout import Rollout, Verb
from modelctl.store import summing
from modelctl.store.catalog import Event
from modelctl.store.decisions import Decision
from modelctl.store.engine import writing
from modelctl.traffic import Role
from tests.controlplane.scene import AT, SALT, populate

SECOND = 1_000_000
MINUTE = 60 * SECOND
_REQUEST = Request(b"POST", b"/fraud", b"application/json", b"", b"{}", 2)


class Program:
    """One route `fraud` with the backends a (its baseline), b and c. Times are Unix microseconds."""

    def __init__(self, engine: Engine, *, seed: int = 0) -> None:
        self.engine = engine
        self.now = AT
        self.chance = random.Random(seed)
        self.fleet = Fleet(lambda: self.now, young_for=-1)
        self.controller = self.another("one")
        populate(engine, "a", "b", "c")

    def another(self, holder: str) -> Controller:
        """A controller of another process over the same store."""
        return Controller(self.engine, self.fleet, clock=lambda: self.now, holder=holder)

    def author(self, actor: str = "ann", reason: str = "") -> Author:
        """Somebody, now."""
        return Author(actor=actor, reason=reason, at=self.now)

    def start(self, strategy: str = "canary", *, gates: tuple[str, ...], conduct: Mapping[str, Any], **wanted: Any) -> Rollout:  # noqa: ANN401
        """A rollout with gates; a canary of 1, 5, 20 and 50 % when nothing else is said."""
        ladder = {"percent_bp": 100, "steps_bp": [100, 500, 2000, 5000]}
        order = {"strategy": strategy, "route": "fraud", "candidates": ["b"], "gates": list(gates), "conduct": dict(conduct)}
        order |= {"parameters": ladder} if strategy == "canary" else {}
        asked = msgspec.convert(order | wanted, NewRollout)
        return start_rollout(self.engine, asked, author=self.author(), salt=SALT).subject

    def move(self, verb: Verb, *, actor: str = "ann", reason: str = "", force: bool = False, winner: str = "") -> Rollout:
        """What a person does to the last rollout."""
        move = Move(verb=verb, force=force, winner=winner)
        return move_rollout(self.engine, self.rollout().id, move=move, author=self.author(actor, reason)).subject

    def rollout(self) -> Rollout:
        """The newest one."""
        opened = read_catalog(self.engine).rollouts
        if opened:
            return opened[-1]
        ids = [event.rollout for event in self.events() if event.rollout]
        return read_rollout(self.engine, max(ids))

    def answers(self) -> dict[str, int]:
        """Shares in basis points by backend, as the routers have them."""
        live = read_catalog(self.engine)
        rollout = live.open_rollout("fraud")
        if rollout is None:
            return {live.route("fraud").baseline: 10_000}
        return {arm.backend: arm.answers for arm in rollout.current.arms if arm.answers}

    def events(self) -> list[Event]:
        """The history, oldest first."""
        return list(reversed(read_events(self.engine, None, limit=1000, cursor=None).items))

    def decisions(self) -> tuple[Decision, ...]:
        """Those of the newest rollout."""
        return read_decisions(self.engine, self.rollout().id)

    def serve(self, requests: int, failing: Mapping[str, float]) -> dict[str, tuple[int, int]]:
        """So many requests, split as the route splits now, of which a share fails; gives requests and failures by backend."""
        rollout = read_catalog(self.engine).open_rollout("fraud")
        stage = (rollout.id, rollout.stage) if rollout else (0, 0)
        shares = self.answers()
        drawn = Counter(self.chance.choices(list(shares), list(shares.values()), k=requests))
        counted = {arm: (n, sum(self.chance.random() < failing[arm] for _ in range(n))) for arm, n in drawn.items()}
        with writing(self.engine) as connection:
            for arm, (n, k) in counted.items():
                for failed, times in ((True, k), (False, n - k)):
                    summing.add(connection, _folded(_reading(stage, arm, failed=failed, at=self.now), times))
        return counted

    async def turn(self, seconds: float = 1.0) -> None:
        """Time passes, then the controller looks."""
        self.now += int(seconds * SECOND)
        await self.controller.turn()


def _folded(reading: ServedReading, times: int) -> list[dict[str, Any]]:
    """The rows that so many records of this kind come to: sums add up, so one of them is folded."""
    if not times:
        return []
    fold = Fold({})
    fold.add(reading)
    rows: list[dict[str, Any]] = fold.rows()
    return [row | {name: row[name] * times for name in ("n", "k", "s1", "s2", "sp")} for row in rows]


def _reading(stage: tuple[int, int], backend: str, *, failed: bool, at: int) -> ServedReading:
    """A record of an answer, as the recorder understands it."""
    role = Role.BASELINE if backend == "a" else Role.CANDIDATE
    answer = Answer(backend, 503 if failed else 200, "", 1500, 700, b"application/json", b"", b"{}", 2)
    context = Context("fraud", stage[0], stage[1], 1, role, "split", 5000, b"")
    served = Served(b"0" * 16, b"r", at, context, _REQUEST, answer)
    return ServedReading(served, Judged(Outcome.BACKEND_ERROR if failed else Outcome.OK, (), ""))
