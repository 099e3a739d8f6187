"""The bytes of an answer as a JSON document: content coding undone, and read as tolerantly as the servers write.

Several servers write bare `NaN` and `Infinity`, and none can be trusted about its content type. So a body is read by what
it is: first strictly and fast, then tolerantly.
"""

import json
import zlib
from collections.abc import Callable, Mapping

import msgspec

from modelctl.errors import Corrupt
from modelctl.evidence import Answer, Request

DECODED_LIMIT = 16 * 1024 * 1024
_CODINGS_LIMIT = 2
_MEMBERS_LIMIT = 16
_WHOLE_LIMIT = 300
_GZIP, _ZLIB, _RAW = 31, 15, -15


def decoded(answer: Answer | Request) -> bytes:
    """The whole body without its content coding, at most 16 MiB. Raises Corrupt."""
    if len(answer.body) < answer.size:
        raise Corrupt(
            f"only {len(answer.body)} of its {answer.size} bytes were recorded: raise `answer_bytes` in the route's capture"
        )
    body = answer.body
    for undo in _codings(answer.encoding):
        body = undo(body)
    return body


def beginning(answer: Answer, length: int) -> bytes:
    """The first `length` bytes of the body without its content coding, or fewer; as they are when that fails."""
    if not answer.encoding:
        return answer.body[:length]
    wrapper = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": _ZLIB}.get(answer.encoding.strip().lower())
    if wrapper is None:
        return answer.body[:length]
    try:
        return zlib.decompressobj(wrapper).decompress(answer.body, length)
    except zlib.error:
        return answer.body[:length]


def parsed(body: bytes) -> object:
    """The JSON document in `body`, bare `NaN` and infinities included. Raises Corrupt."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _tolerantly_parsed(body)


def decoder() -> json.JSONDecoder:
    """The tolerant reader: a whole number too long for any computer's becomes a float, perhaps an infinite one."""
    return json.JSONDecoder(parse_int=_whole)


def _tolerantly_parsed(body: bytes) -> object:
    if not body.strip():
        raise Corrupt("the answer is empty")
    if body.startswith((b"data:", b"event:")):
        raise Corrupt("the answer is a stream of events, and only single JSON answers are read")
    try:
        return json.loads(body, parse_int=_whole)
    except RecursionError:
        raise Corrupt("the answer is nested too deep to be read") from None
    except ValueError:
        shown = body[:40].decode("utf-8", "backslashreplace")
        raise Corrupt(f"the answer is not JSON: it starts with {shown!r}") from None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _WHOLE_LIMIT else float(digits)


def _codings(header: bytes) -> list[Callable[[bytes], bytes]]:
    """How to undo the codings of a Content-Encoding field, in that order."""
    if not header:
        return []
    names = [name.strip().lower() for name in header.split(b",")]
    names = [name for name in names if name not in (b"", b"identity")]
    unknown = [name for name in names if name not in _UNDO]
    if unknown or len(names) > _CODINGS_LIMIT:
        raise Corrupt(
            f"the answer has the content encoding {header[:80].decode('latin-1')!r}, and only gzip and deflate are read: "
            "let the clients' Accept-Encoding ask for no other"
        )
    return [_UNDO[name] for name in reversed(names)]


def _gunzip(body: bytes) -> bytes:
    whole = b""
    for _ in range(_MEMBERS_LIMIT):
        part, body = _inflated(body, _GZIP, limit=DECODED_LIMIT - len(whole))
        whole += part
        if not body:
            return whole
    raise Corrupt(f"the answer's gzip data has more than {_MEMBERS_LIMIT} members")


def _undeflate(body: bytes) -> bytes:
    """RFC 9110 8.4.1.2 asks for the zlib wrapper, and servers exist that leave it out."""
    wrapped = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
    return _inflated(body, _ZLIB if wrapped else _RAW, limit=DECODED_LIMIT)[0]


def _inflated(body: bytes, wrapper: int, *, limit: int) -> tuple[bytes, bytes]:
    engine = zlib.decompressobj(wrapper)
    try:
        plain = engine.decompress(body, limit + 1)
    except zlib.error as error:
        raise Corrupt(f"the answer's compressed bytes cannot be read: {error}") from None
    if len(plain) > limit:
        raise Corrupt(f"the answer is larger than {DECODED_LIMIT} bytes when decompressed")
    if not engine.eof:
        raise Corrupt("the answer's compressed bytes end too early")
    return plain, engine.unused_data


_UNDO: Mapping[bytes, Callable[[bytes], bytes]] = {b"gzip": _gunzip, b"x-gzip": _gunzip, b"deflate": _undeflate}
