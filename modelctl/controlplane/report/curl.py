"""A recorded request as a command that asks a backend again. Pure."""

import re
import shlex
from base64 import b64encode
from collections.abc import Iterator, Mapping

import msgspec

from modelctl.controlplane.sending import url_at
from modelctl.endpoint import parse_endpoint
from modelctl.errors import ModelctlError
from modelctl.evidence import REQUEST_LEFT_OUT, REQUEST_REDACTED
from modelctl.store.reading import Body
from modelctl.store.samples import Asked
from modelctl.traffic import Backend

LONGEST = 2_048
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_TAKEN_OUT = "values were taken out of this request before it was recorded, so what was asked was not quite this"


class Curl(msgspec.Struct, frozen=True, kw_only=True):
    """The command that asks one backend what the client asked. `backend` is its name."""

    backend: str
    command: str


def curl(asked: Asked, body: Body, *, backend: Backend, path: str) -> Curl | None:
    """None where what was recorded cannot be asked again: see `reason_against`. `path` is the route's."""
    if reason_against(asked, body):
        return None
    try:
        url = url_at(backend, path=path, target=asked.target)
        socket = parse_endpoint(backend.endpoints[0]).socket
    except ModelctlError:
        return None
    words = ["curl", "-sS", "--globoff", "--path-as-is", *_method(asked.method, body), *_fields(asked.headers, body)]
    words += ["--unix-socket", socket] if socket else []
    text = _text(body.body)
    if body.body and text is None:
        packed = shlex.quote(b64encode(body.body).decode())
        return Curl(
            backend=backend.name, command=f"printf %s {packed} | base64 -d | {shlex.join([*words, '--data-binary', '@-', url])}"
        )
    return Curl(backend=backend.name, command=shlex.join([*words, *(["--data-raw", text] if text else []), url]))


def reason_against(asked: Asked | None, body: Body) -> str:
    """Why a request cannot be asked again from here; empty when it can."""
    if asked is None:
        return "the request is no longer recorded"
    if len(body.body) < body.size:
        return f"of its body {len(body.body):,} of {body.size:,} bytes were recorded"
    if len(body.body) > LONGEST:
        return f"its body has {body.size:,} bytes, too many for a command: modelctl export"
    odd = not (asked.target.startswith("/") and asked.target.isascii() and asked.target.isprintable())
    return "its method or path was no ordinary text" if odd or not _TOKEN.fullmatch(asked.method) else ""


def remark(asked: Asked | None, body: Body) -> str:
    """What must be known of the commands, or why there are none."""
    against = reason_against(asked, body)
    if against:
        return f"no command to copy: {against}"
    return _TAKEN_OUT if asked is not None and asked.redacted & (REQUEST_REDACTED | REQUEST_LEFT_OUT) else ""


def _method(method: str, body: Body) -> list[str]:
    if method == "HEAD":
        return ["--head"]
    return [] if method == ("POST" if body.body else "GET") else ["-X", method]


def _fields(headers: Mapping[str, str], body: Body) -> Iterator[str]:
    fields = dict(headers)
    # Without one of its own, curl would name the type of a form.
    fields |= {"content-type": body.content_type} if body.content_type or body.body else {}
    fields |= {"content-encoding": body.encoding} if body.encoding else {}
    for name, value in fields.items():
        if _TOKEN.fullmatch(name) and value.isascii() and value.isprintable() | (value == ""):
            yield from ("-H", f"{name}: {value}".rstrip())


def _text(body: bytes) -> str | None:
    """The body as text that a shell and an eye take unharmed."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if all(letter.isprintable() or letter in "\n\t" for letter in text) else None
