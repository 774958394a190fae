"""Watchers and the board that feeds them."""

from __future__ import annotations

import gc

import pytest

from shapegate_client.errors import TokenRejected
from shapegate_client.watch import Board, CommittedBatch, Watcher


def batch(offset: int, table: str = "items") -> CommittedBatch:
    return CommittedBatch(table=table, organization_id="acme", offset=str(offset))


def board() -> Board:
    made = Board(batches_max=3)
    made.adopt(1)
    return made


async def test_a_watcher_gets_its_tables_batches_in_order_and_then_ends() -> None:
    made = board()
    watcher = made.watch("items")
    for each in (batch(1), batch(2, "other"), batch(3)):
        made.committed(1, each)
    made.close()
    assert [each.offset async for each in watcher] == ["1", "3"]


async def test_L_07_what_is_too_much_for_the_queue_becomes_one_batch_that_says_replaced() -> None:
    watcher = Watcher("items", batches_max=3)
    for offset in range(1, 5):
        watcher.put(batch(offset))
    watcher.put(batch(5))
    watcher.end()
    assert [(each.offset, each.replaced) async for each in watcher] == [("4", True), ("5", False)]


async def test_an_error_comes_after_what_was_committed_before_it() -> None:
    made = board()
    watcher = made.watch("items")
    made.committed(1, batch(1))
    made.ended(1, "items", TokenRejected())
    assert (await anext(watcher)).offset == "1"
    with pytest.raises(TokenRejected):
        await anext(watcher)


async def test_T_04_what_an_org_reports_after_it_was_left_is_dropped() -> None:
    made = board()
    watcher = made.watch("items")
    made.committed(1, batch(1))
    made.adopt(2)
    made.committed(1, batch(2))
    made.ended(1, "items", TokenRejected())
    made.committed(2, batch(3))
    made.close()
    assert [each.offset async for each in watcher] == ["3"]


async def test_a_watcher_that_was_left_is_forgotten() -> None:
    made = board()
    watcher = made.watch("items")
    del watcher
    gc.collect()
    made.committed(1, batch(1))
    assert not made._of("items")
