"""What only the bytes of a read can show."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.router.head import RequestHead
from modelctl.router.rawbytes import RawRead, announced, blank_lines, head_size, other_protocol
from modelctl.router.refusal import Refusal

LIMIT = 1_000


@pytest.mark.parametrize("data", [b"GET", b"\r\nGET", b"\r\n\r\nGET", b"\r\n"])
def test_whole_empty_lines_before_a_request_are_read_past(data: bytes) -> None:
    assert blank_lines(data) == (True, b"")


@pytest.mark.parametrize("data", [b"\rGET", b"\nGET", b"\r\n\rGET", b"\r\r\nGET", b"\n\r", b"\n", b"\r\n" * 33])
def test_anything_else_before_a_request_is_not(data: bytes) -> None:
    assert blank_lines(data) == (False, b"")


def test_an_empty_line_may_come_in_two_reads() -> None:
    raw = RawRead()
    raw.take(b"\r", between=True)
    raw.take(b"\nGET", between=True)
    raw.take(b"\r", between=True)
    with pytest.raises(httptools.HttpParserError):
        raw.take(b"GET", between=True)


def test_a_line_end_inside_a_message_is_the_parsers_business() -> None:
    RawRead().take(b"\n", between=False)


def head(target: bytes) -> RequestHead:
    made = RequestHead()
    made.method, made.target = b"GET", target
    return made


@given(st.integers(0, 40))
def test_another_protocol_is_seen_however_the_head_is_cut(cut: int) -> None:
    request = b"GET /m RTSP/1.0\r\nHost: a\r\n\r\n"
    assert other_protocol(request, b"/m")
    raw = RawRead()
    raw.take(request[:cut] or b"G", between=True)
    raw.keep(began=True)
    raw.take(request[cut:] or b"\n", between=False)
    assert raw.check_head(head(b"/m"), LIMIT) is Refusal.BAD_REQUEST


def test_a_field_may_speak_of_another_protocol() -> None:
    raw = RawRead()
    raw.take(b"GET /m HTTP/1.1\r\nUser-Agent: x RTSP/1.0\r\n\r\n", between=True)
    assert raw.check_head(head(b"/m"), LIMIT) is None


@pytest.mark.parametrize("before", [b"", b"POST /n HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"])
def test_a_head_is_measured_wherever_it_stands_in_its_read(before: bytes) -> None:
    request = b"GET /m HTTP/1.1\r\nX-Dropped: %b\r\n\r\n"
    small, large = request % b"", request % (b"x" * LIMIT)
    assert head_size(before + large, b"GET", target=b"/m") == len(large) - 4
    for data, refusal in ((small + b"x" * LIMIT, None), (large, Refusal.HEAD_TOO_LARGE)):
        raw = RawRead()
        raw.take(before + data, between=True)
        assert raw.check_head(head(b"/m"), LIMIT) is refusal


@given(st.integers(0, 1 << 70), st.binary(max_size=20), st.sampled_from([b"", b";a=b"]))
def test_an_open_chunk_tells_its_size(size: int, came: bytes, extension: bytes) -> None:
    data = b"\r\n\r\n%x%b\r\n%b" % (size, extension, came)
    assert announced(data, len(came)) == size


@pytest.mark.parametrize("data", [b"", b"5", b"5\r\n", b"\r\n5", b"\r\n0\r\nX: 1\r\n", b"0\r\nX-Trail", b"a\r\nFFFFFFFFFFFFFFFFxx"])
def test_what_is_no_whole_line_of_a_size_announces_nothing(data: bytes) -> None:
    assert announced(data, 0) == 0


def test_a_chunk_over_the_limit_is_refused_and_an_absurd_one_is_no_chunk() -> None:
    raw = RawRead()
    for size, refusal in ((LIMIT, None), (LIMIT + 1, Refusal.BODY_TOO_LARGE), (1 << 60, Refusal.BAD_REQUEST)):
        raw.take(b"\r\n%x\r\nhello" % size, between=False)
        raw.on_chunk_header()
        raw.chunk = 5
        assert raw.check_chunk(5, LIMIT) is refusal
        assert raw.chunk == -1
