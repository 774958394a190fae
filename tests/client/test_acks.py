"""Waiting for a write of one's own to arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shapegate_client import ShapeDefinition
from shapegate_client.acks import COMMITS_MAX, Acknowledgement, Acknowledgements
from shapegate_client.errors import NotSubscribed
from shapegate_client.watch import Board, CommittedBatch
from shapegate_wire.visibility import Visibility
from tests.client.electric_gate import following, open_electric

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

ITEMS = """
    CREATE TABLE items (id int PRIMARY KEY, title text);
    ALTER TABLE items REPLICA IDENTITY FULL;
    INSERT INTO items VALUES (1, 'one');
"""


def batch(*txids: int, snapshot: Visibility | None = None, table: str = "items") -> CommittedBatch:
    return CommittedBatch(
        table=table,
        organization_id="acme",
        offset="1_0",
        inserted=((1,),),
        txids=frozenset(txids),
        snapshot=snapshot,
    )


@pytest.mark.parametrize(
    ("committed", "known"),
    [
        ((batch(7),), True),
        ((batch(6, 7, 8), batch(9)), True),
        ((batch(6),), False),
        ((batch(7, table="users"),), False),
        ((batch(),), False),
        ((batch(snapshot=Visibility(xmin=8, xmax=8)),), True),
        ((batch(snapshot=Visibility(xmin=6, xmax=8, running=frozenset([7]))),), False),
        ((batch(7), *[batch(n) for n in range(100, 100 + COMMITS_MAX)]), False),
    ],
)
def test_C_48_a_write_is_known_by_its_txid_or_by_a_snapshot_that_saw_it(
    committed: tuple[CommittedBatch, ...], *, known: bool
) -> None:
    held = Acknowledgements()
    for each in committed:
        held.add(each.table, Acknowledgement(each.txids, each.snapshot))
    assert held.has("items", 7) is known


def test_C_48_what_was_removed_or_left_is_not_known_any_more() -> None:
    board = Board(batches_max=3)
    board.adopt(1)
    board.committed(1, batch(7))
    board.committed(1, batch(7, table="users"))
    board.committed(0, batch(8))
    assert board.acknowledgements.has("items", 7)
    assert not board.acknowledgements.has("items", 8)
    board.ended(1, "items", None)
    assert not board.acknowledgements.has("items", 7)
    board.adopt(2)
    assert not board.acknowledgements.has("users", 7)


async def write(writer: asyncpg.Connection, sql: str) -> int:
    """Write in a transaction and return its id as the protocol has it."""
    async with writer.transaction():
        await writer.execute(sql)
        return int(await writer.fetchval("SELECT pg_current_xact_id()::xid::text"))


async def test_C_48_C_49_a_write_is_awaited_by_its_txid_and_one_that_changes_nothing_times_out(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        open_electric(database_url, ITEMS) as (url, writer),
        following(url, tmp_path, ShapeDefinition(table="items")) as session,
    ):
        watcher = session.watch("items")
        waiting = asyncio.create_task(session.acknowledged("items", 2**31 - 5, timeout=0.2))
        txid = await write(writer, "UPDATE items SET title = 'new' WHERE id = 1")
        assert await session.acknowledged("items", txid, timeout=20)
        assert next(iter(session.db["items"].rows))["title"] == "new"
        assert (await anext(watcher)).acknowledges(txid)
        nothing = await write(writer, "UPDATE items SET title = 'new' WHERE id = 1")
        assert not await session.acknowledged("items", nothing, timeout=0.2)
        assert not await waiting
        with pytest.raises(NotSubscribed):
            await session.acknowledged("users", txid)


async def test_C_48_a_write_from_before_the_first_copy_is_known_by_its_snapshot(
    database_url: str, tmp_path: Path
) -> None:
    async with open_electric(database_url, ITEMS) as (url, writer):
        txid = await write(writer, "INSERT INTO items VALUES (2, 'two')")
        async with following(url, tmp_path, ShapeDefinition(table="items")) as session:
            assert await session.acknowledged("items", txid, timeout=5)
