"""How much more memory a router may use, as docs/behavior.md says."""

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20

# Of each, in bytes of resident memory; the words are those of the table.
IDLE: Final = 20 * KIB
SLOW_READER: Final = 256 * KIB
SLOW_UPLOAD: Final = 384 * KIB
LONG_HEAD: Final = 64 * KIB
AHEAD: Final = MIB
LONG_BODY: Final = 4 * MIB
ENDLESS_ANSWER: Final = 1 * MIB

BOUNDS: Final = {
    "an idle connection": IDLE,
    "a client that does not read its answer": SLOW_READER,
    "an upload that its backend does not read": SLOW_UPLOAD,
    "a head without end": LONG_HEAD,
    "requests sent ahead": AHEAD,
    "one body of any length": LONG_BODY,
    "an answer whose head or framing has no end": ENDLESS_ANSWER,
}
