"""What llhttp lets pass and only the bytes of a read can show. Next to nothing on the common path."""

import re

import httptools

from modelctl.router.head import RequestHead
from modelctl.router.refusal import Refusal

_LINE_ENDS = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_SIZE = re.compile(rb"[0-9A-Fa-f]+")
_MAX_BLANK = 64  # bytes of empty lines in one read before a request; a client sends two at most
_OTHERS = (b" RTSP/", b" ICE/")
_HUGE = 1 << 60  # bytes that no chunk has: a size of this order is meant for a parser's integers


class RawRead:
    """The bytes of the read that is being parsed, and what earlier reads left open."""

    def __init__(self) -> None:
        self.data = b""
        self.chunk = -1  # bytes that came of the chunk whose size came in this read; -1 when there is none
        self._earlier = b""  # of the head that is arriving
        self.blank = b""  # a CR before a request line that wants its LF

    def take(self, data: bytes, *, between: bool) -> None:
        """A new read. Raises HttpParserError when it comes `between` messages and begins with line ends that are not whole.

        An empty line before a request is read past (RFC 9112 2.2); llhttp skips every CR and LF there, also a bare one.
        """
        self.data = data
        if between and (self.blank or data[0] in _LINE_ENDS):
            well, self.blank = blank_lines(self.blank + data)
            if not well:
                raise httptools.HttpParserError("a bare CR or LF before the request line")

    def keep(self, *, began: bool) -> None:
        """This read ends in a head, which `began` in it."""
        self._earlier = self.data if began else self._earlier + self.data

    def drop(self) -> None:
        """The head that is arriving is refused."""
        self._earlier = b""

    def check_head(self, head: RequestHead, limit: int) -> Refusal | None:
        """What the parser does not tell of a head. Most stand first in their read, say HTTP, and are small."""
        data, self._earlier = self._earlier + self.data if self._earlier else self.data, b""
        at = len(head.method) + len(head.target) + 2
        first = data[at : at + 5] == b"HTTP/"
        if not first and other_protocol(data, head.target):
            return Refusal.BAD_REQUEST
        if len(data) > limit:
            size = data.find(_HEAD_END, at) if first else head_size(data, head.method, target=head.target)
            return Refusal.HEAD_TOO_LARGE if size > limit else None
        return None

    def on_chunk_header(self) -> None:
        """Called by the parser."""
        self.chunk = 0

    def on_chunk_complete(self) -> None:
        """Called by the parser."""
        self.chunk = -1

    def check_chunk(self, arrived: int, limit: int) -> Refusal | None:
        """What an open chunk announces counts like a length: of a body of `arrived` bytes so far, up to `limit`."""
        rest, self.chunk = self.chunk, -1
        size = announced(self.data, rest)
        if arrived - rest + size <= limit:
            return None
        return Refusal.BAD_REQUEST if size >= _HUGE else Refusal.BODY_TOO_LARGE


def blank_lines(data: bytes) -> tuple[bool, bytes]:
    """Whether what stands before a request line is empty lines only, and a CR that still wants its LF."""
    blank = data[: len(data) - len(data.lstrip(_LINE_ENDS))]
    if len(blank) > _MAX_BLANK:
        return False, b""
    odd = blank.replace(b"\r\n", b"")
    if odd == b"\r" and len(blank) == len(data) and data.endswith(b"\r"):
        return True, odd
    return not odd, b""


def other_protocol(data: bytes, target: bytes) -> bool:
    """Whether the request for `target` in `data` is of RTSP or ICE, which llhttp reads as well and gives a version of."""
    return any(target + name in data for name in _OTHERS)


def announced(data: bytes, rest: int) -> int:
    """The size in the chunk line that ends `rest` bytes before the end of `data`; 0 when there is no whole one.

    What is no size there is a trailer.
    """
    end = len(data) - rest - 2
    start = data.rfind(_LINE_ENDS, 0, end) if end > 0 else -1
    if start < 0 or data[end : end + 2] != _LINE_ENDS:
        return 0
    digits = data[start + 2 : end].partition(b";")[0]
    return int(digits, 16) if _SIZE.fullmatch(digits) else 0


def head_size(data: bytes, method: bytes, *, target: bytes) -> int:
    """Bytes of the head of this request, which is in `data` and perhaps not first there; 0 when it is not found."""
    start = data.rfind(b"%b %b HTTP/1." % (method, target))
    return data.find(_HEAD_END, start) - start if start >= 0 else 0
