"""The loop that lets traffic follow the verdicts: one process of all that run holds the lease and looks at every open rollout.

Every process of them also takes over tables that another one published, so its routers serve what was decided elsewhere.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine
from starlette.concurrency import run_in_threadpool

from modelctl.controlplane.acting.steering import steer
from modelctl.controlplane.acting.taking_back import watch
from modelctl.controlplane.automation.conducting import CONTROLLER
from modelctl.controlplane.automation.watching import watched
from modelctl.controlplane.automation.zero import record_zero
from modelctl.controlplane.fleet import Command, Fleet
from modelctl.controlplane.operations.change import Change
from modelctl.errors import Conflict, LeaseLost, ModelctlError, StoreError
from modelctl.rollout import Phase, Rollout
from modelctl.store import catalog, leases
from modelctl.store.engine import reading, writing
from modelctl.store.leases import Lease

INTERVAL = 1.0
LASTS = 6_000_000
"""How long the lease lasts, in microseconds; it is renewed after a third of it."""
PATIENCE = 4
"""A look that took long is repeated after so many times as long, so that one rollout costs a fifth of a core at most."""

log = logging.getLogger("modelctl.controlplane")


class Controller:
    """Owned by one event loop. `clock` tells Unix microseconds; `holder` is this process, in a word nobody else has."""

    def __init__(self, engine: Engine, fleet: Fleet, *, clock: Callable[[], int], holder: str) -> None:
        self._engine = engine
        self._fleet = fleet
        self._clock = clock
        self._holder = holder
        self._lease: Lease | None = None
        self._silent = False
        self._faults: dict[int, str] = {}
        self._due: dict[int, int] = {}
        self._moved: list[Change[Rollout]] = []

    async def run(self) -> None:
        """Turns every second until it is cancelled. Without a database it waits and goes on."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.turn()
            await asyncio.sleep(max(INTERVAL / 10, began + INTERVAL - loop.time()))

    async def turn(self) -> None:
        """One round: newer tables, the lease, and a look at every rollout that is open or watched."""
        try:
            try:
                await self._turn()
            finally:
                await self._settle()
        except StoreError as error:
            self._waits("the controller waits for the database: %s", error)
        except Exception as error:  # noqa: BLE001 whatever it is, the next round comes
            self._waits("the controller cannot go on: %s", error)
        else:
            if self._silent:
                log.info("the controller goes on")
            self._silent = False

    def _waits(self, said: str, error: Exception) -> None:
        """Says so once, until a round succeeds."""
        if not self._silent:
            log.warning(said, error, exc_info=not isinstance(error, ModelctlError))
        self._silent = True

    async def leave(self) -> None:
        """Gives the lease up, so that the next process need not wait for its end."""
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                await run_in_threadpool(self._release, lease)
            except StoreError as error:
                log.warning("the controller's lease was not given up and ends by itself: %s", error)

    async def _turn(self) -> None:
        table = await run_in_threadpool(self._newer_table)
        if table is not None:
            self._fleet.publish(table)
        self._lease = await run_in_threadpool(self._hold)
        if self._lease is None:
            return
        opened, promoted = await run_in_threadpool(self._subjects)
        subjects = {rollout.id for rollout in (*opened, *promoted)}
        self._due = {rollout: due for rollout, due in self._due.items() if rollout in subjects}
        for rollout in opened:
            await self._attempt(rollout, self._look)
        for rollout in promoted:
            await self._attempt(rollout, self._watch)

    async def _attempt(self, rollout: Rollout, look: Callable[[Rollout], Any]) -> None:
        """A rollout that cannot be looked at must not keep the others from it: its fault is logged once."""
        began = self._clock()
        if self._lease is None or began < self._due.get(rollout.id, 0):  # lost since the round began, or looked at at length
            return
        try:
            await look(rollout)
        except StoreError:
            raise
        except LeaseLost as error:
            log.warning("%s", error)
            self._lease = None
        except Conflict as error:
            log.info("the controller looks at rollout %d again: %s", rollout.id, error)
        except Exception as error:  # noqa: BLE001 whatever it is, the other rollouts go on
            self._fault(rollout, error)
        else:
            self._faults.pop(rollout.id, None)
        now = self._clock()
        self._due[rollout.id] = now + PATIENCE * (now - began)

    async def _look(self, rollout: Rollout) -> None:
        change = await run_in_threadpool(steer, self._engine, rollout.id, at=self._clock(), guard=self._guard)
        if change is not None:
            self._fleet.publish(change.table)
            self._moved.append(change)

    async def _watch(self, rollout: Rollout) -> None:
        change = await run_in_threadpool(watch, self._engine, rollout, at=self._clock(), guard=self._guard)
        if change is not None:
            self._fleet.publish(change.table)

    async def _settle(self) -> None:
        """Waits for the routers once for all that was moved in the round: one that is slow delays no other rollout's verdict."""
        moved, self._moved = self._moved, []
        await asyncio.gather(*(self._conclude(change) for change in moved))

    async def _conclude(self, change: Change[Rollout]) -> None:
        moved = change.subject
        if moved.phase is not Phase.ROLLED_BACK:
            return
        since = moved.closed_at * 1000
        command = Command(version=change.table.version, since=since, bereft=change.bereft)
        convergence = await self._fleet.converged(command)
        try:
            await run_in_threadpool(record_zero, self._engine, moved, convergence=convergence, decided=since)
        except ModelctlError as error:
            log.warning("when the candidates of rollout %d got nothing more was not written down: %s", moved.id, error)

    def _fault(self, rollout: Rollout, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}"
        if self._faults.get(rollout.id) != said:
            log.error(
                "the controller cannot look at rollout %d: %s", rollout.id, said, exc_info=not isinstance(error, ModelctlError)
            )
        self._faults[rollout.id] = said

    def _guard(self, connection: Connection) -> int:
        """Now, in a transaction that holds the lease. Raises LeaseLost."""
        now = self._clock()
        if self._lease is None:
            raise LeaseLost("this process does not hold the controller's lease, so it changes nothing")
        leases.check(connection, self._lease, at=now)
        return now

    def _hold(self) -> Lease | None:
        """The lease, renewed after a third of its time; None while another process has it."""
        now, lease = self._clock(), self._lease
        if lease is not None and now < lease.expires_at - LASTS * 2 // 3:
            return lease
        with writing(self._engine) as connection:
            held = leases.acquire(connection, CONTROLLER, holder=self._holder, at=now, lasts=LASTS)
        if (held is None) != (lease is None):
            log.info("this process %s rollouts", "no longer conducts" if held is None else "conducts")
        return held

    def _release(self, lease: Lease) -> None:
        with writing(self._engine) as connection:
            leases.release(connection, lease)

    def _newer_table(self) -> catalog.StoredTable | None:
        with reading(self._engine) as connection:
            return catalog.newer_table(connection, self._fleet.table.version)

    def _subjects(self) -> tuple[tuple[Rollout, ...], tuple[Rollout, ...]]:
        with reading(self._engine) as connection:
            return catalog.open_rollouts(connection), watched(connection, at=self._clock())
