"""An answer that is taken in without a parser is the one that a parser reads, and none that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shapegate_proxy.known_answers import ANSWER_BYTES_MAX, HEAD_BYTES_MAX, KnownAnswers
from shapegate_proxy.lean_answer import AnswerReader
from tests.proxy.raw import CHUNKED, EMPTY_LOG, HEAD
from tests.proxy.test_lean_answer import ALL, GOOD, Outcome, read

if TYPE_CHECKING:
    from collections.abc import Iterable

DATED = HEAD + b"date: Fri, 20 Nov 2026 21:40:26 GMT\r\nx-request-id: GOnevGp09WZGW-YAAAGR\r\n"
LENGTH = DATED + b"content-length: 2\r\n\r\n[]"
CHUNK = DATED + b"transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
KNOWN = (LENGTH, CHUNK, EMPTY_LOG, CHUNKED + b"2\r\n[]\r\n0\r\n\r\n", *GOOD.values())


def learned(*answers: bytes) -> KnownAnswers:
    """Let a parser read answers, each on a connection of its own."""
    known = KnownAnswers()
    for answer in answers:
        reader = AnswerReader(known)
        reader.feed(memoryview(answer))
        reader.close()
    return known


def recalled(known: KnownAnswers, answer: bytes) -> Outcome | None:
    """Take an answer in by what is known."""
    found = known.recall(memoryview(answer))
    if found is None:
        return None
    head, body = found
    return Outcome(
        status=head.head.status,
        headers=head.head.headers,
        framing=head.head.framing,
        body=body,
        complete=True,
        kept=head.keeps,
    )


@pytest.mark.parametrize("answer", [LENGTH, CHUNK])
def test_only_a_time_and_an_id_may_be_others(answer: bytes) -> None:
    known = learned(answer)
    other = answer.replace(b"21:40:26", b"21:40:27").replace(b"GOnev", b"another")
    assert recalled(known, other) == read([other]) == read([answer])
    for place in (b"h-1", b"HTTP/1.1", b"200", b"0_0", b"date", b"x-request-id"):
        another = other.replace(place, place[:-1] + b"7", 1)
        assert another != other
        assert known.recall(memoryview(another)) is None


def test_another_body_is_another_answer_with_the_same_head() -> None:
    body = b'[{"headers":{"control":"up-to-date"}}]'
    said = CHUNK.replace(b"2\r\n[]", b"%X\r\n%b" % (len(body), body))
    found = recalled(learned(CHUNK), said)
    assert found is not None
    assert found == read([said])
    assert found.body == body


def test_W_03_a_body_of_another_length_than_is_said_is_the_parsers() -> None:
    for longer in (LENGTH + b"x", LENGTH[:-1], CHUNK + b"x", CHUNK[:-1], CHUNK.replace(b"2\r\n[", b"3\r\n[")):
        assert learned(LENGTH, CHUNK).recall(memoryview(longer)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"date: a\r\n b\r\n",
        b"date: a\r\n\tb\r\n",
        b"date: a\rb\r\n",
        b"date: a\nb\r\n",
        b"date: a\0b\r\n",
        b"date:a\r\n",
        b"date : a\r\n",
        b"xdate: a\r\n",
        b"date: a\x80b\r\n",
    ],
)
def test_W_03_a_line_that_may_be_more_than_a_time_is_the_parsers(line: bytes) -> None:
    told = HEAD + b"date: a\r\ncontent-length: 2\r\n\r\n[]"
    assert learned(told).recall(memoryview(told.replace(b"date: a\r\n", line))) is None


DATE, ID = b"date: a\r\n", b"x-request-id: b\r\n"


@pytest.mark.parametrize(
    "lines", [b"date: a\r\n b\r\n", b"date: a\r\n\tb\r\n", DATE + DATE, ID + DATE, DATE + b"x: y\r\n" + DATE]
)
def test_W_08_a_head_that_would_never_be_known_again_is_not_kept(lines: bytes) -> None:
    """The first head says in which order a time and an id stand."""
    told = HEAD + b"%bcontent-length: 2\r\n\r\n[]"
    known = learned(told % (DATE + ID), told % lines)
    assert len(known) == 1
    assert known.recall(memoryview(told % lines)) is None
    for fewer in (b"", DATE, ID):
        assert recalled(learned(told % (DATE + ID), told % fewer), told % fewer) == read([told % fewer])


@pytest.mark.parametrize("name", [*ALL, "length", "chunk"])
def test_W_03_what_is_known_changes_nothing_of_how_an_answer_is_read(name: str) -> None:
    answer = (ALL | {"length": LENGTH, "chunk": CHUNK})[name]
    found = recalled(learned(*KNOWN, answer), answer)
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
    found = recalled(learned(told), answer)
    assert found is None or found == read([answer])


@given(st.integers(0, len(CHUNK)), st.binary(max_size=4), st.integers(0, 4))
def test_W_03_a_known_answer_with_garbage_is_read_as_by_the_parser(
    place: int, garbage: bytes, cut: int
) -> None:
    for told in (CHUNK, LENGTH):
        answer = told[:place] + garbage + told[place + cut :]
        found = recalled(learned(told), answer)
        assert found is None or found == read([answer])


def test_a_head_before_that_of_the_answer_is_not_the_answers() -> None:
    assert learned(GOOD["103"], GOOD["100 twice"]).recall(memoryview(GOOD["103"])) is None


def test_an_answer_without_a_body_or_in_two_reads_is_not_learned() -> None:
    known = KnownAnswers()
    for pieces, bodyless in (((LENGTH,), True), ((LENGTH[:9], LENGTH[9:]), False)):
        reader = AnswerReader(known)
        reader.begin(bodyless=bodyless)
        for piece in pieces:
            reader.feed(memoryview(piece))
        reader.close()
    assert known.recall(memoryview(LENGTH)) is None


def test_W_08_what_is_known_is_bounded() -> None:
    wide = HEAD + b"x: %b\r\ncontent-length: 2\r\n\r\n[]" % (b"x" * HEAD_BYTES_MAX)
    long = HEAD + b"content-length: %d\r\n\r\n%b" % (ANSWER_BYTES_MAX, b"x" * ANSWER_BYTES_MAX)
    known = learned(wide, long)
    assert known.recall(memoryview(wide)) is None
    assert known.recall(memoryview(long)) is None
    few = KnownAnswers(size_max=2)
    for number in range(3):
        reader = AnswerReader(few)
        reader.feed(memoryview(LENGTH.replace(b"h-1", b"h-%d" % number)))
        reader.close()
    kept = [
        few.recall(memoryview(LENGTH.replace(b"h-1", b"h-%d" % number))) is not None for number in range(3)
    ]
    assert kept == [False, True, True]
