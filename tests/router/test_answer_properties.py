"""Laws of passing answers on, over real sockets: h11 is the strict reader of what the backend sent and of what the client got."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.router.answer_head import KEEP, answer_field
from tests.router import messages
from tests.router.messages import Body, Change, Message, changed, cut
from tests.router.scene import Scene
from tests.router.strict_backend import Script
from tests.router.wire import Incomplete, Reply

Pairs = list[tuple[bytes, bytes]]

_ADDED = {b"x-request-id", b"modelctl-arm"}
_PHRASE = re.compile(rb"\A(HTTP/1\.[01] \d{3}) [^\r\n]*")
_STATUSES = st.sampled_from([200, 200, 201, 202, 206, 226, 299, 301, 307, 400, 404, 409, 418, 422, 500, 599, 799])
_PHRASES = st.sampled_from([b"OK", b"", b"Not What You Want", b"\xe4\xf6"])
# No POST: a backend that closes without a word right behind an answer may cost the next one, and it must not be sent again.
_METHODS = st.sampled_from([b"GET", b"GET", b"PUT", b"HEAD", b"DELETE"])


class Answer(NamedTuple):
    """What a strict reader makes of an answer: names of fields as they came."""

    status: int
    fields: Pairs
    body: bytes


class Scripted(NamedTuple):
    """An answer as it is sent, and what it means to GET."""

    message: Message
    status: int

    @property
    def until_closed(self) -> bool:
        """Whether only the end of the connection ends it."""
        return not self.message.framing and self.status not in (204, 304)

    def render(self, method: bytes) -> bytes:
        """Its bytes on the wire. An answer to HEAD is a head."""
        message = self.message if method != b"HEAD" else self.message._replace(body=Body())
        head = message.line + b"\r\n" + messages.lines((*message.framing, *message.fields)) + b"\r\n"
        return head + (message.body.render() if method != b"HEAD" else b"")


def _scripted(status: int, phrase: bytes, fields: messages.Fields, body: Body, length: bool) -> Scripted:
    framing = body.framing() if length or body.chunks is not None else ()
    return Scripted(Message(b"HTTP/1.1 %d %b" % (status, phrase), fields, framing, body), status)


def _bodyless(status: int, fields: messages.Fields) -> Scripted:
    return Scripted(Message(b"HTTP/1.1 %d Nothing" % status, fields, (), Body()), status)


_bodies = messages.sized_bodies | messages.chunked_bodies
_answers = st.builds(_scripted, _STATUSES, _PHRASES, messages.answer_fields, _bodies, st.booleans()) | st.builds(
    _bodyless, st.sampled_from([204, 304]), messages.answer_fields
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("scene"))
    yield scene
    scene.stop()


def request(method: bytes, target: bytes = b"/scripted") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: models.example\r\n\r\n" % (method, target)


def kept(fields: Pairs) -> Pairs:
    """The fields that are for the client; Content-Length is not the router's to change, but it may stand elsewhere."""
    return [(name, value) for name, value in fields if answer_field(name + b": x").use & KEEP and name.lower() not in _ADDED]


def strict(data: bytes, method: bytes, *, closes: bool) -> Answer | None:
    """The first final answer in `data` as h11 reads it; None when it refuses it, or when it is not whole.

    Two things are the router's own: empty lines that old servers leave behind a body are skipped (RFC 9112 2.2 asks servers to),
    and the reason phrase is neither read nor passed on (RFC 9112 4: a client should ignore it).
    """
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    parser.send(h11.EndOfMessage())
    while data.startswith(b"\r\n"):
        data = data[2:]
    data = _PHRASE.sub(rb"\1", data, count=1)
    parser.receive_data(data)
    if closes:
        parser.receive_data(b"")
    answer: Answer | None = None
    with suppress(h11.RemoteProtocolError):
        while (event := parser.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Response):
                answer = Answer(event.status_code, [(bytes(n), bytes(v)) for n, v in event.headers.raw_items()], b"")
            elif isinstance(event, h11.Data) and answer is not None:
                answer = answer._replace(body=answer.body + event.data)
            elif isinstance(event, h11.EndOfMessage):
                return answer
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return None
    return None


def asked(scene: Scene, method: bytes) -> Reply | None:
    """What the client got; None for a cut or a refusal of the router's own."""
    with scene.router.client() as client:
        try:
            reply = client.ask(request(method))
        except Incomplete:
            return None
    return None if reply.all(b"modelctl-error") else reply


def check_next(scene: Scene) -> None:
    """The next request gets its own answer, or none where bytes that nobody asked for come late, on a connection in use again."""
    probe = scene.router.ask(request(b"GET", b"/probe"))
    assert probe.body == b"{}" or probe.one(b"modelctl-error") == b"upstream-invalid"


def check_equal(reply: Reply | None, expected: Answer | None) -> None:
    assert reply is not None
    assert expected is not None
    assert (reply.status, reply.body) == (expected.status, expected.body)
    assert kept(reply.fields) == kept(expected.fields)


@given(answer=_answers, method=_METHODS, closes=st.booleans(), cuts=messages.cuts)
def test_any_valid_answer_arrives_equal_the_first_time_and_again(
    scene: Scene, answer: Scripted, method: bytes, closes: bool, cuts: list[float]
) -> None:
    data = answer.render(method)
    closes = closes or (answer.until_closed and method != b"HEAD")
    scene.backend.script = Script(cut(data, cuts), closes=closes)
    expected = strict(data, method, closes=closes)
    check_equal(asked(scene, method), expected)
    scene.backend.script = Script([data], closes=closes)
    for _ in range(2):
        check_equal(asked(scene, method), expected)
    check_next(scene)
    records = [record for record in scene.seen().records if record.request.target == b"/scripted"]
    assert [(record.answer.status, record.answer.size, record.answer.failure) for record in records] == [
        (answer.status, len(expected.body) if expected else 0, "")
    ] * 3


@given(answer=_answers, edits=messages.changes, cuts=messages.cuts, method=_METHODS, closes=st.booleans(), known=st.booleans())
def test_a_spoiled_answer_is_refused_or_cut_or_means_the_same_to_the_client(
    scene: Scene, answer: Scripted, edits: list[Change], cuts: list[float], method: bytes, closes: bool, known: bool
) -> None:
    if known:
        scene.backend.script = Script([answer.render(b"GET")], closes=answer.until_closed)
        assert asked(scene, b"GET") is not None
    data = changed(answer.render(method), edits)
    expected = strict(data, method, closes=closes)
    if expected is None and not closes:
        closes = True
        expected = strict(data, method, closes=True)
    scene.backend.script = Script(cut(data, cuts), closes=closes)
    reply = asked(scene, method)
    if reply is not None:
        check_equal(reply, expected)
    check_next(scene)
