"""Shapes of partitioned tables and of their partitions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.electric import ElectricSettings
from shapegate_harness.electric.decoder import PublishedColumn, PublishedRelation
from shapegate_harness.electric.partitions import with_roots
from shapegate_harness.electric.relation import Partition
from shapegate_harness.electric.transaction import RowChange, Transaction
from tests.harness.electric.builders import (
    TEXT,
    Caller,
    Follower,
    column,
    commit_lsn,
    connected,
    open_caller,
    relation,
)

if TYPE_CHECKING:
    import asyncpg

ROOT = replace(
    relation(column("a"), column("b"), oid=1),
    partitions=(Partition(oid=2, columns=("a", "b")), Partition(oid=3, columns=("b", "a"))),
)


def change(position: int, new: tuple[str | None, ...]) -> RowChange:
    return RowChange(position=position, old=None, new=new)


def published(oid: int, *names: str, identity_full: bool = True, type_oid: int = TEXT) -> PublishedRelation:
    columns = tuple(PublishedColumn(name, type_oid, -1) for name in names)
    return PublishedRelation(
        oid=oid, schema="public", name=f"p{oid}", identity_full=identity_full, columns=columns
    )


def test_changes_of_partitions_are_those_of_the_root_in_order_and_in_its_columns() -> None:
    mixed = Transaction(
        lsn=9,
        xid=5,
        changes={2: (change(0, ("1", "x")), change(4, ("3", "z"))), 3: (change(2, ("y", "2")),)},
        relations=(published(2, "a", "b"), published(3, "b", "a")),
    )
    (found,) = with_roots((mixed,), (ROOT,))
    assert [each.new for each in found.changes[1]] == [("1", "x"), ("2", "y"), ("3", "z")]
    assert found.changes[2] == mixed.changes[2]
    assert found.changes[3] == mixed.changes[3]
    assert not found.incomplete


@pytest.mark.parametrize(
    "described",
    [
        published(2, "a", "b", identity_full=False),
        published(2, "b", "a"),
        published(2, "a", "b", "c"),
        published(2, "a", "b", type_oid=23),
    ],
)
def test_a_partition_that_is_not_as_it_was_looked_up_ends_the_shapes_of_the_root(
    described: PublishedRelation,
) -> None:
    (found,) = with_roots((Transaction(lsn=9, xid=5, changes={}, relations=(described,)),), (ROOT,))
    assert found.incomplete == {1}


def test_an_emptied_partition_empties_the_root_and_others_say_nothing() -> None:
    truncated, other = with_roots(
        (
            Transaction(lsn=9, xid=5, changes={}, truncated=frozenset({3})),
            Transaction(lsn=9, xid=6, changes={4: (change(0, ("1",)),)}, truncated=frozenset({4})),
        ),
        (ROOT,),
    )
    assert truncated.truncated == {1, 3}
    assert other.truncated == {4}
    assert set(other.changes) == {4}


PARTED = """
    CREATE TABLE parted (id int, r text, note text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
    CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
    CREATE TABLE parted_b (note text, gone int, r text NOT NULL, id int NOT NULL);
    ALTER TABLE parted_b DROP COLUMN gone;
    ALTER TABLE parted ATTACH PARTITION parted_b FOR VALUES IN ('b');
    CREATE TABLE tick (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    INSERT INTO parted VALUES (1, 'a', 'one'), (2, 'b', 'two');
"""
SETTINGS = ElectricSettings(table_check_seconds=0.0)


async def follow(caller: Caller, **query: str) -> Follower:
    follower = Follower(caller=caller, query=query)
    await follower.catch_up()
    return follower


async def expect(follower: Follower, database: asyncpg.Connection, sql: str) -> None:
    await follower.reach(await commit_lsn(database))
    expected = await database.fetch(sql)
    rows = sorted((row["id"], row["r"], row["note"]) for row in follower.rows.values())
    assert rows == sorted((str(row["id"]), row["r"], row["note"]) for row in expected)


async def test_root_partition_and_filter_are_followed_side_by_side(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, SETTINGS) as caller:
        await database.execute(PARTED)
        tick = await follow(caller, table="tick")
        followed = {
            "SELECT * FROM parted": await follow(caller, table="parted", replica="full"),
            "SELECT * FROM parted_b": await follow(caller, table="parted_b", replica="full"),
            "SELECT * FROM parted WHERE id > 2": await follow(
                caller, table="parted", where="id > 2", replica="full"
            ),
        }
        handles = {sql: follower.position["handle"] for sql, follower in followed.items()}
        await database.execute("INSERT INTO parted VALUES (3, 'a', 'three'), (4, 'b', NULL)")
        await database.execute("UPDATE parted SET note = note || '!' WHERE id <> 1")
        await database.execute("UPDATE parted SET r = 'b' WHERE id = 3")
        await database.execute("DELETE FROM parted WHERE id = 2")
        for sql, follower in followed.items():
            await expect(follower, database, sql)
            assert follower.position["handle"] == handles[sql]
        assert tick.position["handle"]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE parted_c PARTITION OF parted DEFAULT; INSERT INTO parted VALUES (9, 'c', '')",
        "ALTER TABLE parted DETACH PARTITION parted_b; INSERT INTO parted_b VALUES ('stray', 'b', 10)",
        "TRUNCATE parted_a",
        "TRUNCATE parted",
        "ALTER TABLE parted ALTER note TYPE varchar(9); INSERT INTO parted VALUES (9, 'b', 'nine')",
        "ALTER TABLE parted_b REPLICA IDENTITY DEFAULT; DELETE FROM parted WHERE r = 'b'",
    ],
)
async def test_partitions_that_come_go_or_change_rotate_the_root(sql: str, database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, SETTINGS) as caller:
        await database.execute(PARTED)
        root, tick = await follow(caller, table="parted", replica="full"), await follow(caller, table="tick")
        handle = root.position["handle"]
        for statement in sql.split("; "):
            await database.execute(statement)
        async with asyncio.timeout(10):
            while root.position.get("handle") in (handle, None):
                await commit_lsn(database)
                await root.catch_up()
        await expect(root, database, "SELECT * FROM parted")
        assert tick.position["handle"] == (await follow(caller, table="tick")).position["handle"]


async def test_a_publication_that_hides_partitions_is_refused_with_what_to_run(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, SETTINGS) as caller:
        await database.execute(PARTED)
        await database.execute(
            "ALTER PUBLICATION electric_publication_default SET (publish_via_partition_root = true)"
        )
        for table in ("parted", "parted_a"):
            got = await caller.get({"table": table, "offset": "-1"})
            assert got.status == 500
            assert "publish_via_partition_root = false" in got.text
        assert (await caller.get({"table": "tick", "offset": "-1"})).status == 200


async def test_a_subquery_may_read_a_partitioned_table(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, SETTINGS) as caller:
        await database.execute(PARTED)
        await database.execute(
            "CREATE TABLE docs (id int PRIMARY KEY, r text, note text);"
            "INSERT INTO docs VALUES (1, 'd', 'seen'), (2, 'd', 'seen'), (5, 'd', 'hidden')"
        )
        where = "id IN (SELECT id FROM parted)"
        docs = await caller.get({"table": "docs", "where": where, "offset": "-1"})
        assert [row.get("value", {}) for row in docs.messages if "value" in row] == [
            {"id": "1", "note": "seen", "r": "d"},
            {"id": "2", "note": "seen", "r": "d"},
        ]
        held = await caller.held(
            {"table": "docs", "where": where, "offset": "0_inf", "handle": docs.headers["electric-handle"]}
        )
        await database.execute("INSERT INTO parted VALUES (5, 'b', NULL)")
        async with asyncio.timeout(10):
            moved = await held
        assert '"move-in"' in moved.text
        assert '"hidden"' in moved.text
