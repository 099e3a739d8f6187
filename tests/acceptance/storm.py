"""`kill -9` at random: of router workers, recorder, control plane and PostgreSQL, one after another, whatever state they are in."""

import os
import signal
from collections import Counter
from contextlib import suppress
from random import Random
from time import monotonic, sleep
from typing import NamedTuple

from tests.acceptance.postgres import Postgres
from tests.acceptance.program import Program

LONGEST_PAUSE = 0.5  # between two kills
LONGEST_OUTAGE = 2.0  # of the whole PostgreSQL server, seconds
WHOLE_SERVER = 0.5  # of the kills of PostgreSQL; the others hit one of its processes


class Kill(NamedTuple):
    """What was killed, and when (`time.monotonic`, just before)."""

    part: str
    at: float


class Storm:
    """Kills the processes of `program`, and of `server` if there is one, as `chance` has it."""

    def __init__(self, program: Program, server: Postgres | None, *, chance: Random) -> None:
        self._program = program
        self._server = server
        self._chance = chance
        self._down_until = 0.0
        self.kills: list[Kill] = []

    def rage(self, kills: int) -> None:
        """So many kills; then everything may recover."""
        parts = ["router", "recorder", "controlplane", *(["postgres"] if self._server is not None else [])]
        while len(self.kills) < kills:
            sleep(self._chance.uniform(0.01, LONGEST_PAUSE))
            self._revive()
            part = self._chance.choice(parts)
            at = monotonic()
            if self._kill_postgres() if part == "postgres" else self._kill_part(part):
                self.kills.append(Kill(part, at))
        self._revive(wait=True)

    def counts(self) -> Counter[str]:
        """How many kills hit each part."""
        return Counter(kill.part for kill in self.kills)

    def _kill_part(self, part: str) -> bool:
        """A process of it, if one runs at this moment: some are being started again."""
        pids = self._program.pids(part)
        if not pids:
            return False
        with suppress(ProcessLookupError):
            os.kill(self._chance.choice(pids), signal.SIGKILL)
            return True
        return False

    def _kill_postgres(self) -> bool:
        if self._server is None or self._down_until or not self._server.processes():
            return False
        if self._chance.random() < WHOLE_SERVER:
            self._server.kill()
            self._down_until = monotonic() + self._chance.uniform(0.0, LONGEST_OUTAGE)
        else:
            self._server.kill_one(self._chance)
        return True

    def _revive(self, *, wait: bool = False) -> None:
        if self._server is not None and self._down_until and (wait or monotonic() > self._down_until):
            self._server.start()
            self._down_until = 0.0
