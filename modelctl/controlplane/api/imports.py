"""Predictions of another store, or of the past, over HTTP."""

from collections.abc import AsyncIterator

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.api.problems import Refused
from modelctl.controlplane.backfill.imported import Known
from modelctl.controlplane.backfill.importing import Importer, lines_of
from modelctl.controlplane.operations.importing import note_import
from modelctl.controlplane.operations.inspecting import read_catalog
from modelctl.errors import NotFound
from modelctl.store import engine as store
from modelctl.store import reading

NDJSON = "application/x-ndjson"


class ImportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`apart` 1: what fell under a rollout is taken as traffic outside of rollouts. `source` says where the lines are from."""

    apart: int = 0
    source: str = ""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is: lines that were taken, and of these the new ones, those known before, and those set aside."""

    name: str
    taken: int
    recorded: int = 0
    known: int = 0
    quarantined: int = 0


async def import_predictions(call: Call) -> Imported:
    if call.request.headers.get("content-type", "").partition(";")[0].strip().lower() != NDJSON:
        raise Refused(415, f"send the lines with content-type {NDJSON}")
    catalog = await call.run(read_catalog)
    routes, backends = ({entry.name for entry in entries} for entries in (catalog.routes, catalog.backends))
    known = Known(frozenset(routes), frozenset(backends), apart=bool(call.query.apart))
    name = f"import-{call.plane.chance()[:16]}"
    importer = Importer(call.plane.replayer.spools / name, known)
    pieces = call.request.stream()
    try:
        await importer.take(lines_of(pieces))
    finally:
        await _drain(pieces)
        if importer.taken:
            source = call.query.source or "an import"
            await call.run(note_import, name, taken=importer.taken, source=source, author=call.author())
    return Imported(name=name, taken=importer.taken)


async def show_import(call: Call) -> Imported:
    return await call.run(progress_of, call.name(), kind="import-")


def progress_of(engine: Engine, name: str, *, kind: str) -> Imported:
    """How far the recorder is with the spool `name`, which begins with `kind`. Raises NotFound."""
    with store.reading(engine) as connection:
        found = next((one for one in reading.spools(connection) if one.name == name), None)
    if found is None or not name.startswith(kind):
        raise NotFound(f"the recorder has read nothing of {name!r} yet: does one run on the machine of this control plane?")
    return Imported(name=name, taken=found.accepted, recorded=found.committed, known=found.duplicate, quarantined=found.quarantined)


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """An answer that comes before all was sent would be lost with the connection."""
    async for _ in pieces:
        pass


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/predictions:import",
        handle=import_predictions,
        summary="Take exported predictions (application/x-ndjson): recorded once by their id, outside of rollouts",
        query=ImportQuery,
        answer=Imported,
        status=202,
    ),
    Endpoint(
        method="GET",
        path="/v1/imports/{name:name}",
        handle=show_import,
        summary="How far an import is",
        answer=Imported,
    ),
)
