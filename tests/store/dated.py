"""Evidence whose ids tell its time, as a router's do."""

from collections.abc import Sequence

import msgspec

from modelctl.evidence import Compared, Served

DAY = 86_400_000_000


def dated(records: Sequence[Served | Compared], *, days: int = 0) -> list[Served | Compared]:
    """The records as they would be so many days later: time, request id and id are of that day."""
    return [
        msgspec.structs.replace(one, served=_later(one.served, days)) if isinstance(one, Compared) else _later(one, days)
        for one in records
    ]


def _later(one: Served, days: int) -> Served:
    at = one.at + days * DAY
    identity = (at // 1000).to_bytes(6, "big") + one.id[6:]
    return msgspec.structs.replace(one, id=identity, at=at, request_id=one.request_id + (b"-%d" % days if days else b""))
