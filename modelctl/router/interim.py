"""Interim answers (1xx): what they may say, and what of them reaches a client (RFC 9110 15.2).

100 is the router's own business and 103 (RFC 8297) is forwarded to HTTP/1.1 clients; a 101 ends HTTP on a connection that asked for
it (see `tunnel`); the others are swallowed.
"""

from typing import Final

from modelctl.router.answer_head import CODING, CONNECTION, KEEP, LENGTH, AnswerHead, answer_field
from modelctl.router.head import UPGRADE_FIELDS, RequestHead, without_named

SWITCHING: Final = 101
EARLY_HINTS: Final = 103
PROTOCOL: Final = b"websocket"  # the only one that is switched to
MAX_INTERIM: Final = 16  # of one answer; a server that sends more is not getting anywhere
MAX_INTERIM_BYTES: Final = 65_536  # of all of them together
_HINTS_LINE = b"HTTP/1.1 103 Early Hints\r\n"


def asks_for_tunnel(head: RequestHead) -> bool:
    """Whether a request that names a protocol may get it. Any other is answered as plain HTTP (RFC 9110 7.8 leaves us free)."""
    plain = head.method == b"GET" and head.version == "1.1" and not head.length and head.codings is None
    return plain and head.protocol == PROTOCOL and b"upgrade" in (head.connection or ())


class WrongInterimError(Exception):
    """An interim answer that nobody asked for, that has a body, or that is one too many."""


class Interim:
    """One interim head. `fields` are the lines to forward, each with its CR LF; `protocol` is what a 101 switches to, in lower
    case, b"" for none or several; `framed` says that it announces a body, which no interim answer has.
    """

    __slots__ = ("fields", "framed", "protocol")

    def __init__(self, fields: bytes, *, protocol: bytes, framed: bool) -> None:
        self.fields = fields
        self.protocol = protocol
        self.framed = framed


def read_interim(head: bytes) -> Interim:
    """The head without the blank line behind it. llhttp has checked its lines."""
    lines: list[bytes] = []
    named: list[bytes] = []
    upgrades: list[bytes] = []
    framed = False
    for line in head.split(b"\r\n")[1:]:
        field = answer_field(line)
        if field.use == CONNECTION:
            named += [token.strip() for token in field.value.lower().split(b",")]
        elif field.use == CODING or (field.use == LENGTH and field.value != b"0"):
            framed = True
        elif field.use & KEEP:
            lines.append(line + b"\r\n")
        elif line[:8].lower() == b"upgrade:":
            upgrades.append(field.value.lower())
    protocol = upgrades[0] if len(upgrades) == 1 and b"upgrade" in named else b""
    return Interim(b"".join(without_named(lines, named)), protocol=protocol, framed=framed)


class Interims:
    """Those before one answer."""

    __slots__ = ("_count", "_size")

    def __init__(self) -> None:
        self._count = 0
        self._size = 0

    def add(self, head: bytes, status: int, *, switches: bool) -> Interim:
        """The next one; `switches` says that the client asked for another protocol. Raises WrongInterimError."""
        interim = read_interim(head)
        self._count += 1
        self._size += len(head)
        too_much = self._count > MAX_INTERIM or self._size > MAX_INTERIM_BYTES
        unasked = status == SWITCHING and not (switches and interim.protocol == PROTOCOL)
        if too_much or unasked or interim.framed or status < 100:
            raise WrongInterimError
        return interim


def early_hints(interim: Interim) -> bytes:
    """A 103 as a client gets it."""
    return b"%b%b\r\n" % (_HINTS_LINE, interim.fields)


def switching(answer: AnswerHead, own: bytes) -> bytes:
    """A 101 as a client gets it; `own` are the router's field lines."""
    return b"".join((answer.start, *UPGRADE_FIELDS, own, b"\r\n"))
