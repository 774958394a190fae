from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_harness.electric.log import ChunkPage, Entry, LogPage, NotReady, OutOfBounds, ShapeLog
from shapegate_wire.offset import BEFORE_ALL, INFINITE_OP, SNAPSHOT_END, SNAPSHOT_START, Offset


def entry(lsn: int, op: int = 0) -> Entry:
    return Entry(offset=Offset(lsn, op), message=f"{lsn}_{op}".encode())


def full_log() -> ShapeLog:
    log = ShapeLog()
    log.complete_snapshot((b"[0]", b"[1]"))
    log.append([entry(100, 0), entry(100, 2), entry(200, 0)])
    return log


def test_the_start_waits_for_the_snapshot_but_the_end_does_not() -> None:
    log = ShapeLog()
    assert log.page(BEFORE_ALL) == NotReady()
    assert log.page(SNAPSHOT_START) == NotReady()
    assert log.page(SNAPSHOT_END) == LogPage(messages=(), offset=SNAPSHOT_END, up_to_date=True)


def test_chunks_are_numbered_from_the_first_answer() -> None:
    log = full_log()
    assert log.page(BEFORE_ALL) == ChunkPage(body=b"[0]", offset=Offset(0, 0))
    assert log.page(Offset(0, 0)) == ChunkPage(body=b"[1]", offset=Offset(0, 1))


@pytest.mark.parametrize(
    ("after", "messages"),
    [
        (Offset(0, 1), (b"100_0", b"100_2", b"200_0")),
        (SNAPSHOT_END, (b"100_0", b"100_2", b"200_0")),
        (Offset(100, 0), (b"100_2", b"200_0")),
        (Offset(100, 1), (b"100_2", b"200_0")),
        (Offset(100, INFINITE_OP), (b"200_0",)),
        (Offset(200, 0), ()),
    ],
)
def test_the_log_goes_on_after_the_asked_offset(after: Offset, messages: tuple[bytes, ...]) -> None:
    assert full_log().page(after) == LogPage(messages=messages, offset=Offset(200, 0), up_to_date=True)


@pytest.mark.parametrize("after", [Offset(200, 1), Offset(201, 0), Offset(1 << 63, 0)])
def test_an_offset_beyond_the_end_is_out_of_bounds(after: Offset) -> None:
    assert full_log().page(after) == OutOfBounds()


def test_an_empty_log_ends_with_its_snapshot() -> None:
    log = ShapeLog()
    log.complete_snapshot((b"[]",))
    assert log.page(SNAPSHOT_START) == LogPage(messages=(), offset=SNAPSHOT_END, up_to_date=True)
    assert log.page(Offset(1, 0)) == OutOfBounds()


def chunked_log() -> ShapeLog:
    """A log whose chunks close with 10 bytes: `100_0` and `100_2` fill the first."""
    log = ShapeLog(chunk_bytes=10)
    log.complete_snapshot((b"[]",))
    log.append([entry(100, 0), entry(100, 2), entry(100, 4), entry(200, 0), entry(300, 0)])
    return log


@pytest.mark.parametrize(
    ("after", "messages", "offset", "up_to_date"),
    [
        (SNAPSHOT_START, (b"100_0", b"100_2"), Offset(100, 2), False),
        (SNAPSHOT_END, (b"100_0", b"100_2"), Offset(100, 2), False),
        (Offset(100, 0), (b"100_2",), Offset(100, 2), False),
        (Offset(100, 2), (b"100_4", b"200_0"), Offset(200, 0), False),
        (Offset(200, 0), (b"300_0",), Offset(300, 0), True),
        (Offset(300, 0), (), Offset(300, 0), True),
    ],
)
def test_changes_are_cut_where_a_chunk_is_full(
    after: Offset, messages: tuple[bytes, ...], offset: Offset, up_to_date: bool
) -> None:
    assert chunked_log().page(after) == LogPage(messages=messages, offset=offset, up_to_date=up_to_date)


def test_a_chunk_that_ends_the_log_is_up_to_date() -> None:
    log = ShapeLog(chunk_bytes=10)
    log.complete_snapshot((b"[]",))
    log.append([entry(100, 0), entry(100, 2)])
    assert log.page(SNAPSHOT_END) == LogPage(
        messages=(b"100_0", b"100_2"), offset=Offset(100, 2), up_to_date=True
    )


def test_what_is_held_counts_the_snapshot_and_the_changes() -> None:
    log = ShapeLog()
    assert log.bytes_held == 0
    log.complete_snapshot((b"[0]", b"[1]"))
    log.append([entry(100, 0)])
    assert (log.bytes_held, log.change_bytes) == (11, 5)


@given(
    st.sets(st.tuples(st.integers(1, 20), st.integers(0, 9)), max_size=30),
    st.integers(0, 20),
    st.integers(1, 40),
)
@settings(max_examples=100, deadline=None)
def test_following_page_by_page_misses_and_repeats_nothing(
    positions: set[tuple[int, int]], split: int, chunk_bytes: int
) -> None:
    ordered = [entry(lsn, op) for lsn, op in sorted(positions)]
    log = ShapeLog(chunk_bytes=chunk_bytes)
    log.complete_snapshot((b"[]",))
    seen: list[bytes] = []
    at = SNAPSHOT_START
    for part in (ordered[:split], ordered[split:]):
        log.append(part)
        while True:
            page = log.page(at)
            assert isinstance(page, LogPage)
            assert sum(map(len, page.messages[:-1])) < chunk_bytes
            seen += page.messages
            at = page.offset
            assert page.up_to_date == (at == log.end)
            if page.up_to_date:
                break
    assert seen == [item.message for item in ordered]
    assert log.change_bytes == sum(len(item.message) for item in ordered)
