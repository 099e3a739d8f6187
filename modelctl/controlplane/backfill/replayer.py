"""Sends recorded requests to a candidate, at a bounded rate, and writes the pairs into a spool. No client is involved.

Rows are taken a batch at a time; a batch is sent, its pairs are synced to the disk, and only then the place moves past it. So a
replay that is stopped, or killed, goes on without a gap, and what is sent twice becomes no second pair.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from httpx import AsyncClient
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from modelctl.controlplane.backfill.plane_spool import PlaneSpool
from modelctl.controlplane.backfill.replay_records import compared, outgoing, reason_against, served_again
from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.operations.replaying import Place, Replay, keep_place, rows_behind
from modelctl.controlplane.sending import answer_of, client_of
from modelctl.errors import Conflict, ModelctlError, NotFound
from modelctl.evidence import CONNECT, TLS, Compared, Served

BATCH = 50
MOST_AT_ONCE = 16
MOST_REPLAYS = 4
ROOM_LOOK = 0.2  # seconds between two looks whether the recorder made room
log = logging.getLogger("modelctl.controlplane")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a replay stands. `state` is running, done, stopped or failed; `why` says why it failed.

    `sent` counts pairs; `skipped`, by reason, recorded requests that cannot be sent again. Times are Unix microseconds; `at` is
    that of the last request.
    """

    rollout: int
    route: str
    candidate: str
    baseline: str
    state: str
    why: str
    since: int
    until: int
    at: int
    sent: int
    skipped: dict[str, int]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """At most `rate` requests a second, and `limit` in this run (0: no limit)."""

    rate: float
    limit: int


class _Run:
    """One replay that goes on, or went on until it ended."""

    def __init__(self, replay: Replay, pace: Pace) -> None:
        self.replay = replay
        self.pace = pace
        self.place = replay.place
        self.left = pace.limit
        self.state = "running"
        self.why = ""
        self.task: asyncio.Task[None] | None = None

    def progress(self) -> Progress:
        """As people see it."""
        rollout, place = self.replay.rollout, self.place
        return Progress(
            rollout=rollout.id,
            route=rollout.route,
            candidate=self.replay.candidate.name,
            baseline=rollout.baseline,
            state=self.state,
            why=self.why,
            since=self.replay.since,
            until=self.replay.until,
            at=place.at,
            sent=place.sent,
            skipped=place.skipped,
        )


