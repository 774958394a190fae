"""The lines of an event stream, read as they come."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_wire.errors import MalformedResponse
from shapegate_wire.sse import EventParser

BOUND = 1_000


def parse(*blocks: bytes, event_bytes_max: int = BOUND) -> list[bytes]:
    parser = EventParser(event_bytes_max=event_bytes_max)
    return [data for block in blocks for data in parser.feed(block)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", []),
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a\r\n\r\n", [b"a"]),
        (b"data: a\r\r", [b"a"]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\rdata: b\r\ndata:c\n\n", [b"a\nb\nc"]),
        (b"data\n\n", [b""]),
        (b"data: a:b\n\n", [b"a:b"]),
        (b": keep-alive\n\n", []),
        (b":\n\ndata: a\n: in between\ndata: b\n\n", [b"a\nb"]),
        (b"id: 7\nretry: 10\nevent: message\ndata: a\n\n", [b"a"]),
        (b"event: ping\ndata: a\n\ndata: b\n\n", [b"b"]),
        (b"event: ping\n\ndata: b\n\n", [b"b"]),
        (b"datas: a\nDATA: a\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: \xef\xbb\xbfa\n\n", [b"\xef\xbb\xbfa"]),
        (b"\n\n\n\ndata: a\n\n\n\n", [b"a"]),
        (
            b"data: \xc3\xa4\xe2\x80\xa8\x0b\x0c\x1c\xc2\x85b\n\n",
            [b"\xc3\xa4\xe2\x80\xa8\x0b\x0c\x1c\xc2\x85b"],
        ),
        (b"data: never ended\n", []),
        (b"data: a\n\ndata: never en", [b"a"]),
    ],
)
def test_C_43_comments_are_skipped_lines_joined_and_every_line_end_taken(
    stream: bytes, expected: list[bytes]
) -> None:
    assert parse(stream) == expected
    assert parse(*(bytes([byte]) for byte in stream)) == expected
    assert parse(*(b"", *stream.partition(b"\r"), b"")) == expected


def test_an_event_larger_than_allowed_is_refused_in_one_line_and_in_many() -> None:
    assert parse(b"data: " + b"x" * 900 + b"\n\n") == [b"x" * 900]
    for blocks in ([b"data: " + b"x" * BOUND], [b"data: xxxxxxxxx\n"] * 200, [b":" + b"x" * 400] * 3):
        with pytest.raises(MalformedResponse, match="more than 1000 bytes"):
            parse(*blocks)


def test_the_bound_is_of_one_event_not_of_the_stream() -> None:
    assert len(parse(*([b"data: xxxxxxxxx\n\n: keep-alive\n\n"] * 500))) == 500


LINE = st.sampled_from(
    [
        b"data: a",
        b"data:",
        b"data: {}",
        b": keep-alive",
        b"",
        b"",
        b"event: x",
        b"id: 1",
        b"\xef\xbb\xbfdata: b",
    ]
)
END = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(LINE, END), max_size=12), st.data())
@settings(max_examples=200, deadline=None)
def test_C_43_where_the_bytes_are_cut_makes_no_difference(
    lines: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(line + end for line, end in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    blocks = [stream[start:stop] for start, stop in itertools.pairwise([0, *cuts, len(stream)])]
    assert parse(*blocks) == parse(stream)


@given(st.lists(st.tuples(LINE, END), max_size=12))
@settings(max_examples=200, deadline=None)
def test_the_kind_of_line_end_makes_no_difference(lines: list[tuple[bytes, bytes]]) -> None:
    # A CR before an empty line that ends with LF would be one CRLF, so those are told apart first.
    told_apart = [(line or b": nothing", end) for line, end in lines] + [(b"", b"\n")]
    mixed = b"".join(line + end for line, end in told_apart[:-1]) + b"data: z\n\n"
    plain = b"".join(line + b"\n" for line, _ in told_apart[:-1]) + b"data: z\n\n"
    assert parse(mixed) == parse(plain)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_events_or_a_refusal(stream: bytes) -> None:
    for data in parse(stream):
        assert b"\r" not in data
