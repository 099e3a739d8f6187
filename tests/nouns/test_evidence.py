"""Frames: what is written can be read, and what was torn or changed is never taken for something else."""

from contextlib import suppress
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import Corrupt
from modelctl.evidence import (
    HEADER,
    MAX_PAYLOAD,
    SEGMENT_SUFFIX,
    VERSION,
    Answer,
    Compared,
    Context,
    Dropped,
    Drops,
    Record,
    Request,
    Served,
    Tally,
    decode,
    encode,
    encode_compared,
    frame,
    frames,
    segment_name,
)

counts = st.integers(0, 2**63 - 1)
small_bytes = st.binary(max_size=40)
words = st.text(max_size=12)

requests = st.builds(
    Request, method=small_bytes, target=small_bytes, content_type=small_bytes, encoding=small_bytes, body=small_bytes, size=counts
)
answers = st.builds(
    Answer,
    backend=words,
    status=st.integers(0, 599),
    failure=words,
    latency=counts,
    first_byte=counts,
    content_type=small_bytes,
    encoding=small_bytes,
    body=small_bytes,
    size=counts,
)
contexts = st.builds(
    Context,
    route=words,
    rollout=counts,
    stage=counts,
    table=counts,
    role=words,
    reason=words,
    probability=st.integers(0, 10_000),
    unit=small_bytes,
)
served = st.builds(
    Served,
    id=st.binary(min_size=16, max_size=16),
    request_id=small_bytes,
    at=counts,
    context=contexts,
    request=requests,
    answer=answers,
    shown=st.lists(st.tuples(words, words), max_size=3).map(tuple),
)
dropped = st.builds(Dropped, route=words, rollout=counts, stage=counts, arm=words, pair=st.booleans(), reason=words, n=counts)
records: st.SearchStrategy[Record] = st.one_of(
    served,
    st.builds(Drops, at=counts, dropped=st.lists(dropped, max_size=3).map(tuple)),
    st.builds(Compared, served=served, shadow=answers),
    st.builds(Tally, offered=counts, accepted=counts, dropped=st.dictionaries(words, counts, max_size=3)),
)
segments = st.lists(records, max_size=5).map(lambda found: (found, b"".join(frame(record) for record in found)))


def read(segment: bytes, start: int = 0) -> list[Record]:
    return [decode(payload) for payload, _ in frames(segment, start)]


def framed(payload: bytes) -> bytes:
    """A frame that is right about its payload, whatever that is."""
    return HEADER.pack(len(payload), crc32(payload), VERSION) + payload


@given(served, answers)
def test_a_record_that_is_encoded_already_is_compared_without_encoding_it_again(record: Served, shadow: Answer) -> None:
    assert encode_compared(encode(record), shadow) == encode(Compared(record, shadow))


@given(segments)
def test_what_is_written_is_read_in_order(written: tuple[list[Record], bytes]) -> None:
    found, segment = written
    assert read(segment) == found


@given(segments)
def test_reading_can_start_behind_any_frame(written: tuple[list[Record], bytes]) -> None:
    found, segment = written
    ends = [end for _, end in frames(segment)]
    assert ends[-1:] in ([], [len(segment)])
    for number, start in enumerate([0, *ends]):
        assert read(segment, start) == found[number:]


@given(segments, st.data())
def test_a_torn_tail_yields_exactly_the_whole_frames_before_it(written: tuple[list[Record], bytes], data: st.DataObject) -> None:
    found, segment = written
    cut = data.draw(st.integers(0, len(segment)))
    whole = [end for _, end in frames(segment) if end <= cut]
    assert [end for _, end in frames(segment[:cut])] == whole
    assert read(segment[:cut]) == found[: len(whole)]


@given(segments.filter(lambda written: bool(written[0])), st.data())
def test_a_changed_byte_never_yields_another_record(written: tuple[list[Record], bytes], data: st.DataObject) -> None:
    found, segment = written
    place = data.draw(st.integers(0, len(segment) - 1))
    changed = bytearray(segment)
    changed[place] ^= data.draw(st.integers(1, 255))
    intact = sum(end <= place for _, end in frames(segment))
    seen: list[Record] = []
    with suppress(Corrupt):
        seen.extend(decode(payload) for payload, _ in frames(bytes(changed)))
    assert seen == found[:intact]