class Replayer:
    """Owns every replay of this process. `spools` is the folder that the recorder of this machine reads; `chance` names spools."""

    def __init__(self, engine: Engine, spools: Path, *, clock: Callable[[], int], chance: Callable[[], str]) -> None:
        self._engine = engine
        self.spools = spools
        self._clock = clock
        self._chance = chance
        self._runs: dict[int, _Run] = {}

    def start(self, replay: Replay, pace: Pace) -> Progress:
        """Goes on with a replay. Raises Conflict when it runs already, or too many others do."""
        running = [run for run in self._runs.values() if run.state == "running"]
        if any(run.replay.rollout.id == replay.rollout.id for run in running):
            raise Conflict(f"replay {replay.rollout.id} runs already; it can be stopped where it was started (Ctrl-C)")
        if len(running) >= MOST_REPLAYS:
            raise Conflict(f"{MOST_REPLAYS} replays run already: wait until one of them ends")
        self._forget()
        run = self._runs[replay.rollout.id] = _Run(replay, pace)
        run.task = asyncio.create_task(self._run(run))
        return run.progress()

    def progress(self, rollout: int) -> Progress:
        """Raises NotFound when this process runs no such replay."""
        return self._found(rollout).progress()

    async def stop(self, rollout: int) -> Progress:
        """Stops a replay behind its last whole batch; waits for it. Raises NotFound."""
        run = self._found(rollout)
        await _end(run)
        return run.progress()

    async def close(self) -> None:
        """Stops all."""
        for run in self._runs.values():
            await _end(run)

    def _found(self, rollout: int) -> _Run:
        if rollout not in self._runs:
            raise NotFound(f"this control plane runs no replay {rollout}; start it again to go on: modelctl replay")
        return self._runs[rollout]

    def _forget(self) -> None:
        ended = [number for number, run in self._runs.items() if run.state != "running"]
        for number in ended[:-MOST_REPLAYS]:
            del self._runs[number]

    async def _run(self, run: _Run) -> None:
        try:
            await self._send_all(run)
        except asyncio.CancelledError:
            run.state = "stopped"
        except (ModelctlError, OSError) as error:
            run.state, run.why = "failed", str(error)
        except Exception:
            run.state, run.why = "failed", "the replay failed in a way nobody foresaw; the log of the control plane says more"
            log.exception("a replay failed")
        author = Author(actor="replay", reason=run.why or run.state, at=self._clock())
        try:
            await run_in_threadpool(keep_place, self._engine, run.replay.rollout, place=run.place, author=author)
        except ModelctlError as error:
            log.warning("the place of replay %s is not written down: %s", run.replay.rollout.id, error)

    async def _send_all(self, run: _Run) -> None:
        folder = self.spools / f"replay-{run.replay.rollout.id}-{self._chance()[:12]}"
        spool = await run_in_threadpool(PlaneSpool, folder)
        try:
            async with client_of(run.replay.candidate, connections=MOST_AT_ONCE) as client:
                while run.state == "running":
                    await self._batch(run, spool, client=client)
        finally:
            spool.close()

    async def _batch(self, run: _Run, spool: PlaneSpool, *, client: AsyncClient) -> None:
        while await run_in_threadpool(lambda: spool.full):
            await asyncio.sleep(ROOM_LOOK)
        size = min(BATCH, run.left) if run.pace.limit else BATCH
        rows = await run_in_threadpool(rows_behind, self._engine, run.replay, place=run.place, limit=size)
        if not rows:
            run.place = msgspec.structs.replace(run.place, done=True)
            run.state = "done"
            return
        skipped = dict(run.place.skipped)
        fit: list[Served] = []
        for row in rows:
            why = reason_against(row)
            if why:
                skipped[why] = skipped.get(why, 0) + 1
            else:
                fit.append(served_again(row, run.replay.rollout))
        pairs = await _sent(run, fit, client=client)
        if pairs:
            await run_in_threadpool(spool.write, pairs)
        run.place = Place(rows[-1].at, rows[-1].id, run.place.sent + len(pairs), skipped)
        if run.pace.limit:
            run.left -= len(pairs)
            run.state = "stopped" if not run.left else run.state


async def _sent(run: _Run, fit: list[Served], *, client: AsyncClient) -> list[Compared]:
    """The pairs of a batch, in its order. Raises ModelctlError when none of it reached the candidate."""
    backend = run.replay.candidate
    room = asyncio.Semaphore(MOST_AT_ONCE)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def send(place: int, served: Served) -> Compared:
        async with room:
            await asyncio.sleep(began + place / run.pace.rate - loop.time())
            request = outgoing(served, backend, path=run.replay.path, keep=run.replay.keep)
            return compared(served, await answer_of(client, backend, outgoing=request))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send(place, served)) for place, served in enumerate(fit)]
    pairs = [task.result() for task in tasks]
    if pairs and all(pair.shadow.failure in (CONNECT, TLS) for pair in pairs):
        raise NotFound(f"candidate {backend.name!r} cannot be reached at {backend.endpoints[0]}: nothing of this batch is counted")
    await asyncio.sleep(began + len(fit) / run.pace.rate - loop.time())
    return pairs


async def _end(run: _Run) -> None:
    if run.task is not None and not run.task.done() and run.state == "running":
        run.task.cancel()
    if run.task is not None:
        await asyncio.wait([run.task])
