from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest

from shapegate_harness.electric import ElectricSettings
from tests.harness.electric.builders import Caller, connected, open_caller

QUICK = ElectricSettings(long_poll_seconds=0.2, table_check_seconds=0.0)
TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 3) i"
)


async def started(caller: Caller, **more: str) -> dict[str, str]:
    """Begin a shape of `t` and return the query that goes on at its end."""
    query = {"table": "t", **more}
    got = await caller.get({**query, "offset": "-1"})
    assert got.status == 200, got.text
    return {**query, "handle": got.headers["electric-handle"], "offset": "0_inf"}


async def test_a_live_request_without_news_ends_up_to_date_and_untagged(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, QUICK) as caller:
        await database.execute(TABLE)
        query = {**await started(caller), "live": "true"}
        one, two = await caller.get(query), await caller.get(query)
        assert one.status == 200
        ((control,),) = [message.values() for message in one.messages]
        assert isinstance(control, dict)
        assert control["control"] == "up-to-date"
        assert one.headers["electric-has-data"] == "false"
        assert one.headers["electric-up-to-date"] == ""
        assert "electric-schema" not in one.headers
        assert one.headers["etag"] != two.headers["etag"]
        again = await caller.get(query, headers={"if-none-match": one.headers["etag"]})
        assert again.status == 200


async def test_the_cursor_moves_on_when_it_is_echoed(database_url: str) -> None:
    settings = ElectricSettings(
        long_poll_seconds=0.05, now=lambda: 1_728_432_000 + 100.5, jitter=lambda low, high: low + high
    )
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)
        query = {**await started(caller), "live": "true"}
        first = await caller.get(query)
        second = await caller.get({**query, "cursor": first.headers["electric-cursor"]})
        third = await caller.get({**query, "cursor": "no number"})
        cursors = [got.headers["electric-cursor"] for got in (first, second, third)]
        assert cursors == ["100", str(100 + 3601), "100"]


async def test_an_offset_beyond_the_log_is_held_and_then_refused(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, QUICK) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        for more in ({}, {"live": "true"}):
            got = await caller.get({**query, "offset": "99999999999_0", **more})
            assert got.status == 400
            assert json.loads(got.text)["errors"] == {"offset": ["out of bounds for this shape"]}


async def test_an_offset_that_the_log_reaches_meanwhile_is_served(database_url: str) -> None:
    settings = ElectricSettings(long_poll_seconds=20)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        ahead = await database.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0')::int8 + 1")
        waiting = asyncio.create_task(caller.get({**query, "offset": f"{ahead}_0"}))
        await database.execute("INSERT INTO t SELECT i, 'w' FROM generate_series(10, 20) i")
        async with asyncio.timeout(10):
            got = await waiting
        assert got.status == 200


async def test_now_gives_the_end_and_the_changes_after_it(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        now = await caller.get({"table": "t", "offset": "now"})
        assert (now.headers["electric-offset"], now.headers["electric-has-data"]) == ("0_inf", "false")
        held = await caller.held({"table": "t", "offset": "0_inf", "handle": now.headers["electric-handle"]})
        await database.execute("INSERT INTO t VALUES (9, 'nine')")
        assert [message.get("key") for message in (await held).messages] == ['"public"."t"/"9"', None]
        start = await caller.get({"table": "t", "offset": "-1"})
        assert start.headers["electric-handle"] == now.headers["electric-handle"]


async def test_changes_only_has_no_rows_at_its_start(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = {"table": "t", "log": "changes_only"}
        first = await caller.get({**query, "offset": "-1"})
        assert [message["headers"]["control"] for message in first.messages] == ["snapshot-end"]  # type: ignore[index]  # decoded JSON
        held = await caller.held({**query, "offset": "0_inf", "handle": first.headers["electric-handle"]})
        await database.execute("UPDATE t SET v = 'w' WHERE id = 1")
        assert (await held).messages[0]["value"] == {"id": "1", "v": "w"}


async def test_a_snapshot_is_cut_to_chunks_with_offsets_of_their_own(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(chunk_bytes=150)) as caller,
    ):
        await database.execute(TABLE)
        got = await caller.get({"table": "t", "offset": "-1"})
        seen = [(got.headers["electric-offset"], len(got.messages), "electric-up-to-date" in got.headers)]
        while "electric-up-to-date" not in got.headers:
            position = {"offset": got.headers["electric-offset"], "handle": got.headers["electric-handle"]}
            got = await caller.get({"table": "t", **position})
            seen.append(
                (got.headers["electric-offset"], len(got.messages), "electric-up-to-date" in got.headers)
            )
        assert seen == [("0_0", 2, False), ("0_1", 2, False), ("0_inf", 1, True)]


async def test_changes_are_cut_to_chunks_like_snapshots(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(chunk_bytes=400)) as caller,
    ):
        await database.execute(TABLE)
        query = await started(caller)
        held = await caller.held(query)
        await database.execute("UPDATE t SET v = 'w'; INSERT INTO t VALUES (9, 'x')")
        got = await held
        assert "electric-cursor" in got.headers
        seen = [got]
        while "electric-up-to-date" not in got.headers:
            got = await caller.get({**query, "offset": got.headers["electric-offset"]})
            assert got.headers["cache-control"] == "public, max-age=60, stale-while-revalidate=300"
            seen.append(got)
        assert [[message.get("key", "end") for message in page.messages] for page in seen] == [
            ['"public"."t"/"1"', '"public"."t"/"2"', '"public"."t"/"3"'],
            ['"public"."t"/"9"', "end"],
        ]
        asked = (query["offset"], *(page.headers["electric-offset"] for page in seen))
        assert [page.headers["etag"] for page in seen] == [
            f'"{query["handle"]}:{before}:{after}"' for before, after in pairwise(asked)
        ]
        # Whoever asks from the start again gets the same pages.
        again = await caller.get({**query, "offset": "0_0"})
        assert (again.text, again.headers["electric-offset"]) == (seen[0].text, asked[1])


