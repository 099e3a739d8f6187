"""`kill -9` at random: of router workers, recorder, control plane and PostgreSQL, one after another, whatever state they are in."""

import os
import signal
from collections import Counter
from contextlib import suppress
from functools import partial
from random import Random
from time import monotonic, sleep
from typing import NamedTuple

from tests.acceptance.postgres import Postgres
from tests.acceptance.program import Program, until

LONGEST_PAUSE = 0.6  # between two kills
LONGEST_OUTAGE = 2.0  # of the whole PostgreSQL server, seconds
WORKER, DATABASE = "router", "postgres"  # as they stand in `Kill.part`
PARTS = (WORKER, "recorder", "controlplane")
POSTGRES_PARTS = (*PARTS, DATABASE, "postgres-process")


class Kill(NamedTuple):
    """What was killed, and when (`time.monotonic`, just before)."""

    part: str
    at: float


class Storm:
    """Kills the processes of `program`, and of `server` if there is one, each kind as often as the others, as `chance` has it."""

    def __init__(self, program: Program, server: Postgres | None, *, chance: Random) -> None:
        self._program = program
        self._server = server
        self._chance = chance
        self._down_until = 0.0
        self.kills: list[Kill] = []

    def rage(self, kills: int) -> None:
        """So many kills; then everything may recover."""
        parts = PARTS if self._server is None else POSTGRES_PARTS
        deck = [parts[number % len(parts)] for number in range(kills)]
        self._chance.shuffle(deck)
        for part in deck:
            sleep(self._chance.uniform(0.01, LONGEST_PAUSE))
            until(partial(self._killed, part), what=f"a {part} to kill")
        if self._server is not None:
            self._server.ready()

    def counts(self) -> Counter[str]:
        """How many kills hit each part."""
        return Counter(kill.part for kill in self.kills)

    def _killed(self, part: str) -> bool:
        """Whether there was a process of it: some are being started again."""
        if self._server is not None and monotonic() > self._down_until:
            self._server.start()
        return self._kill_postgres(part) if part.startswith(DATABASE) else self._kill_part(part)

    def _kill_part(self, part: str) -> bool:
        pids = self._program.pids(part)
        with suppress(ProcessLookupError):
            if pids:
                self._kill_one(part, self._chance.choice(pids))
                return True
        return False

    def _kill_one(self, part: str, pid: int) -> None:
        at = monotonic()
        os.kill(pid, signal.SIGKILL)
        self.kills.append(Kill(part, at))

    def _kill_postgres(self, part: str) -> bool:
        """The server, which stays away for a while, or one of its processes: then it recovers by itself."""
        pids = self._server.processes() if self._server is not None else []
        if self._server is None or len(pids) < 2:
            return False
        if part == DATABASE:
            self.kills.append(Kill(part, monotonic()))
            self._server.kill()
            self._down_until = monotonic() + self._chance.uniform(0.0, LONGEST_OUTAGE)
            return True
        with suppress(ProcessLookupError):
            self._kill_one(part, self._chance.choice(pids[1:]))
            return True
        return False
