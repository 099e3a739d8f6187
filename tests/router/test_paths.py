"""Paths that servers read differently: what no route lets in, what a route may allow, and what is denied in every reading."""

import re
from collections.abc import Callable
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.policy import EncodedByte
from modelctl.router.guard import check_head
from modelctl.router.head import RequestHead
from modelctl.router.paths import bad_path, both_forms, code_bits, denied, disputed_codes, readings
from modelctl.router.refusal import Refusal

ALL_CODES = tuple(EncodedByte)
NO_CODES = code_bits(())

PIECES = ["/", ".", "..", ";", "%", "%2f", "%2F", "%2e", "%5c", "%00", "%25", "%252f", "%252e", "%255c", "%2500", "%3b", "%253b"]
PIECES += ["%3f", "%23", "%61", "%2561", "a", "admin", "2f", "2e", "5C", "3b", "\\", "x=1", "%zz", "//", "%25252e", "~"]
NASTY = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: ("/" + "".join(pieces)).encode())
ORDINARY = st.text("abcXYZ019-_~!$&'()*+,=:@.", min_size=1, max_size=8).filter(lambda text: text not in (".", ".."))
PATHS = st.lists(ORDINARY, max_size=5).map(lambda segments: ("/" + "/".join(segments)).encode())


def decode(path: bytes) -> bytes:
    """One lenient percent-decoding: what is no code stays as it is."""
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), path)


def strip_parameters(path: bytes) -> bytes:
    return re.sub(rb";[^/]*", b"", path)


def merge_slashes(path: bytes) -> bytes:
    return re.sub(rb"/+", b"/", path)


def cut_query(path: bytes) -> bytes:
    return path.partition(b"?")[0]


def cut_fragment(path: bytes) -> bytes:
    return path.partition(b"#")[0]


Steps = list[Callable[[bytes], bytes]]
OTHERS: Steps = [strip_parameters, merge_slashes, cut_query, cut_fragment]
OTHER_STEPS: st.SearchStrategy[Steps] = st.lists(st.sampled_from(OTHERS), max_size=3)


@st.composite
def servers(draw: st.DrawFn) -> Steps:
    """What a server may do with a path before it looks at it: decode it at most twice, and anything else in any order."""
    steps = draw(OTHER_STEPS)
    for _ in range(draw(st.integers(0, 2))):
        steps = [*steps, decode, *draw(OTHER_STEPS)]
    return steps


def as_read(path: bytes, steps: Steps) -> bytes:
    for step in steps:
        path = step(path)
    return path


def let_in(path: bytes, codes: int) -> bool:
    """Whether a route that allows these codes forwards `path`."""
    return not bad_path(path) and not disputed_codes(path) & ~codes


@given(PATHS)
def test_ordinary_paths_are_let_in(path: bytes) -> None:
    assert let_in(path, NO_CODES)


@pytest.mark.parametrize("path", [b"/a/...", b"/.well-known/x", b"/a.b/..c", b"/%20x", b"/caf%C3%A9", b"/a//b", b"/;x"])
def test_unusual_but_clear_paths_are_let_in(path: bytes) -> None:
    assert let_in(path, NO_CODES)


@given(NASTY)
def test_without_allowed_codes_a_path_means_the_same_decoded_or_not(path: bytes) -> None:
    if let_in(path, NO_CODES):
        once = decode(path)
        assert decode(once) == once
        assert [once.count(mark) for mark in (b"/", b";", b"?", b"#")] == [path.count(mark) for mark in (b"/", b";", b"?", b"#")]


@settings(max_examples=600)
@given(NASTY, st.sets(st.sampled_from(ALL_CODES)), servers())
def test_what_is_forwarded_holds_no_dot_segment_in_any_reading(path: bytes, allowed: set[EncodedByte], server: Steps) -> None:
    if let_in(path, code_bits(tuple(allowed))):
        read = as_read(path, server)
        assert b"\\" not in read
        assert b"\0" not in read
        assert not {segment.partition(b";")[0] for segment in read.split(b"/")} & {b".", b".."}


@pytest.mark.parametrize(
    "path",
    [
        b"/a%2f../b",
        b"/a%2F..",
        b"/..%2fb",
        b"/..%3bx=1/b",
        b"/.%3f",
        b"/..%23/b",
        b"/%252e%252e/b",
        b"/a%252f..%252fb",
        b"/a/%252e%253bx",
        b"/%25%32%65%25%32%65/b",
        b"/a%255cb",
        b"/a%2500",
        b"/a%5Cb",
        b"/%2e%2e/a",
        b"/a%2eb",
        b"/a%00",
        b"/a%",
        b"/a%2",
        b"/a%2g",
    ],
)
def test_some_paths_are_let_in_by_no_route(path: bytes) -> None:
    assert not let_in(path, code_bits(ALL_CODES))


