"""What came of a command, in sentences. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from modelctl.controlplane.dashboard.words import latency
from modelctl.controlplane.fleet import Convergence


def outcome(done: str, value: Mapping[str, Any]) -> tuple[str, ...]:
    """What was done, and where the routers stand; `value` is what the API answered."""
    sentences = [done]
    if "convergence" in value:
        sentences += _routers(msgspec.convert(value["convergence"], Convergence))
    return (" · ".join(sentences), *value.get("inferred", ()))


def _routers(found: Convergence) -> Iterator[str]:
    total = len(found.workers) + len(found.laggards)
    if not total:
        yield f"table {found.version} is saved, but no router is connected to serve from it"
        return
    yield f"table {found.version} live on {len(found.workers)} of {total} workers after {latency(found.elapsed_ms * 1000)}"
    yield from (f"{late.worker} {late.reason}" for late in found.laggards)
    for backend in dict.fromkeys(name for worker in found.workers for name in worker.last_request_ms):
        sent = [when for worker in found.workers if (when := worker.last_request_ms.get(backend)) is not None]
        if sent:
            yield f"the last request to {backend} was sent {latency(max(sent) * 1000)} after the command"
        else:
            yield f"no request was sent to {backend} after the command"
