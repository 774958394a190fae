"""An answer that is taken in without a parser is the one that a parser reads, and none that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shapegate_proxy.known_answers import ANSWER_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, KnownAnswer, know
from shapegate_proxy.lean_answer import AnswerReader
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD
from tests.proxy.test_lean_answer import ALL, GOOD, Outcome, read

if TYPE_CHECKING:
    from collections.abc import Iterable

DATE, ID = b"date: a\r\n", b"x-request-id: b\r\n"
DATED = HEAD + b"date: Fri, 20 Nov 2026 21:40:26 GMT\r\nx-request-id: GOnevGp09WZGW-YAAAGR\r\n"
LENGTH = DATED + b"content-length: 2\r\n\r\n[]"
CHUNK = DATED + b"transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
KNOWN = (LENGTH, CHUNK, EMPTY_LOG, CHUNKED + b"2\r\n[]\r\n0\r\n\r\n", *GOOD.values())


def known_of(answer: bytes) -> KnownAnswer | None:
    """Let a parser read an answer, as a connection does."""
    reader = AnswerReader()
    readable, body = reader.feed(memoryview(answer)), reader.take()
    head, keeps, complete = reader.head, reader.keeps, reader.complete
    reader.close()
    if not (readable and complete) or head is None:
        return None
    return know(memoryview(answer), head, body, keeps=keeps)


def recalled(told: bytes, answer: bytes) -> Outcome | None:
    """Take an answer in by what is known of one that came before."""
    known = known_of(told)
    buffer = memoryview(answer + b"!" * 100)
    body = None if known is None else known.body(buffer, len(answer))
    if known is None or body is None:
        return None
    return Outcome(
        status=known.head.status,
        headers=known.head.headers,
        framing=known.head.framing,
        body=body,
        complete=True,
        kept=known.keeps,
    )


@pytest.mark.parametrize("answer", [LENGTH, CHUNK])
def test_only_a_time_and_an_id_may_be_others(answer: bytes) -> None:
    other = answer.replace(b"21:40:26", b"21:40:27").replace(b"GOnev", b"other")
    assert recalled(answer, other) == read([other]) == read([answer])
    for place in (b"h-1", b"HTTP/1.1", b"200", b"0_0", b"date", b"x-request-id"):
        another = other.replace(place, place[:-1] + b"7", 1)
        assert another != other
        assert recalled(answer, another) is None


@pytest.mark.parametrize("lines", [b"", DATE, ID, DATE + ID, ID + b"x: y\r\n" + DATE, b"Date: a\r\n"])
def test_both_either_or_none_of_them_in_any_order(lines: bytes) -> None:
    for end in (b"content-length: 2\r\n\r\n[]", b"transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"):
        for answer in (HEAD + lines + end, HEAD + end.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n", 1)):
            other = answer.replace(b"ate: a", b"ate: c").replace(b"id: b", b"id: c")
            assert recalled(answer, other) == read([other])
            assert read([other]).complete


@pytest.mark.parametrize("answer", [LENGTH, CHUNK])
def test_another_body_of_the_same_length_is_taken_in(answer: bytes) -> None:
    said = answer.replace(b"[]", b"{}")
    found = recalled(answer, said)
    assert found is not None
    assert found == read([said])
    assert found.body == b"{}"


@pytest.mark.parametrize("told", [LENGTH, CHUNK])
def test_W_03_a_body_of_another_length_is_the_parsers(told: bytes) -> None:
    for other in (told + b"x", told[:-1], told.replace(b"2\r\n[", b"3\r\n["), told.replace(b"[]", b"[ ]")):
        assert other in (told, LENGTH) or recalled(told, other) is None


@pytest.mark.parametrize(
    "line",
    [
        b"date: a\r\n b\r\n",
        b"date: a\r\n\tb\r\n",
        b"date: a\rb\r\n",
        b"date: a\nb\r\n",
        b"date: a\0b\r\n",
        b"date: \r\nb:\r\n",
        b"date:a\r\n",
        b"date : a\r\n",
        b"xdate: a\r\n",
        b"date: a\x80b\r\n",
        b"date: a\x7fb\r\n",
    ],
)
def test_W_03_a_line_that_may_be_more_than_a_time_is_the_parsers(line: bytes) -> None:
    for length in range(12):
        told = HEAD + b"date: %b\r\ncontent-length: 2\r\n\r\n[]" % (b"a" * length)
        assert recalled(told, HEAD + line + b"content-length: 2\r\n\r\n[]") is None


@pytest.mark.parametrize("lines", [DATE + DATE + ID, ID + DATE + ID])
def test_more_than_one_of_each_is_always_the_parsers(lines: bytes) -> None:
    told = HEAD + lines + b"content-length: 2\r\n\r\n[]"
    assert read([told]).complete
    assert known_of(told) is None


@pytest.mark.parametrize("name", [*ALL, "length", "chunk"])
def test_W_03_what_is_known_changes_nothing_of_how_an_answer_is_read(name: str) -> None:
    answer = (ALL | {"length": LENGTH, "chunk": CHUNK})[name]
    for told in (answer, *KNOWN):
        found = recalled(told, answer)
        assert found is None or found == read([answer])


PIECES = st.sampled_from(
    [
        b"0\r\n",
        b"2\r\n[]\r\n",
        b"\r\n",
        b"2\r\n",
        b"[]",
        b"02\r\n[]\r\n",
        b"2;a\r\n",
        b"x: y\r\n",
        b"a",
        b"0",
        b"\n",
    ]
)


@example([b"0\r\n", b"\r\n", b"0\r\n", b"\r\n"], CHUNK, False)
@given(st.lists(PIECES, max_size=6), st.sampled_from([CHUNK, LENGTH, EMPTY_LOG]), st.booleans())
def test_W_03_whatever_follows_a_known_head_is_read_as_by_the_parser(
    rest: Iterable[bytes], told: bytes, whole: bool
) -> None:
    head, end, body = told.partition(b"\r\n\r\n")
    answer = head + end + (body if whole else b"") + b"".join(rest)
    found = recalled(told, answer)
    assert found is None or found == read([answer])


@given(st.integers(0, len(CHUNK)), st.binary(max_size=4), st.integers(0, 4))
def test_W_03_a_known_answer_with_garbage_is_read_as_by_the_parser(
    place: int, garbage: bytes, cut: int
) -> None:
    for told in (CHUNK, LENGTH):
        answer = told[:place] + garbage + told[place + cut :]
        found = recalled(told, answer)
        assert found is None or found == read([answer])


def test_a_head_before_that_of_the_answer_is_not_the_answers() -> None:
    for name in ("103", "100 twice"):
        assert known_of(GOOD[name]) is None


def test_W_08_what_is_known_of_an_answer_is_bounded() -> None:
    wide = HEAD + b"x: %b\r\ncontent-length: 2\r\n\r\n[]"
    long = HEAD + b"content-length: %d\r\n\r\n%b"
    assert known_of(wide % (b"x" * (HEAD_BYTES_MAX // 2))) is not None
    assert known_of(wide % (b"x" * HEAD_BYTES_MAX)) is None
    many = HEAD + b"%bcontent-length: 2\r\n\r\n[]"
    for count, known in ((HEADERS_MAX - 4, True), (HEADERS_MAX - 3, False)):
        lines = b"".join(b"x-%d: y\r\n" % number for number in range(count))
        assert (known_of(many % lines) is not None) is known
    assert known_of(long % (ANSWER_BYTES_MAX // 2, b"x" * (ANSWER_BYTES_MAX // 2))) is not None
    assert known_of(long % (ANSWER_BYTES_MAX, b"x" * ANSWER_BYTES_MAX)) is None