def test_every_single_bit_of_a_frame_is_guarded() -> None:
    segment = frame(Tally(3, 2, {"full": 1}))
    for bit in range(8 * len(segment)):
        changed = bytearray(segment)
        changed[bit // 8] ^= 1 << bit % 8
        seen: list[bytes] = []
        with suppress(Corrupt):
            seen.extend(payload for payload, _ in frames(bytes(changed)))
        assert seen == [], bit


def test_a_corrupt_frame_is_named_by_its_place() -> None:
    first = frame(Tally(1, 1, {}))
    broken = first[:-1] + b"\x81"
    with pytest.raises(Corrupt, match=f"the frame at byte {len(first)} does not match its checksum"):
        read(first + broken)


@pytest.mark.parametrize("version", [0, VERSION + 1, 255])
def test_a_frame_of_another_version_is_corrupt(version: int) -> None:
    segment = bytearray(frame(Tally(1, 1, {})))
    segment[8] = version
    with pytest.raises(Corrupt, match=f"the frame at byte 0 has version {version} and length 6; known is version 1"):
        read(bytes(segment))


def test_a_length_that_no_frame_has_is_corrupt_at_once_and_not_waited_for() -> None:
    with pytest.raises(Corrupt, match=f"length {MAX_PAYLOAD + 1}"):
        read(HEADER.pack(MAX_PAYLOAD + 1, 0, VERSION))
    assert read(HEADER.pack(MAX_PAYLOAD, 0, VERSION)) == []


def test_the_wire_form_does_not_change() -> None:
    tally = b"\x94\xa1t\x03\x02\x81\xa4full\x01"
    assert (
        frame(Tally(3, 2, {"full": 1})) == len(tally).to_bytes(4, "little") + crc32(tally).to_bytes(4, "little") + b"\x01" + tally
    )
    request = Request(b"POST", b"/p", b"application/json", b"", b"{}", 2)
    answer = Answer("a", 200, "", 1_500, 900, b"application/json", b"gzip", b"[1]", 3)
    context = Context("fraud", 7, 3, 42, "baseline", "split", 9_500, b"user-1")
    record = Served(b"0123456789abcdef", b"r-1", 1_700_000_000_000_000, context, request, answer, (("b", "sent"),))
    decision = ["fraud", 7, 3, 42, "baseline", "split", 9_500, b"user-1"]
    wire = [
        "s",
        b"0123456789abcdef",
        b"r-1",
        1_700_000_000_000_000,
        [*decision, ""],
        [b"POST", b"/p", b"application/json", b"", b"{}", 2, []],
        ["a", 200, "", 1_500, 900, b"application/json", b"gzip", b"[1]", 3, 0],
        [["b", "sent"]],
        1,
        0,
        10_000,
        True,
    ]
    request_before_headers = [b"POST", b"/p", b"application/json", b"", b"{}", 2]
    assert frame(record) == framed(msgspec.msgpack.encode(wire))
    assert frame(Compared(record, answer)) == framed(msgspec.msgpack.encode(["c", wire, wire[6], 0]))
    older = [
        *wire[:4],
        decision,
        request_before_headers,
        ["a", 200, "", 1_500, 900, b"application/json", b"gzip", b"[1]", 3],
        wire[7],
    ]
    assert decode(msgspec.msgpack.encode(older)) == record


def newer(record: msgspec.Struct, later: list[object]) -> list[object]:
    """The wire form of `record` with `later` at its end, and at the end of every value inside it."""
    tag = record.__struct_config__.tag
    values = [getattr(record, field.name) for field in msgspec.structs.fields(record)]
    inner = [newer(value, later) if isinstance(value, msgspec.Struct) else value for value in values]
    return [*([tag] if tag else []), *inner, *later]


@given(records, st.lists(st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.booleans(), max_size=2), max_size=3))
def test_fields_that_a_newer_writer_adds_at_the_end_are_ignored(record: Record, later: list[object]) -> None:
    payload = msgspec.msgpack.encode(newer(record, later))
    assert [decode(one) for one, _ in frames(framed(payload))] == [record]


def test_an_older_writer_leaves_out_what_is_shown() -> None:
    context = Context("fraud", 0, 0, 1, "baseline", "only", 10_000, b"")
    answer = Answer("a", 0, "connect", 0, 0, b"", b"", b"", 0)
    record = Served(b"i" * 16, b"", 0, context, Request(b"GET", b"/", b"", b"", b"", 0), answer)
    payload = msgspec.msgpack.encode(msgspec.msgpack.decode(msgspec.msgpack.encode(record))[:-1])
    assert decode(payload) == record


@given(st.binary(max_size=60))
def test_any_payload_is_a_record_or_corrupt(payload: bytes) -> None:
    try:
        record = decode(payload)
    except Corrupt:
        return
    assert isinstance(record, Served | Compared | Tally | Drops)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x94\xa1x\x01\x01\x80",
        b"\x93\xa1t\x01\x01",
        b"\x94\xa1t\x01\x01\x80\x00",
        b"\x94\xa1t\x01\x01\x81\xa1\xff\x01",
        b"\x95\xa1t\x01\x01\x80" + b"\x91" * 100_000 + b"\xc0",
        b"\x94\xa1t\xa11\x01\x80",
    ],
    ids=[
        "empty",
        "no MessagePack",
        "unknown tag",
        "too short",
        "trailing bytes",
        "text that is not UTF-8",
        "very deep",
        "wrong type",
    ],
)
def test_a_payload_that_is_no_record_is_corrupt(payload: bytes) -> None:
    with pytest.raises(Corrupt, match="a frame holds no record"):
        decode(payload)


@given(st.lists(st.integers(1, 9_999_999_999), min_size=1))
def test_segments_sort_by_name_in_the_order_of_writing(numbers: list[int]) -> None:
    names = [segment_name(number) for number in sorted(numbers)]
    assert sorted(names) == names
    assert all(name.endswith(SEGMENT_SUFFIX) for name in names)
