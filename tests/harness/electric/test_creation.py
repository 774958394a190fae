from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shapegate_harness.electric import ElectricSettings
from shapegate_harness.electric.creation import create
from shapegate_harness.electric.database import Database
from shapegate_harness.electric.query import parse_query
from tests.harness.electric.builders import connected, open_caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_harness.electric.shape import Shape
    from shapegate_wire.visibility import Visibility

IMPATIENT = ElectricSettings(lock_seconds=0.1)


async def test_many_shapes_of_one_new_table_begin_at_once(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        answers = await asyncio.gather(
            *(caller.get({"table": "t", "where": f"id < {n}", "offset": "-1"}) for n in range(10, 22))
        )
        assert {(got.status, len(got.messages)) for got in answers} == {(200, 2)}


async def test_a_table_that_a_migration_holds_is_503_and_others_go_on(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        connected(database_url) as migration,
        open_caller(database_url, IMPATIENT) as caller,
    ):
        await database.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
        other = await caller.get({"table": "u", "offset": "-1"})
        async with migration.transaction():
            await migration.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            got = await caller.get({"table": "t", "offset": "-1"})
            assert (got.status, got.headers["retry-after"]) == (503, "1")
            held = await caller.held(
                {"table": "u", "offset": "0_inf", "handle": other.headers["electric-handle"]}
            )
            await database.execute("INSERT INTO u VALUES (1)")
            assert (await held).status == 200
        assert (await caller.get({"table": "t", "offset": "-1"})).status == 200


async def test_stopping_does_not_wait_for_a_shape_that_waits(database_url: str) -> None:
    async with connected(database_url) as database, connected(database_url) as migration:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        async with open_caller(database_url) as caller:
            async with migration.transaction():
                await migration.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
                asking = asyncio.create_task(caller.get({"table": "t", "offset": "-1"}))
                async with asyncio.timeout(10):
                    while not await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                        pass
                began = time.monotonic()
                await caller.electric.stop()
                assert time.monotonic() - began < 3
            await asyncio.wait({asking})
            assert asking.exception() is not None or asking.result().status == 503
        assert not await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shapegate-dev-electric' "
            "AND datname = current_database() AND state <> 'idle' AND wait_event_type = 'Lock'"
        )


async def test_a_table_that_appears_later_is_found(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        query = {"table": "t", "offset": "-1"}
        assert (await caller.get(query)).status == 400
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        assert (await caller.get(query)).status == 200


class Ahead:
    """A stream that has read beyond the first snapshots that are taken."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0
        self.adopted: list[Shape] = []

    @asynccontextmanager
    async def standstill(self) -> AsyncIterator[None]:
        yield

    def has_read_beyond(self, snapshot: Visibility) -> bool:
        assert snapshot.xmax > 0
        self.asked += 1
        return self.asked <= self.times

    def adopt(self, shape: Shape) -> None:
        self.adopted.append(shape)

    def new_handle(self, digest: int) -> str:
        return f"{digest}-1"

    def make_room(self) -> None:
        assert self.adopted


async def test_a_snapshot_that_lags_behind_the_stream_is_taken_again(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        await connection.execute("CREATE PUBLICATION electric_publication_default")
    settings = ElectricSettings()
    database = Database(database_url, settings)
    stream = Ahead(times=2)
    started: asyncio.Future[Shape] = asyncio.get_running_loop().create_future()
    try:
        await create(database, parse_query({"table": "t", "offset": "-1"}), stream, settings, started)
    finally:
        await database.close()
    assert stream.asked == 3
    assert stream.adopted == [await started]
