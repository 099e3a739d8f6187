"""What llhttp leaves to the router: pure checks of a request's head before anything is forwarded.

The router decides on exactly the bytes it forwards: a path that another parser could read differently is refused, never
rewritten. What a route may allow (`head.encoded`) is left to its gate. Rules and their sources: docs/behavior.md.
"""

import re

from modelctl.router.head import RequestHead
from modelctl.router.paths import bad_path, disputed_codes
from modelctl.router.refusal import Refusal
from modelctl.settings import Settings

_TARGET = re.compile(rb"""[!"$-~]+""")  # visible ASCII without '#'
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)

MAX_HOPS = 10
_BODYLESS_BEFORE = frozenset({b"GET", b"HEAD", b"DELETE"})
_NOT_FORWARDED = frozenset({b"CONNECT", b"TRACE"})


# Addresses (host and target) that passed before, and the disputed codes of each: clients ask the same few again and again.
# Cleared when full.
_passed: dict[bytes, int] = {}
_MAX_PASSED = 4_096
_MAX_REMEMBERED = 512  # bytes of one address: what is remembered is bounded


def check_head(head: RequestHead) -> Refusal | None:
    """Why this request must not be forwarded, or None. May turn an absolute target into origin form (RFC 9112 3.2.2)."""
    if head.version != "1.1" and (refusal := _older(head)):
        return refusal
    if head.method in _NOT_FORWARDED:
        return Refusal.METHOD
    if head.codings is not None and (refusal := _framing(head, head.codings)):
        return refusal
    if head.hops >= MAX_HOPS:
        return Refusal.LOOP
    if head.hosts != 1 and (head.hosts or head.version == "1.1"):
        return Refusal.BAD_HOST
    address = head.host + b" " + head.target
    codes = _passed.get(address)
    if codes is None:
        return _check_address(head, address)
    if codes:
        head.encoded = codes
    return None


def _check_address(head: RequestHead, address: bytes) -> Refusal | None:
    refusal = _target(head) or _host(head)
    same = address == head.host + b" " + head.target and head.hosts == 1
    if refusal is None and same and len(address) <= _MAX_REMEMBERED and head.target.startswith(b"/"):
        if len(_passed) >= _MAX_PASSED:
            _passed.clear()
        _passed[address] = head.encoded
    return refusal


def check_limits(head: RequestHead, settings: Settings) -> Refusal | None:
    """Why this request has too much of something, or its body not where it can be found."""
    if len(head.lines) > settings.max_fields:
        return Refusal.HEAD_TOO_LARGE
    length = head.length
    if length is not None and (length > settings.max_body_bytes or length < 0):
        return Refusal.BODY_TOO_LARGE
    return Refusal.BAD_FRAMING if head.upgrade and (length or head.codings) else None


def _older(head: RequestHead) -> Refusal | None:
    """HTTP/1.0 servers disagree on whether these methods can have a body there."""
    if head.version != "1.0":
        return Refusal.VERSION
    return Refusal.BAD_FRAMING if head.length and head.method in _BODYLESS_BEFORE else None


def _framing(head: RequestHead, codings: list[bytes]) -> Refusal | None:
    if head.version == "1.0" or head.length is not None:
        return Refusal.BAD_FRAMING
    return None if len(codings) == 1 and codings[0].lower() == b"chunked" else Refusal.CODING


def _target(head: RequestHead) -> Refusal | None:
    target = head.target
    if not _TARGET.fullmatch(target):
        return Refusal.BAD_TARGET
    if target[0] != 0x2F:  # not "/"
        if target == b"*" and head.method == b"OPTIONS":
            return None
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            return Refusal.BAD_TARGET
        if head.hosts and not _HOST.fullmatch(head.host):
            return Refusal.BAD_HOST  # it does not count, but others would read it
        head.host, head.hosts = absolute[1], 1
        target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
        head.target = target
    path = target.partition(b"?")[0]
    head.encoded = disputed_codes(path)
    return Refusal.BAD_PATH if bad_path(path) else None


def _host(head: RequestHead) -> Refusal | None:
    if not head.hosts:
        return None
    return None if _HOST.fullmatch(head.host) else Refusal.BAD_HOST
