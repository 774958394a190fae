"""The client live on the development Electric and a real Postgres, by both modes, with faults on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest

from shapegate_client import ClientSettings, Session, ShapeDefinition
from shapegate_client.config import LiveMode
from shapegate_client.errors import HeadersMissing, StaleAnswers
from shapegate_harness.electric import DevElectric, ElectricSettings
from shapegate_wire.shape import LogMode, Replica
from tests.client.electric_gate import served_gate
from tests.client.ports import FixedCredentials, HeldClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAIT = 20.0
ITEMS = ShapeDefinition(table="items")
SCHEMA = """
    CREATE TABLE items (id int PRIMARY KEY, title text, note text);
    CREATE TABLE others (id int PRIMARY KEY);
    ALTER TABLE items REPLICA IDENTITY FULL;
    INSERT INTO items (id, title) SELECT n, 'item ' || n FROM generate_series(1, 20) n;
"""
QUICK = ElectricSettings(
    faults=True,
    requests_per_connection_max=None,
    long_poll_seconds=1.0,
    sse_seconds=0.1,
    sse_keep_alive_seconds=0.2,
    chunk_bytes=256,
)
MODES = pytest.mark.parametrize("mode", list(LiveMode), ids=lambda mode: mode.value)


class Stage:
    """A Postgres, what follows it, and a gate."""

    def __init__(self, writer: asyncpg.Connection, electric_url: str, url: str) -> None:
        self.writer = writer
        self.url = url
        self._electric_url = electric_url

    async def order(self, **fields: object) -> None:
        """Let faults happen to the next requests."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self._electric_url}/__faults", data=json.dumps(fields)) as answer,
        ):
            assert answer.status == 200, await answer.text()

    async def rows(self) -> dict[int, str]:
        return {row["id"]: row["title"] for row in await self.writer.fetch("SELECT * FROM items")}

    @contextlib.asynccontextmanager
    async def session(
        self, home: Path, mode: LiveMode, definition: ShapeDefinition = ITEMS
    ) -> AsyncIterator[Session]:
        settings = ClientSettings(live_mode=mode, live_seconds=3.0, silence_seconds=3.0, read_seconds=3.0)
        async with Session.open(
            self.url, FixedCredentials(), home=home, settings=settings, clock=HeldClock()
        ) as session:
            await session.subscribe(definition)
            await session.up_to_date(timeout=WAIT)
            yield session


@contextlib.asynccontextmanager
async def staged(database_url: str, settings: ElectricSettings = QUICK) -> AsyncIterator[Stage]:
    writer = await asyncpg.connect(database_url)
    try:
        await writer.execute(SCHEMA)
        await writer.execute("CREATE PUBLICATION electric_publication_default FOR ALL TABLES")
        async with (
            DevElectric.open(database_url=database_url, secret=None, settings=settings) as electric,
            served_gate(electric.url) as url,
        ):
            yield Stage(writer, electric.url, url)
    finally:
        await writer.close()


def local(session: Session) -> dict[int, str]:
    return {row["id"]: row["title"] for row in session.db["items"].rows}


async def shown(session: Session, expected: dict[int, str]) -> None:
    """Wait for these rows; a watcher says when to look."""
    watcher = session.watch("items")
    async with asyncio.timeout(WAIT):
        while local(session) != expected:
            await anext(watcher)


@MODES
async def test_commits_of_many_operations_arrive_whole_and_over_the_end_of_streams(
    database_url: str, tmp_path: Path, mode: LiveMode
) -> None:
    async with staged(database_url) as stage, stage.session(tmp_path, mode) as session:
        assert local(session) == await stage.rows()
        for turn in range(12):
            async with stage.writer.transaction():
                await stage.writer.execute("INSERT INTO others SELECT coalesce(max(id), 0) + 1 FROM others")
                await stage.writer.execute("UPDATE items SET title = $1 WHERE id % 3 = 0", f"turn {turn}")
                await stage.writer.execute("INSERT INTO items (id, title) VALUES ($1, 'new')", 100 + turn)
                await stage.writer.execute("DELETE FROM items WHERE id = $1", turn)
            # Other tables move the server's position without the shape's.
            await stage.writer.execute("INSERT INTO others SELECT max(id) + 1 FROM others")
            await shown(session, await stage.rows())


