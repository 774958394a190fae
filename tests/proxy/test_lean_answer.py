"""However the bytes of an answer are cut, they are read as the same answer, or as none."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shapegate_proxy.lean_answer import HEAD_BYTES_MAX, HEADERS_MAX, VOID_BYTES_MAX, AnswerReader
from shapegate_proxy.lean_framing import Framing
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a connection made of some bytes."""

    status: int | None
    headers: Mapping[str, str] | None
    framing: Framing | None
    body: bytes
    complete: bool
    kept: bool


def read(pieces: Iterable[bytes], *, bodyless: bool = False) -> Outcome:
    """Feed pieces as a connection does: after an end, or after what is no answer, it reads none."""
    reader = AnswerReader()
    reader.begin(bodyless=bodyless)
    body, left_over = b"", False
    for piece in pieces:
        if reader.complete:
            left_over = True
            break
        readable = reader.feed(memoryview(piece))
        body += reader.take()
        if not readable:
            left_over = True
            break
    head = reader.head
    outcome = Outcome(
        status=None if head is None else head.status,
        headers=None if head is None else head.headers,
        framing=None if head is None else head.framing,
        body=body,
        complete=reader.complete,
        kept=reader.complete and reader.keeps and not left_over,
    )
    reader.close()
    return outcome