@pytest.mark.parametrize("code", ALL_CODES)
def test_each_code_is_let_in_where_it_is_allowed_and_nowhere_else(code: EncodedByte) -> None:
    others = tuple(other for other in ALL_CODES if other is not code)
    for path in (f"/a%{code.value}b".encode(), f"/a/%{code.value.upper()}".encode()):
        assert let_in(path, code_bits((code,)))
        assert not let_in(path, code_bits(others))


def test_a_percent_that_hides_another_code_needs_both() -> None:
    path = b"/a%252fb"
    assert not let_in(path, code_bits((EncodedByte.PERCENT,)))
    assert not let_in(path, code_bits((EncodedByte.SLASH,)))
    assert let_in(path, code_bits((EncodedByte.PERCENT, EncodedByte.SLASH)))
    assert let_in(b"/100%25", code_bits((EncodedByte.PERCENT,)))


def head(target: bytes) -> RequestHead:
    made = RequestHead()
    made.method, made.target, made.host, made.hosts = b"GET", target, b"a", 1
    return made


@given(NASTY)
def test_what_is_remembered_of_a_path_is_what_was_found_at_first(path: bytes) -> None:
    first, second = head(path), head(path)
    assert check_head(first) == check_head(second)
    if check_head(first) is None:
        assert first.encoded == second.encoded == disputed_codes(path)
    else:
        assert check_head(first) in (Refusal.BAD_PATH, Refusal.BAD_TARGET)


def test_codes_of_the_query_are_not_those_of_the_path() -> None:
    for _ in range(2):
        asked = head(b"/q?a=%2f&b=../..")
        assert check_head(asked) is None
        assert asked.encoded == 0


DENIED = both_forms(["/admin", "/v1/internal"])


@pytest.mark.parametrize(
    "path",
    [
        b"/admin",
        b"/admin/",
        b"/admin/x",
        b"//admin",
        b"/admin//x",
        b"/admin;x=1",
        b"/admin;x=1/y",
        b"/;x/admin",
        b"/%61dmin",
        b"/%61%64%6D%69%6e/x",
        b"/%2fadmin",
        b"/v1%2finternal",
        b"/v1%252finternal",
        b"/%2561dmin",
        b"/admin%3fx",
        b"/admin%23",
        b"/admin%3bx",
        b"/v1;p=1%2fq/%69nternal",
        b"///v1//;y//internal;z",
    ],
)
def test_a_denied_path_is_denied_however_it_is_written(path: bytes) -> None:
    assert denied(path, DENIED)


@pytest.mark.parametrize(
    "path",
    [b"", b"/", b"/administrator", b"/Admin", b"/x/admin", b"/v1", b"/v1/internals", b"/v1internal", b"/adm%20in", b"/v1;internal"],
)
def test_what_stands_beside_a_denied_path_is_not_denied(path: bytes) -> None:
    assert not denied(path, DENIED)


DISGUISED = st.lists(
    st.sampled_from(
        ["/", "//", "%2f", "%252f", "admin", "%61dmin", "%2561dmin", "v1", "internal", ";x", "%3bx", "%253bx%252f", "%3f", "a"]
    ),
    max_size=8,
).map(lambda pieces: ("/" + "".join(pieces)).encode())


@settings(max_examples=600)
@given(DISGUISED, servers())
def test_what_any_server_reads_as_denied_is_denied(path: bytes, server: Steps) -> None:
    read = as_read(path, server)
    if re.match(rb"/(admin|v1/internal)(/|\Z)", read):
        assert denied(path, DENIED)


@given(PATHS, PATHS)
def test_on_ordinary_paths_denied_means_below_the_prefix(path: bytes, prefix: bytes) -> None:
    if prefix != b"/":
        assert denied(path, both_forms([prefix.decode()])) == (path + b"/").startswith(prefix + b"/")
        below = prefix + path
        assert denied(below, both_forms([prefix.decode()]))
        assert denied(quote_from_bytes(below, safe="/").replace("%", "%25").encode(), both_forms([prefix.decode()]))


def test_a_denied_prefix_with_parameters_is_denied_as_it_is_and_without_them() -> None:
    prefixes = both_forms(["/a;b", "/;c"])
    for path in (b"/a;b", b"/a;b/x", b"/a", b"/a/x", b"/;c", b"/;c/x"):
        assert denied(path, prefixes)
    assert not denied(b"/x", prefixes)


@given(NASTY)
def test_a_path_has_a_bounded_number_of_readings(path: bytes) -> None:
    assert 1 <= len(readings(path)) <= 9
