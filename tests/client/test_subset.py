"""Rows of subsets beside the stream: they never go back in time."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapegate_client.inserts import Inserts
from shapegate_client.subset import Ahead, admit, still_ahead
from shapegate_wire.message import (
    Change,
    Operation,
    SnapshotEnd,
    SubsetRows,
    UpToDate,
    parse_subset_rows,
)
from shapegate_wire.visibility import Visibility
from tests.conformance.recording import load

EPOCH = 1 << 32


def change(key: str, *txids: int, value: str | None = None) -> Change:
    operation = Operation.DELETE if value is None else Operation.INSERT
    return Change(key=key, operation=operation, value={"v": value}, txids=txids)


def ahead(*keys: str, xmin: int = 10, xmax: int = 20, running: tuple[int, ...] = (), lsn: int = 500) -> Ahead:
    rows = tuple(change(key, value="x") for key in keys)
    end = SnapshotEnd(xmin=xmin, xmax=xmax, xip_list=running)
    return Ahead.of(SubsetRows(rows=rows, end=end, database_lsn=lsn))


@pytest.mark.parametrize(
    ("arrived", "news"),
    [
        (change("a", 9), False),
        (change("b", 9), True),
        (change("a", 20), True),
        (change("a", 12), True),
        (change("a", 13), False),
        (change("a"), True),
        (change("a", 9, 20), True),
        (change("a", 9, 8), False),
    ],
)
def test_C_47_a_change_is_news_unless_the_snapshot_of_its_row_saw_it(arrived: Change, *, news: bool) -> None:
    held = (ahead("x"), ahead("a", running=(12,)))
    admitted = admit([arrived], held)
    assert admitted.messages == ((arrived,) if news else ())
    assert admitted.shown_txids == (frozenset() if news else frozenset(arrived.txids))


def test_C_47_a_row_whose_change_names_no_transaction_is_the_streams_from_then_on() -> None:
    """A row that moved in may be older than the subset: what comes after it has to be taken too."""
    history = [change("a", value="old"), change("a", 9, value="seen"), change("b", 9, value="seen")]
    admitted = admit(history, (ahead("a", "b"),))
    assert admitted.messages == tuple(history[:2])
    assert [each.keys for each in admitted.ahead] == [{"b"}]


def test_C_47_no_subset_outlives_a_run_of_rows_whose_keys_are_not_read() -> None:
    rows = Inserts(columns=(), relation=None, count=1, read=([1],))
    later = change("a", 9, value="seen")
    admitted = admit([rows, later], (ahead("a"),))
    assert admitted.messages == (rows, later)
    assert admitted.ahead == ()


@pytest.mark.parametrize(
    ("newer", "older", "sees"),
    [
        ((10, 20, ()), (10, 20, ()), True),
        ((10, 21, ()), (10, 20, (12,)), True),
        ((10, 20, (12,)), (10, 20, (12,)), True),
        ((10, 20, (12,)), (10, 20, ()), False),
        ((10, 30, (25,)), (10, 20, ()), True),
        ((10, 19, ()), (10, 20, ()), False),
    ],
)
def test_C_47_a_snapshot_that_was_taken_before_another_one_is_found(
    newer: tuple[int, int, tuple[int, ...]], older: tuple[int, int, tuple[int, ...]], *, sees: bool
) -> None:
    of = Visibility(xmin=older[0], xmax=older[1], running=frozenset(older[2]))
    assert ahead("a", xmin=newer[0], xmax=newer[1], running=newer[2]).sees_all_of(of) is sees


def test_C_47_the_latest_of_several_ids_is_found_across_the_wrap() -> None:
    held = ahead("a", xmin=EPOCH + 3, xmax=EPOCH + 3)
    assert held.shows(change("a", EPOCH - 1, 2))
    assert not held.shows(change("a", EPOCH - 1, 3))


@pytest.mark.parametrize(("lsn", "over"), [(499, False), (500, True), (501, True), (None, False)])
def test_C_47_a_subset_is_forgotten_when_the_stream_has_come_as_far(lsn: int | None, *, over: bool) -> None:
    held = (ahead("a"), ahead("b", lsn=600))
    assert still_ahead(held, [change("a", 30), UpToDate(lsn)]) == (held[1:] if over else held)


@dataclass(frozen=True)
class Story:
    """Transactions in commit order, and a snapshot between two of them."""

    commits: tuple[Change, ...]
    seen: int
    """How many of them were committed when the snapshot was taken."""
    ahead: Ahead
    rows: dict[str, str | None]
    """What the snapshot shows of its keys."""


def state(commits: tuple[Change, ...]) -> dict[str, str | None]:
    rows: dict[str, str | None] = dict.fromkeys("abc")
    for each in commits:
        rows[each.key] = each.value["v"]
    return rows


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Transactions that begin in one order and end in another, their ids anywhere in 64 bits."""
    count = draw(st.integers(1, 12))
    first = draw(st.sampled_from([3, EPOCH - 4, 5 * EPOCH - 6]))
    ended = draw(st.permutations(range(count)))
    commits = tuple(
        change(draw(st.sampled_from("abc")), (first + at) % EPOCH, value=draw(st.none() | st.just(f"{at}")))
        for at in ended
    )
    seen = draw(st.integers(0, count))
    begun = draw(st.integers(max(ended[:seen], default=-1) + 1, count))
    running = {first + at for at in range(begun)} - {first + at for at in ended[:seen]}
    keys = draw(st.sets(st.sampled_from("abc")))
    held = Ahead.of(
        SubsetRows(
            rows=tuple(change(key, value="x") for key in keys),
            end=SnapshotEnd(
                xmin=min(running, default=first + begun), xmax=first + begun, xip_list=tuple(running)
            ),
            database_lsn=seen,
        )
    )
    return Story(commits, seen, held, {key: state(commits[:seen])[key] for key in keys})


@given(stories(), st.data())
@settings(max_examples=300)
def test_C_47_rows_of_a_subset_are_as_new_as_it_or_the_stream_whichever_is_newer(
    story: Story, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, story.seen))
    rows = state(story.commits[:start]) | story.rows
    held: tuple[Ahead, ...] = (story.ahead,)
    for at in range(start, len(story.commits)):
        admitted = admit([story.commits[at]], held)
        for arrived in admitted.messages:
            assert isinstance(arrived, Change)
            rows[arrived.key] = arrived.value["v"]
        held = still_ahead(admitted.ahead, [UpToDate(at + 1)])
        for key in "abc":
            newest = max(at + 1, story.seen) if key in story.rows else at + 1
            assert rows[key] == state(story.commits[:newest])[key]


def test_C_47_recorded_subsets_are_read() -> None:
    found = [
        exchange.response
        for exchange in load("s10_now_changes_only_subset").exchanges
        if exchange.response is not None and "electric-snapshot" in exchange.response.headers
    ]
    assert found
    for response in found:
        assert isinstance(response.body, str)
        subset = parse_subset_rows(json.loads(response.body))
        assert subset.end.xmin <= subset.end.xmax
        assert subset.database_lsn > 0
        assert all(row.key.startswith('"public"."') for row in subset.rows)