def test_W_03_who_frames_in_a_doubtful_way_is_not_asked_again_on_this_connection() -> None:
    outcome = read([HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"])
    assert (outcome.framing, outcome.complete, outcome.kept) == (Framing.FAULTY, True, False)


def split(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


GOOD = {
    "length": EMPTY_LOG,
    "no body": HEAD + b"content-length: 0\r\n\r\n",
    "chunked": CHUNKED + b"1\r\n[\r\n1\r\n]\r\n0\r\n\r\n",
    "chunk extensions": CHUNKED + b'2;a=b;c="d"\r\n[]\r\n0;e\r\n\r\n',
    "trailers": CHUNKED + b"2\r\n[]\r\n0\r\nx-trailer: y\r\netag: z\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + EMPTY_LOG,
    "100 twice": b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + EMPTY_LOG,
    "other cases": EMPTY_LOG.replace(b"electric-handle", b"Electric-Handle").replace(b"OK", b""),
    "utf-8": EMPTY_LOG.replace(b"h-1", "gr\u00f6\u00dfe".encode()),
    "no utf-8": EMPTY_LOG.replace(b"h-1", b"gr\xf6\xdfe"),
    "twice": EMPTY_LOG.replace(b"electric-offset: 0_0", b"electric-handle: h-2"),
    "old, but kept": EMPTY_LOG.replace(b"1.1", b"1.0").replace(
        b"\r\n\r\n", b"\r\nconnection: keep-alive\r\n\r\n"
    ),
}
UNKEPT = {
    "close": EMPTY_LOG.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
    "old": EMPTY_LOG.replace(b"1.1", b"1.0"),
    "another answer": EMPTY_LOG + EMPTY_LOG,
    "the beginning of another": EMPTY_LOG + b"H",
    "more than its length": EMPTY_LOG + b"[]",
    "another after chunks": GOOD["chunked"] + EMPTY_LOG,
    "another after 304": GOOD["304"] + EMPTY_LOG,
    "204 with chunks": b"HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 No\r\ncontent-length: 40\r\n\r\n",
    "304 with a body": b"HTTP/1.1 304 No\r\ncontent-length: 2\r\n\r\n[]",
    "old chunks": GOOD["chunked"].replace(b"1.1", b"1.0"),
}
CUT = {
    "nothing": b"\r\n",
    "half a head": HEAD,
    "half a length": EMPTY_LOG[:-1],
    "half a chunk": CHUNKED + b"5\r\n[{",
    "no last chunk": CHUNKED + b"2\r\n[]\r\n",
    "no end of trailers": CHUNKED + b"2\r\n[]\r\n0\r\nx: y\r\n",
    "until close": HEAD + b"\r\n[]",
    "unknown coding": HEAD + b"transfer-encoding: x\r\n\r\n[]",
    "a length in a trailer": CHUNKED + b"2\r\n[]\r\n0\r\ncontent-length: 9\r\n\r\n",
    "a coding in a trailer": CHUNKED + b"2\r\n[]\r\n0\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunk of no size": CHUNKED + b"zz\r\n[]\r\n0\r\n\r\n",
    "chunk beyond its size": CHUNKED + b"1\r\n[]\r\n0\r\n\r\n",
    "chunk of 2^68": CHUNKED + b"fffffffffffffffff\r\n[]\r\n0\r\n\r\n",
    "chunk of -2": CHUNKED + b"-2\r\n[]\r\n0\r\n\r\n",
    "garbage in a chunk's end": CHUNKED + b"2\r\n[]xx0\r\n\r\n",
    "line feeds only": EMPTY_LOG.replace(b"\r\n", b"\n"),
}
NONE = {
    "length and chunks": HEAD
    + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    "chunks and length": HEAD
    + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n[]",
    "one length twice": HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\n[]",
    "a list of lengths": HEAD + b"content-length: 2, 2\r\n\r\n[]",
    "negative": HEAD + b"content-length: -2\r\n\r\n[]",
    "signed": HEAD + b"content-length: +2\r\n\r\n[]",
    "no number": HEAD + b"content-length: 2x\r\n\r\n[]",
    "2^64": HEAD + b"content-length: 18446744073709551618\r\n\r\n[]",
    "a blank before the colon": HEAD + b"content-length : 2\r\n\r\n[]",
    "101": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n" + EMPTY_LOG,
    "101 without upgrade": b"HTTP/1.1 101 Switching\r\n\r\n" + EMPTY_LOG,
    "103 with a body": b"HTTP/1.1 103 Hints\r\ncontent-length: 2\r\n\r\n[]" + EMPTY_LOG,
    "103 with chunks": b"HTTP/1.1 103 Hints\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
    + EMPTY_LOG,
    "status 099": b"HTTP/1.1 099 x\r\ncontent-length: 0\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 x\r\ncontent-length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
    "tls": b"\x15\x03\x01\x00\x02\x02\x46",
    "html": b"<html><body>Bad gateway</body></html>",
    "a NUL": EMPTY_LOG.replace(b"h-1", b"h\0"),
    "a bare CR": EMPTY_LOG.replace(b"h-1", b"h\rx: y"),
    "wide": HEAD + b"x: " + b"x" * HEAD_BYTES_MAX + b"\r\ncontent-length: 0\r\n\r\n",
    "a long reason": HEAD.replace(b"OK", b"x" * HEAD_BYTES_MAX) + b"content-length: 0\r\n\r\n",
    "100 for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES_MAX // 25 + 1) + EMPTY_LOG,
    "too many headers": HEAD
    + b"".join(b"x-%d: y\r\n" % n for n in range(HEADERS_MAX))
    + b"content-length: 0\r\n\r\n",
}
ALL = GOOD | UNKEPT | CUT | NONE


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_read_whole_and_leaves_the_connection_clean(name: str) -> None:
    outcome = read([GOOD[name]])
    assert outcome.complete
    assert outcome.kept
    assert outcome.framing is (Framing.CLOSE if name == "304" else Framing.SAID)
    assert outcome.body == (b"" if name in ("304", "no body") else b"[]")
    assert outcome.headers is not None
    assert "x-trailer" not in outcome.headers
    assert "link" not in outcome.headers


@pytest.mark.parametrize("name", UNKEPT)
def test_W_03_an_answer_that_may_be_followed_by_bytes_ends_its_connection(name: str) -> None:
    outcome = read([UNKEPT[name]])
    assert outcome.complete
    assert not outcome.kept
    assert outcome.body in (b"", b"[]")


@pytest.mark.parametrize("name", CUT)
def test_W_01_a_cut_answer_is_never_complete(name: str) -> None:
    assert not read([CUT[name]]).complete


@pytest.mark.parametrize("name", NONE)
def test_W_03_what_may_be_read_in_two_ways_is_no_answer(name: str) -> None:
    assert read([NONE[name]]).status is None


@pytest.mark.parametrize("name", [name for name in ALL if len(ALL[name]) < 1_000])
@pytest.mark.parametrize("bodyless", [False, True])
def test_W_03_every_answer_is_read_alike_wherever_it_is_cut(name: str, bodyless: bool) -> None:
    data = ALL[name]
    whole = read([data], bodyless=bodyless)
    for place in range(1, len(data)):
        assert read([data[:place], data[place:]], bodyless=bodyless) == whole
    assert read([data[place : place + 1] for place in range(len(data))], bodyless=bodyless) == whole


@settings(max_examples=60)
@given(st.sampled_from(sorted(ALL)), st.lists(st.integers(0, 200_000), max_size=6))
@example("100 for ever", [HEAD_BYTES_MAX])
@example("wide", [HEAD_BYTES_MAX, HEAD_BYTES_MAX - 1])
def test_W_03_answers_of_every_size_are_read_alike(name: str, places: list[int]) -> None:
    assert read(split(ALL[name], places)) == read([ALL[name]])


@given(st.binary(max_size=200), st.integers(0, 300), st.sampled_from(sorted(GOOD)))
def test_W_02_garbage_anywhere_is_an_answer_or_none(garbage: bytes, place: int, name: str) -> None:
    data = GOOD[name][:place] + garbage + GOOD[name][place:]
    outcome = read([data])
    assert len(outcome.body) <= len(data)
    assert outcome.status is None or 200 <= outcome.status <= 999
    for header, value in (outcome.headers or {}).items():
        assert not set("\r\n\0") & set(header + value)
        assert header == header.lower()


@pytest.mark.parametrize("data", [*GOOD.values(), CHUNKED + b"2\r\n[]\r\n0\r\n\r\n", EMPTY_LOG])
def test_a_head_alone_has_no_body(data: bytes) -> None:
    outcome = read([data], bodyless=True)
    assert outcome.complete
    assert outcome.body == b""
    assert not outcome.kept or b"content-length: 0" in data or b" 304 " in data


def test_a_connection_is_read_answer_after_answer() -> None:
    reader = AnswerReader()
    for data in [*GOOD.values(), *GOOD.values()]:
        reader.begin(bodyless=False)
        assert (reader.touched, reader.complete) == (False, False)
        assert reader.feed(memoryview(data))
        assert reader.complete
        assert reader.keeps
        assert reader.touched
        assert reader.take() in (b"[]", b"")
    reader.close()


@pytest.mark.parametrize(
    "drip",
    [
        CHUNKED + b"2\r\n[]\r\n0\r\n" + b"x: y\r\n" * VOID_BYTES_MAX,
        CHUNKED + b"2;" + b"x" * 3 * VOID_BYTES_MAX,
    ],
)
def test_I_22_what_is_no_body_is_bounded(drip: bytes) -> None:
    reader = AnswerReader()
    fed = 0
    while reader.feed(memoryview(drip[fed : fed + 1_000])):
        reader.take()
        fed += 1_000
    assert fed < 2 * VOID_BYTES_MAX
    assert not reader.complete
    reader.close()


def test_W_08_a_head_up_to_its_bound_is_read() -> None:
    rest = HEAD + b"content-length: 0\r\nelectric-schema: \r\n\r\n"
    for size, passes in ((HEAD_BYTES_MAX - len(rest), True), (HEAD_BYTES_MAX - len(rest) + 1, False)):
        outcome = read([rest.replace(b"schema: ", b"schema: " + b"x" * size)])
        assert outcome.complete is passes
