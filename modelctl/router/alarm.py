"""Says that evidence is being dropped, and when it is kept again: a line at either end, not one for each batch."""

from pathlib import Path

from modelctl.router.roster import Report

PAUSE = 10.0
"""Seconds from one beginning to the next that is told: a disk that fails now and then does not fill the log."""


class Alarm:
    """Of the spool in `folder`. `now` is seconds of any clock that does not go back."""

    def __init__(self, report: Report, folder: Path) -> None:
        self._report = report
        self._folder = folder
        self._count = 0
        self._told = False
        self._began = -PAUSE

    def dropped(self, count: int, why: str, *, now: float) -> None:
        """So many records more."""
        self._count += count
        if not self._told and now - self._began >= PAUSE:
            self._told = True
            self._began = now
            self._report("evidence-dropped", f"what clients are answered is not recorded: {why} ({self._folder})")

    def kept(self) -> None:
        """A record was written."""
        if self._told:
            self._report("evidence-kept", f"records are written again; {self._count} were dropped")
            self._told = False
        self._count = 0
