"""When the first event of a stream is there (WHATWG HTML 9.2.6), read from bytes that come in any pieces."""

import re
from typing import Final

LIMIT: Final = 1_048_576  # bytes after which nobody looks for an event any more
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n)")
_BOM = b"\xef\xbb\xbf"
_START = 8  # bytes of a line that tell what it is: a byte order mark and a field name with its colon


def is_event_stream(type_: bytes) -> bool:
    """Whether this Content-Type says so."""
    return type_.partition(b";")[0].rstrip().lower() == b"text/event-stream"


class EventScan:
    """An event is there once a blank line follows a line of data. Comments and lone blank lines, with which servers keep a
    connection alive, are none.
    """

    __slots__ = ("_after_cr", "_data", "_line", "_size")

    def __init__(self) -> None:
        self._line = b""  # the beginning of the line that is not whole yet
        self._after_cr = False
        self._data = False
        self._size = 0

    def found(self, parts: list[bytes]) -> bool:
        """Whether the first event ends in these next bytes. Behind LIMIT nobody looks any more."""
        return self._size <= LIMIT and any(self._ends_in(part) for part in parts)

    def _ends_in(self, part: bytes) -> bool:
        self._size += len(part)
        if self._after_cr and part:
            self._after_cr = False
            part = part.removeprefix(b"\n")
        if not part:
            return False
        self._after_cr = part.endswith(b"\r")
        text = self._line + part
        end = 0
        for match in _LINE.finditer(text):
            end = match.end()
            if self._is_end(match[1]):
                return True
        self._line = text[end : end + _START]
        return False

    def _is_end(self, line: bytes) -> bool:
        if line:
            line = line.removeprefix(_BOM)
            self._data = self._data or line == b"data" or line.startswith(b"data:")
            return False
        data, self._data = self._data, False
        return data
