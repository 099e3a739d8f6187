"""The one table from what went wrong to the exit code and the hint that people get.

A program that runs `modelctl` decides by the code alone, so a code never changes its meaning.
"""

from enum import IntEnum
from typing import NamedTuple

import httpx

from modelctl.errors import (
    Ambiguous,
    Conflict,
    ControlPlaneUnreachable,
    GateNotPassed,
    InvalidInput,
    InvalidSettings,
    ModelctlError,
    NotAuthorised,
    NotFound,
    SchemaOutdated,
    StaleRevision,
    StoreError,
)


class Exit(IntEnum):
    """What the exit code of `modelctl` says."""

    DONE = 0
    REFUSED = 1  # refused, or failed
    USAGE = 2
    INCONCLUSIVE = 3  # or timed out
    NOT_AUTHORISED = 4
    CONFLICT = 5
    UNREACHABLE = 6
    INTERRUPTED = 130


class TimedOut(ModelctlError):
    """What was waited for did not come in time. Nothing is wrong; nothing was changed."""

    code = "timed-out"


class Undecided(ModelctlError):
    """What was waited for does not come by itself: the evidence ran out without proof, and a person decides."""

    code = "undecided"


class Rule(NamedTuple):
    """How one class of errors leaves the program."""

    error: type[Exception]
    exit: Exit
    hint: str


START = "start one with `modelctl serve`, or say where it is with --url or MODELCTL_URL"

# The first rule whose class fits is taken, so a class stands before the classes it inherits from.
EXITS: tuple[Rule, ...] = (
    Rule(TimedOut, Exit.INCONCLUSIVE, ""),
    Rule(Undecided, Exit.INCONCLUSIVE, ""),
    Rule(InvalidSettings, Exit.USAGE, "modelctl serve --help names the settings"),
    Rule(Ambiguous, Exit.USAGE, ""),
    Rule(InvalidInput, Exit.USAGE, ""),
    Rule(NotFound, Exit.REFUSED, ""),
    Rule(StaleRevision, Exit.CONFLICT, "look again with `modelctl status`, then repeat the command if you still want it"),
    Rule(GateNotPassed, Exit.REFUSED, ""),
    Rule(Conflict, Exit.CONFLICT, ""),
    Rule(NotAuthorised, Exit.NOT_AUTHORISED, "set MODELCTL_KEY to the key the control plane was started with"),
    Rule(ControlPlaneUnreachable, Exit.UNREACHABLE, START),
    Rule(SchemaOutdated, Exit.REFUSED, "run `modelctl db upgrade`"),
    Rule(StoreError, Exit.REFUSED, "the control plane runs, its database does not: see `modelctl doctor`"),
    Rule(ModelctlError, Exit.REFUSED, ""),
    Rule(httpx.TransportError, Exit.UNREACHABLE, START),
    Rule(httpx.HTTPError, Exit.REFUSED, ""),
    Rule(httpx.InvalidURL, Exit.USAGE, ""),
    Rule(OSError, Exit.REFUSED, ""),
)

# What `main` turns into one sentence; anything else is a fault of this program and shows its traceback.
EXPECTED: tuple[type[Exception], ...] = tuple(rule.error for rule in EXITS)


def rule_for(error: Exception) -> Rule:
    """The rule that decides how `error`, one of EXPECTED, leaves the program."""
    return next(rule for rule in EXITS if isinstance(error, rule.error))