@pytest.mark.parametrize(
    "sql",
    [
        "TRUNCATE t",
        "ALTER TABLE t ADD COLUMN w int; UPDATE t SET v = 'w'",
        "ALTER TABLE t ALTER COLUMN id TYPE bigint; UPDATE t SET v = 'w'",
        "DROP TABLE t",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE t REPLICA IDENTITY DEFAULT; UPDATE t SET v = 'w'",
    ],
)
async def test_a_held_request_ends_with_409_when_the_table_is_another(sql: str, database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(table_check_seconds=0.0)) as caller,
    ):
        await database.execute(TABLE)
        query = await started(caller)
        held = await caller.held(query)
        await database.execute(sql)
        async with asyncio.timeout(10):
            got = await held
        assert (got.status, got.text) == (409, '[{"headers":{"control":"must-refetch"}}]')
        assert "electric-handle" not in got.headers
        assert got.headers["cache-control"] == "public, max-age=1, must-revalidate"
        after = await caller.get(query)
        if after.status == 409:
            assert after.headers["electric-handle"] != query["handle"]
        else:
            assert "does not exist" in after.text


async def test_S_05_an_altered_table_gives_409_with_the_next_write_and_not_before(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url, QUICK) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        await database.execute("ALTER TABLE t ADD COLUMN w int")
        assert (await caller.get({**query, "live": "true"})).status == 200
        held = await caller.held(query)
        await database.execute("UPDATE t SET v = 'w' WHERE id = 1")
        async with asyncio.timeout(10):
            assert (await held).status == 409


async def test_S_06_a_table_that_was_dropped_and_made_anew_is_read_anew(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        open_caller(database_url, ElectricSettings(table_check_seconds=0.0)) as caller,
    ):
        await database.execute(TABLE)
        query = await started(caller)
        held = await caller.held(query)
        await database.execute(f"DROP TABLE t; {TABLE}; UPDATE t SET v = 'new'")
        async with asyncio.timeout(10):
            assert (await held).status == 409
            while (got := await caller.get({"table": "t", "offset": "-1"})).status != 200:
                assert got.status == 409  # it may be noticed late (REQUIREMENTS S-06)
        assert {message["value"]["v"] for message in got.messages if "value" in message} == {"new"}  # type: ignore[index]  # JSON


async def test_a_handle_of_another_definition_gives_409_with_the_right_one(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = await started(caller)
        other = await caller.get({**query, "where": "id > 1"})
        assert other.status == 409
        again = await caller.get({"table": "t", "where": "id>1", "offset": "-1"})
        assert again.headers["electric-handle"] == other.headers["electric-handle"] != query["handle"]


async def test_a_client_that_leaves_is_not_waited_for(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        held = await caller.held(await started(caller))
        held.cancel()
        async with asyncio.timeout(10):
            while caller.electric.held_requests:  # noqa: ASYNC110  # the server has no event for this
                await asyncio.sleep(0)
