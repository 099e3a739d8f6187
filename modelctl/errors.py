"""Every error that modelctl raises on purpose.

    ModelctlError
      InvalidInput            an argument, body, header or configuration value is wrong; nothing was changed
        InvalidSettings       the settings of a process; all faults at once
        InvalidTable          a routing table a router must not serve from
        Ambiguous             the input fits several things; the message names the exact commands
      NotFound                a name or id that nothing has
      Conflict                the thing exists already, is in use, or was changed by somebody else
        IllegalMove           a verb that the rollout's phase does not allow
        StaleRevision         `If-Match` names a revision that is no longer the current one
        GateNotPassed         more exposure, while its gate is not passed, in a freeze, or without the approvals it needs
        LeaseLost             somebody else does now what only one process may do
        UnderWay              the same command is being carried out, or was when its control plane ended
      NotAuthorised           no key, or a wrong one
      StoreError              the database is unreachable or answers with an error
        SchemaOutdated        the database's schema is not this program's
        Busy                  somebody else holds a lock, and is not kept waiting for it
      ControlPlaneUnreachable the control plane does not answer
      Corrupt                 bytes that are not what their checksum or grammar says

The message of an error is for people: what is wrong, why, and what to do. Its `code` is for programs and never changes.
Each edge has one table from these classes to its protocol: `controlplane.api.problems` (HTTP), `cli.exits` (exit codes).
"""

from typing import ClassVar


class ModelctlError(Exception):
    """The root; `str(error)` is the sentence shown to people."""

    code: ClassVar[str] = "error"


class InvalidInput(ModelctlError, ValueError):
    code: ClassVar[str] = "invalid-input"


class InvalidSettings(InvalidInput):
    """`faults` holds one sentence per wrong setting."""

    code: ClassVar[str] = "invalid-settings"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class InvalidTable(InvalidInput):
    code: ClassVar[str] = "invalid-table"


class Ambiguous(InvalidInput):
    code: ClassVar[str] = "ambiguous"


class NotFound(ModelctlError):
    code: ClassVar[str] = "not-found"


class Conflict(ModelctlError):
    code: ClassVar[str] = "conflict"


class IllegalMove(Conflict):
    code: ClassVar[str] = "illegal-move"


class StaleRevision(Conflict):
    code: ClassVar[str] = "stale-revision"


class GateNotPassed(Conflict):
    """The message's lines name what is missing, and the command that goes ahead all the same."""

    code: ClassVar[str] = "gate-not-passed"


class LeaseLost(Conflict):
    code: ClassVar[str] = "lease-lost"


class UnderWay(Conflict):
    code: ClassVar[str] = "under-way"


class NotAuthorised(ModelctlError):
    code: ClassVar[str] = "not-authorised"


class StoreError(ModelctlError):
    code: ClassVar[str] = "store-error"


class SchemaOutdated(StoreError):
    code: ClassVar[str] = "schema-outdated"


class Busy(StoreError):
    """A lock that somebody else holds was not had in the time that others may be kept waiting for."""

    code: ClassVar[str] = "busy"


class ControlPlaneUnreachable(ModelctlError):
    code: ClassVar[str] = "control-plane-unreachable"


class Corrupt(ModelctlError):
    code: ClassVar[str] = "corrupt"
