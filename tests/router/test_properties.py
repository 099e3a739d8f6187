"""Laws of forwarding, over real sockets: h11 is the strict reader of what the router sends, and of what it should have read."""

from collections.abc import Iterator, Sequence

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router import messages
from tests.router.messages import Change, Sent, changed, cut
from tests.router.scene import Scene, Seen

PROBE = b"GET /probe HTTP/1.1\r\nHost: models.example\r\n\r\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("scene"))
    yield scene
    scene.stop()


def strict(data: bytes) -> list[tuple[bytes, bytes, int]]:
    """Method, target and size of the body of each request in `data`, as h11 reads it, up to the first that it refuses.

    Empty lines before a request are skipped (RFC 9112 2.2), which h11 does not do.
    """
    found: list[tuple[bytes, bytes, int]] = []
    while data := without_empty_lines(data):
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        parser.receive_data(data)
        head, size = h11.Request(method="GET", target="/", headers=[("host", "x")]), 0
        try:
            while not isinstance(event := parser.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    size += len(event.data)
                else:
                    return found
        except h11.RemoteProtocolError:
            return found
        found.append((head.method, head.target, size))
        data = parser.trailing_data[0]
    return found


def without_empty_lines(data: bytes) -> bytes:
    while data.startswith(b"\r\n"):
        data = data[2:]
    return data


def check_equal(seen: Seen, expected: Sequence[Sent]) -> None:
    seen.check()
    assert seen.whole == [(sent.method, sent.target, list(sent.fields), sent.body.data) for sent in expected]
    sizes = [(record.request.method, record.request.target, record.request.size) for record in seen.records]
    assert sizes == [(sent.method, sent.target, len(sent.body.data)) for sent in expected]


def check_same(whole: Seen, split: Seen) -> None:
    """A refusal before the body is there ends the connection: the bytes behind it may be read in the one case only."""
    longer, shorter = sorted((whole, split), key=lambda seen: -len(seen.statuses))
    assert longer.statuses[: len(shorter.statuses)] == shorter.statuses
    assert longer.whole[: len(shorter.whole)] == shorter.whole
    assert shorter.statuses == longer.statuses or shorter.statuses[-1] >= 400
    assert longer.statuses != shorter.statuses or longer.whole == shorter.whole


@given(sent=messages.requests)
def test_any_valid_request_arrives_equal_the_first_time_and_again(scene: Scene, sent: Sent) -> None:
    with scene.router.client() as client:
        assert [client.ask(sent.render()).status for _ in range(2)] == [200, 200]
    check_equal(scene.seen(), [sent, sent])


@given(sent=messages.older_requests)
def test_any_valid_request_of_http_1_0_arrives_equal(scene: Scene, sent: Sent) -> None:
    assert scene.router.ask(sent.render()).status == 200
    check_equal(scene.seen(), [sent])


@given(
    several=st.lists(messages.requests, min_size=1, max_size=2), order=st.lists(st.integers(0, 1), max_size=4), cuts=messages.cuts
)
def test_requests_arrive_equal_however_their_bytes_are_split(
    scene: Scene, several: list[Sent], order: list[int], cuts: list[float]
) -> None:
    line = several + [several[number % len(several)] for number in order]
    seen = scene.sent(*cut(b"".join(sent.render() for sent in line), cuts), first=several[0].render())
    if not seen.hurried:
        assert seen.statuses == [200] * len(line)
        check_equal(seen, [several[0], *line])


@given(several=st.lists(messages.requests, min_size=1, max_size=2), edits=messages.changes, cuts=messages.cuts)
def test_any_bytes_mean_the_same_however_they_are_split(
    scene: Scene, several: list[Sent], edits: list[Change], cuts: list[float]
) -> None:
    first = several[0].render()
    data = first + changed(b"".join(sent.render() for sent in several), edits) + PROBE
    whole = scene.sent(data, first=first)
    split = scene.sent(*cut(data, cuts), first=first)
    if not (whole.hurried or split.hurried):
        check_same(whole, split)


@given(sent=messages.requests, edits=messages.changes, cuts=messages.cuts, known=st.booleans())
def test_spoiled_framing_is_refused_or_means_the_same_to_the_backend(
    scene: Scene, sent: Sent, edits: list[Change], cuts: list[float], known: bool
) -> None:
    data = sent.render()
    spoiled = changed(data, edits) + PROBE
    seen = scene.sent(*cut(spoiled, cuts), first=data if known else b"")
    seen.check()
    allowed = strict(data if known else b"") + strict(spoiled)
    answered = [(one.request.method, one.request.target, one.request.size) for one in seen.records if not one.answer.failure]
    assert answered == allowed[: len(answered)]


CHANGES = [b"\r\n", b"\r", b"X: y\r\n", b"Content-Length: 5\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_known_head_and_what_comes_of_it_mean_the_same_split_anywhere(scene: Scene, change: bytes) -> None:
    """`change` comes before the request, and behind each of its lines in turn."""
    known = b"POST /known HTTP/1.1\r\nHost: models.example\r\nContent-Length: 5\r\n\r\n12345"
    places = [0, *(at + 2 for at in range(len(known)) if known.startswith(b"\r\n", at))]
    for place in places:
        data = known[:place] + change + known[place:] + PROBE
        whole = scene.sent(data, first=known)
        for at in [at for at in range(1, len(data)) if b"\r" in data[at - 2 : at + 2]]:
            split = scene.sent(data[:at], data[at:], first=known)
            if not (whole.hurried or split.hurried):
                check_same(whole, split)
