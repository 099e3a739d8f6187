"""The application: every endpoint, behind the guard, with one form for everything that goes wrong."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelctl.controlplane.acting.controller import Controller
from modelctl.controlplane.api import (
    backends,
    decisions,
    evidence,
    exports,
    freezes,
    imports,
    metrics,
    quarantine,
    replays,
    rollouts,
    routes,
    rules,
    tables,
    watch,
)
from modelctl.controlplane.api.call import Call, Endpoint, Plane
from modelctl.controlplane.api.guard import Guard
from modelctl.controlplane.api.openapi import document
from modelctl.controlplane.api.problems import problem_response
from modelctl.controlplane.api.sessions import Sessions
from modelctl.controlplane.automation.retention import Retention
from modelctl.controlplane.backfill.replayer import Replayer
from modelctl.controlplane.fleet import Fleet
from modelctl.controlplane.metrics.board import Board
from modelctl.controlplane.operations.inspecting import read_catalog, read_table
from modelctl.controlplane.pulse import Pulse
from modelctl.endpoint import reach_of
from modelctl.errors import StoreError
from modelctl.settings import Settings

RETRY_SECONDS = 1.0
log = logging.getLogger("modelctl.controlplane")


class _Name(Convertor[str]):
    """A name or an id in a path: a colon ends it, because a verb follows."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("name", _Name())


class Alive(msgspec.Struct, frozen=True):
    """The process answers; `status` is ok."""

    status: str = "ok"


async def livez(_: Call) -> Alive:
    return Alive()


async def readyz(call: Call) -> Alive:
    """Ready when the database answers. Routers are served without it, commands are not."""
    await call.run(read_catalog)
    return Alive()


async def openapi(_: Call) -> Response:
    return Response(msgspec.json.encode(document(ENDPOINTS)), media_type="application/json")


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(method="GET", path="/livez", handle=livez, summary="Whether the process answers", answer=Alive),
    Endpoint(method="GET", path="/readyz", handle=readyz, summary="Whether commands can be executed", answer=Alive),
    Endpoint(method="GET", path="/openapi.json", handle=openapi, summary="This document"),
    *backends.ENDPOINTS,
    *routes.ENDPOINTS,
    *rollouts.ENDPOINTS,
    *decisions.ENDPOINTS,
    *freezes.ENDPOINTS,
    *rules.ENDPOINTS,
    *evidence.ENDPOINTS,
    *exports.ENDPOINTS,
    *imports.ENDPOINTS,
    *quarantine.ENDPOINTS,
    *replays.ENDPOINTS,
    *tables.ENDPOINTS,
    *metrics.ENDPOINTS,
    *watch.ENDPOINTS,
)


def unix_microseconds() -> int:
    """Now."""
    return time.time_ns() // 1_000


def random_salt() -> str:
    """32 hex digits that nobody can guess."""
    return secrets.token_hex(16)


def create_app(
    engine: Engine, settings: Settings, *, fleet: Fleet | None = None, chance: Callable[[], str] = random_salt
) -> Starlette:
    """The API over `engine`, with the controller beside it. Its fleet is `app.state.plane.fleet`; while it starts it loads the
    newest table from the store."""
    fleet = fleet or Fleet(unix_microseconds)
    reach = reach_of(settings.backend_networks)
    replayer = Replayer(engine, settings.spool_dir, clock=unix_microseconds, chance=random_salt)
    pulse = Pulse(engine, fleet, clock=unix_microseconds)
    sessions = Sessions(settings.key)
    plane = Plane(
        engine=engine,
        fleet=fleet,
        board=Board(),
        clock=unix_microseconds,
        chance=chance,
        reach=reach,
        replayer=replayer,
        pulse=pulse,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        controller = Controller(engine, fleet, clock=plane.clock, holder=random_salt())
        retention = Retention(engine, clock=plane.clock, holder=random_salt())
        tasks = [asyncio.create_task(task) for task in (load_table(plane), controller.run(), retention.run(), pulse.run())]
        yield
        await replayer.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await controller.leave()

    calls = [Route(one.path, one.serve(plane), methods=[one.method]) for one in ENDPOINTS]
    app = Starlette(
        routes=calls,
        middleware=[Middleware(Guard, key=settings.key, sessions=sessions, clock=plane.clock)],
        exception_handlers={HTTPException: _answer_problem, Exception: _answer_problem},
        lifespan=lifespan,
    )
    app.state.plane = plane
    app.state.sessions = sessions
    return app


async def load_table(plane: Plane) -> None:
    """Puts the store's newest table into the fleet; tries again for as long as the database does not answer."""
    while True:
        try:
            table = await run_in_threadpool(read_table, plane.engine)
        except StoreError as error:
            log.warning("the newest table is not loaded yet: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        if table is not None:
            plane.fleet.resume(table)
        return


async def _answer_problem(_: Request, error: Exception) -> Response:
    return problem_response(error)