@MODES
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "next": 2},
        {"kind": "cut", "next": 1, "bytes": 1},
        {"kind": "drip", "next": 2, "bytes": 7, "seconds": 0.001},
        {"kind": "reset", "next": 3},
        {"kind": "stall", "next": 1, "seconds": 0.2},
        {"kind": "unavailable", "next": 3, "retry_after_seconds": 1},
        {"kind": "too_many_requests", "next": 2},
    ],
    ids=lambda fault: fault["kind"],
)
async def test_C_10_C_13_L_01_whatever_happens_on_the_way_the_rows_are_those_of_postgres(
    database_url: str, tmp_path: Path, mode: LiveMode, fault: dict[str, object]
) -> None:
    async with staged(database_url) as stage:
        await stage.order(**fault, after=1)
        async with stage.session(tmp_path, mode) as session:
            assert local(session) == await stage.rows()
            await stage.order(**fault)
            await stage.writer.execute("UPDATE items SET title = 'after' WHERE id < 5")
            await shown(session, await stage.rows())
        await stage.order(**fault)
        await stage.writer.execute("DELETE FROM items WHERE id < 4")
        async with stage.session(tmp_path, mode) as session:
            await shown(session, await stage.rows())


async def test_C_15_C_16_a_log_that_was_declared_dead_and_keeps_coming_is_not_taken_again(
    database_url: str, tmp_path: Path
) -> None:
    async with staged(database_url) as stage, stage.session(tmp_path, LiveMode.LONG_POLL) as session:
        before = local(session)
        await stage.order(kind="must_refetch")
        await stage.writer.execute("UPDATE items SET title = 'after' WHERE id < 5")
        expected = await stage.rows()
        with pytest.raises(StaleAnswers):
            await shown(session, expected)
        assert local(session) == before


async def test_C_08_a_header_that_is_lost_on_the_way_is_named(database_url: str, tmp_path: Path) -> None:
    async with staged(database_url) as stage:
        await stage.order(kind="missing_header", header="electric-offset")
        with pytest.raises(HeadersMissing, match="electric-offset"):
            async with stage.session(tmp_path, LiveMode.LONG_POLL):
                pass


@MODES
async def test_C_16_L_06_a_cache_that_repeats_itself_moves_nothing_back(
    database_url: str, tmp_path: Path, mode: LiveMode
) -> None:
    async with staged(database_url) as stage, stage.session(tmp_path, mode) as session:
        await stage.order(kind="stale", next=3)
        await stage.writer.execute("UPDATE items SET title = 'after' WHERE id < 5")
        await shown(session, await stage.rows())


@MODES
async def test_C_13_C_18_C_42_a_truncated_table_is_read_anew(
    database_url: str, tmp_path: Path, mode: LiveMode
) -> None:
    async with staged(database_url) as stage, stage.session(tmp_path, mode) as session:
        await stage.writer.execute("TRUNCATE items")
        await stage.writer.execute("INSERT INTO items (id, title) VALUES (1, 'again')")
        await shown(session, {1: "again"})


@MODES
@pytest.mark.parametrize("replica", list(Replica), ids=lambda replica: replica.value)
async def test_changes_only_holds_what_changed_since_and_goes_on_after_a_restart(
    database_url: str, tmp_path: Path, mode: LiveMode, replica: Replica
) -> None:
    changes = ShapeDefinition(table="items", log=LogMode.CHANGES_ONLY, replica=replica)
    async with staged(database_url) as stage:
        async with stage.session(tmp_path, mode, changes) as session:
            assert local(session) == {}
            await stage.writer.execute("INSERT INTO items (id, title) VALUES (50, 'fifty')")
            await shown(session, {50: "fifty"})
            # A row that is not held becomes one only if the change is whole (REQUIREMENTS C-32).
            await stage.writer.execute("UPDATE items SET title = 'changed' WHERE id IN (1, 50)")
            full: dict[int, str] = {1: "changed"} if replica is Replica.FULL else {}
            await shown(session, {50: "changed", **full})
        await stage.writer.execute("INSERT INTO items (id, title) VALUES (51, 'meanwhile')")
        async with stage.session(tmp_path, mode, changes) as session:
            await shown(session, {50: "changed", 51: "meanwhile", **full})


@MODES
async def test_changes_only_begins_empty_again_after_a_409_and_says_so(
    database_url: str, tmp_path: Path, mode: LiveMode
) -> None:
    changes = ShapeDefinition(table="items", log=LogMode.CHANGES_ONLY)
    async with staged(database_url) as stage, stage.session(tmp_path, mode, changes) as session:
        await stage.writer.execute("INSERT INTO items (id, title) VALUES (50, 'fifty')")
        await shown(session, {50: "fifty"})
        watcher = session.watch("items")
        await stage.writer.execute("TRUNCATE items")
        async with asyncio.timeout(WAIT):
            batch = await anext(watcher)
        # What changed between the two logs is in neither: the rows of the old one could be wrong.
        assert batch.replaced
        assert local(session) == {}
        await stage.writer.execute("INSERT INTO items (id, title) VALUES (60, 'sixty')")
        await shown(session, {60: "sixty"})
