"""What stands in the database, read with SQL and nothing of the program's own."""

from collections.abc import Iterable
from time import monotonic, sleep
from typing import Any

import msgspec
from sqlalchemy import Row, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from tests.acceptance.load import Reply
from tests.acceptance.program import PATIENCE, until


class Ledger:
    """The database of one program."""

    def __init__(self, url: str) -> None:
        driver = "postgresql+psycopg" if url.startswith("postgresql") else "sqlite"
        self._engine = create_engine(make_url(url).set(drivername=driver), poolclass=NullPool)

    def rows(self, query: str, **values: object) -> list[Row[Any]]:
        """What `query` finds."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(query), values))

    def change(self, statement: str, **values: object) -> None:
        """What nothing but time could do."""
        with self._engine.begin() as connection:
            connection.execute(text(statement), values)

    def one(self, query: str, **values: object) -> Any:  # noqa: ANN401 whatever was asked for
        """The only value that `query` finds."""
        ((value,),) = self.rows(query, **values)
        return value

    def version(self) -> int:
        """Of the newest routing table."""
        return int(self.one("SELECT coalesce(max(version), 0) FROM routing_table"))

    def request_ids(self, prefix: str) -> list[str]:
        """Of all predictions whose request id begins so; an id that is there twice comes twice."""
        found = self.rows("SELECT request_id FROM prediction WHERE request_id LIKE :like", like=f"{prefix}-%")
        return [row.request_id for row in found]

    def recorded(self, replies: Iterable[Reply], prefix: str) -> None:
        """Returns when every answered request has its prediction; fails unless it is exactly one, and there are no others."""
        answered = sorted(reply.ask.id for reply in replies if reply.good)
        until(lambda: len(self.request_ids(prefix)) >= len(answered), what=f"{len(answered)} predictions")
        assert sorted(self.request_ids(prefix)) == answered

    def spools(self) -> list[Row[Any]]:
        """The counts of every spool."""
        return self.rows("SELECT name, offered, accepted, dropped, committed, quarantined, duplicate, corrupt_bytes FROM spool")

    def conserved(self) -> None:
        """Returns when every law of conservation holds, which they may not while records are under way. Fails with those broken."""
        deadline = monotonic() + PATIENCE
        while (broken := self.broken_laws()) and monotonic() < deadline:
            sleep(0.05)
        assert broken == []

    def broken_laws(self) -> list[str]:
        """The spools whose counts do not add up (yet)."""
        broken = []
        for spool in self.spools():
            dropped = sum(msgspec.json.decode(spool.dropped).values())
            if spool.offered != spool.accepted + dropped:
                broken.append(f"{spool}: offered is not accepted + dropped")
            if spool.accepted != spool.committed + spool.quarantined + spool.duplicate:
                broken.append(f"{spool}: accepted is not committed + quarantined + duplicate")
        return broken + self._broken_sums()

    def _broken_sums(self) -> list[str]:
        """What was summed up must be what stands in the rows."""
        apart = "reason NOT IN ('preview', 'rule', 'addressed') AND outcome <> 'cancelled'"
        counted = self.one(f"SELECT count(*) FROM prediction WHERE {apart}")  # noqa: S608  (our own words)
        summed = self.one("SELECT coalesce(sum(n), 0) FROM rollup WHERE metric = 'requests'")
        recorded = self.one("SELECT (SELECT count(*) FROM prediction) + (SELECT count(*) FROM pair)")
        committed = self.one("SELECT coalesce(sum(committed), 0) FROM spool")
        total = self.one("SELECT coalesce(sum(n), 0) FROM rollup_total WHERE metric = 'requests'")
        broken = [f"the totals hold {total} requests of {summed}"] if total != summed else []
        broken += [f"{summed} requests are summed up, {counted} are recorded"] if summed != counted else []
        return broken + ([f"{committed} records are committed, {recorded} rows are there"] if committed != recorded else [])
