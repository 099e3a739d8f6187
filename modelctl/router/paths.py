"""What a path may mean to the servers behind: pure functions of its bytes (without the query).

The router decides on exactly the bytes it forwards. Servers decode them once, some twice; some strip `;parameters` first, some
after; some merge repeated slashes. What is refused or denied here is refused in each of these readings.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from modelctl.policy import EncodedByte

_SEGMENT_TAIL = re.compile(rb"[;?#][^/]*")  # what a server may take off a segment; "?" and "#" only come from decoding
_DOT_SEGMENT = re.compile(rb"/\.{1,2}(?=[/;?#]|\Z)")
_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NEVER = re.compile(rb"%(2e|5c|00)", re.IGNORECASE)
_DISPUTED = re.compile(rb"%(2f|25|3b|3f|23)", re.IGNORECASE)
_OVERLONG = re.compile(rb"\xc0[\xae\xaf]|\xc1\x9c|\xe0\x80[\xae\xaf]")  # ".", "/", backslash: careless decoders
_SLASHES = re.compile(rb"//+")

_BITS: dict[bytes, int] = {code.value.encode(): 1 << place for place, code in enumerate(EncodedByte)}


def code_bits(codes: tuple[EncodedByte, ...]) -> int:
    """The codes as a set of bits, as `disputed_codes` gives them."""
    bits = 0
    for code in codes:
        bits |= _BITS[code.value.encode()]
    return bits


def bad_path(path: bytes) -> bool:
    """Whether no route may let `path` in: dot segments and backslashes in any reading, NUL, malformed codes.

    Two slashes first name a host (RFC 3986 4.2), or are merged into one.
    """
    if path.startswith(b"//") or b"\\" in path or (b"/." in path and _DOT_SEGMENT.search(path)):
        return True
    return b"%" in path and _bad_codes(path)


def _bad_codes(path: bytes) -> bool:
    if _MALFORMED.search(path) or _NEVER.search(path):
        return True
    once = unquote_to_bytes(path)
    return _bad_decoded(once) or (b"%" in once and _bad_decoded(unquote_to_bytes(once)))


def _bad_decoded(path: bytes) -> bool:
    return b"\\" in path or b"\0" in path or bool(_DOT_SEGMENT.search(path) or _OVERLONG.search(path))


def disputed_codes(path: bytes) -> int:
    """The codes in `path` that a route must allow, as bits; those that one decoding brings to light too."""
    if b"%" not in path:
        return 0
    found: list[bytes] = _DISPUTED.findall(path)
    if b"25" in found:
        found += _DISPUTED.findall(unquote_to_bytes(path))
    bits = 0
    for code in found:
        bits |= _BITS[code.lower()]
    return bits


def plain(path: bytes) -> bytes:
    """`path` without parameters, and with one slash where there are several."""
    return _SLASHES.sub(b"/", _SEGMENT_TAIL.sub(b"", path))


def readings(path: bytes) -> set[bytes]:
    """Every way in which a server may read `path`, in plain form."""
    forms = latest = {path}
    for _ in range(2):
        coded = {reading for form in latest for reading in (form, _SEGMENT_TAIL.sub(b"", form)) if b"%" in reading}
        latest = {unquote_to_bytes(reading) for reading in coded}
        forms = forms | latest
    return {plain(form) for form in forms}


def denied(path: bytes, prefixes: frozenset[bytes]) -> bool:
    """Whether `path` is one of the `prefixes` or below it, as it is or in any reading. `prefixes` are those of `both_forms`."""
    if _below(path, prefixes):
        return True
    usual = b"%" not in path and b";" not in path and b"//" not in path
    return not usual and any(_below(reading, prefixes) for reading in readings(path))


def both_forms(prefixes: Iterable[str]) -> frozenset[bytes]:
    """Each prefix as it is and in plain form."""
    return frozenset(form for prefix in prefixes for form in (prefix.encode(), plain(prefix.encode())))


def _below(path: bytes, prefixes: frozenset[bytes]) -> bool:
    return any(path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/") for prefix in prefixes)
