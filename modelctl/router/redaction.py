"""What a route never writes down, taken out of a record before it is encoded: nothing of it reaches spool, database or quarantine.

Values at JSON paths become "[redacted]", in requests and answers alike. A body in which they cannot be found for sure (not JSON,
compressed, or not kept whole) is left out. `redacted` in the record says which happened.
"""

from urllib.parse import unquote_plus

import msgspec
from msgspec import Raw

from modelctl.evidence import ANSWER_LEFT_OUT, ANSWER_REDACTED, REQUEST_LEFT_OUT, REQUEST_REDACTED, Answer, Request, Served
from modelctl.traffic import REDACTED, RedactionPart, parse_redaction

Tree = dict[str, "Tree | None"]
"""Keys on the way to values; None where the value goes. `*` is every key."""

_TEXT = REDACTED.encode()
_VALUE = Raw(b'"%b"' % _TEXT)
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode


class Redaction:
    """The rules of one route."""

    def __init__(self, rules: tuple[str, ...]) -> None:
        parsed = [parse_redaction(rule) for rule in rules]
        self._headers = frozenset(value[0].encode() for part, value in parsed if part is RedactionPart.HEADER)
        self._query = frozenset(value[0] for part, value in parsed if part is RedactionPart.QUERY)
        self._tree: Tree = {}
        for part, path in parsed:
            if part is RedactionPart.BODY:
                self._tree = _merged(self._tree, _branch(path)) or {}

    def served(self, served: Served) -> Served:
        """The record without what the rules name."""
        request, asked = self._request(served.request)
        answer, answered = self.answer(served.answer)
        return msgspec.structs.replace(served, request=request, answer=answer, redacted=asked | answered)

    def answer(self, answer: Answer) -> tuple[Answer, int]:
        """The answer without what the rules name, and what was done to it: ANSWER_REDACTED, ANSWER_LEFT_OUT or 0."""
        body, size, changed = self._body(answer)
        how = 0 if not changed else ANSWER_REDACTED if body else ANSWER_LEFT_OUT
        return msgspec.structs.replace(answer, body=body, size=size), how

    def _request(self, request: Request) -> tuple[Request, int]:
        body, size, changed = self._body(request)
        how = 0 if not changed else REQUEST_REDACTED if body else REQUEST_LEFT_OUT
        headers = tuple((name, _TEXT if name in self._headers else value) for name, value in request.headers)
        return msgspec.structs.replace(request, target=self._target(request.target), body=body, size=size, headers=headers), how

    def _target(self, target: bytes) -> bytes:
        path, mark, query = target.partition(b"?")
        if not self._query or not mark:
            return target
        return path + mark + b"&".join([self._parameter(part) for part in query.split(b"&")])

    def _parameter(self, part: bytes) -> bytes:
        name = part.partition(b"=")[0]
        return name + b"=" + _TEXT if unquote_plus(name.decode("latin-1")) in self._query else part

    def _body(self, message: Request | Answer) -> tuple[bytes, int, bool]:
        """What is recorded of a body, the size that is recorded with it, and whether it is another one than it was."""
        body, size = message.body, message.size
        if not self._tree or not size:
            return body, size, False
        if len(body) < size or message.encoding.lower() not in (b"", b"identity"):
            return b"", size, True
        try:
            clean, changed = _cleaned(body, self._tree)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return b"", size, True
        return clean, len(clean), changed


def _cleaned(document: bytes, tree: Tree) -> tuple[bytes, bool]:
    """The document without the values that the tree names. Objects on the way are written anew, so a name that stands twice in one
    hides nothing. Raises msgspec.DecodeError."""
    if document.lstrip()[:1] == b"[":
        found = list(enumerate(_items(document)))
        kept = [_value(value, tree, key=str(index)) for index, value in found]
        return _encode([value for value, _ in kept]), any(changed for _, changed in kept)
    if document.lstrip()[:1] == b"{":
        members = {key: _value(value, tree, key=key) for key, value in _members(document).items()}
        return _encode({key: value for key, (value, _) in members.items()}), any(changed for _, changed in members.values())
    msgspec.json.decode(document)
    return document, False


def _value(value: Raw, tree: Tree, *, key: str) -> tuple[Raw, bool]:
    branches = [tree[name] for name in (key, "*") if name in tree]
    if not branches:
        return value, False
    branch = branches[0] if len(branches) == 1 else _merged(*branches)
    if branch is None:
        return _VALUE, True
    clean, changed = _cleaned(bytes(value), branch)
    return Raw(clean), changed


def _branch(path: tuple[str, ...]) -> Tree | None:
    return {path[0]: _branch(path[1:])} if path else None


def _merged(one: Tree | None, other: Tree | None) -> Tree | None:
    """Both together; a value that goes, goes with all that is in it."""
    if one is None or other is None:
        return None
    both = {**one, **other}
    return {key: _merged(one[key], other[key]) if key in one and key in other else branch for key, branch in both.items()}
