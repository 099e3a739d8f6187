"""The task that keeps to the routes' retention: one process of all that run sweeps every ten minutes, in small steps."""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from modelctl.errors import StoreError
from modelctl.store import leases
from modelctl.store.engine import writing
from modelctl.store.sweep import Sweep, Wish, sweep_of

INTERVAL = 600.0
LASTS = 1_800_000_000
"""Microseconds for which a process keeps the task: a sweep that takes longer goes on, and another one beside it does no harm."""
RETENTION = "retention"

log = logging.getLogger("modelctl.controlplane")


class Retention:
    """Owned by one event loop. `clock` tells Unix microseconds; `holder` is this process, in a word nobody else has."""

    def __init__(self, engine: Engine, *, clock: Callable[[], int], holder: str) -> None:
        self._engine = engine
        self._clock = clock
        self._holder = holder

    async def run(self, interval: float = INTERVAL) -> None:
        """Sweeps until it is cancelled, first after one interval of seconds."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.sweep()
            except StoreError as error:
                log.warning("old evidence stays until the next sweep: %s", error)
            except Exception:
                log.exception("old evidence stays until the next sweep")

    async def sweep(self) -> None:
        """One pass, unless another process has the task. Raises StoreError."""
        sweep = await run_in_threadpool(self._begin)
        if sweep is None:
            return
        while await run_in_threadpool(sweep.step):
            await asyncio.sleep(sweep.pace.pause)
        if any(sweep.removed[:4]):
            gone = sweep.removed
            log.info("removed %d predictions, %d pairs, %d feedback by the routes' retention", *gone[:3])

    def _begin(self) -> Sweep | None:
        now = self._clock()
        with writing(self._engine) as connection:
            held = leases.acquire(connection, RETENTION, holder=self._holder, at=now, lasts=LASTS)
        return None if held is None else sweep_of(self._engine, Wish(), at=now)
