from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.electric import ElectricSettings
from tests.harness.electric.builders import connected, open_caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OFFSET = {"offset": "-1"}


@asynccontextmanager
async def follower_of(database_url: str, grants: str) -> AsyncIterator[str]:
    """The URL of a role that owns nothing, as Electric's role should be."""
    role, password = f"electric_{secrets.token_hex(4)}", secrets.token_hex(8)
    async with connected(database_url) as database:
        await database.execute(f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD '{password}'")
        await database.execute(grants.replace("ROLE", role))
    try:
        yield f"postgresql://{role}:{password}@{database_url.rpartition('@')[2]}"
    finally:
        async with connected(database_url) as database:
            await database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


PUBLISHED = """
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
    ALTER TABLE t REPLICA IDENTITY FULL;
    CREATE PUBLICATION electric_publication_default FOR TABLE t;
"""


async def test_a_role_that_owns_nothing_follows_what_is_published(database_url: str) -> None:
    async with connected(database_url) as database:
        await database.execute(PUBLISHED)
        async with follower_of(database_url, "GRANT SELECT ON t TO ROLE") as url, open_caller(url) as caller:
            first = await caller.get({"table": "t", **OFFSET})
            assert len(first.messages) == 2
            held = await caller.held(
                {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
            )
            await database.execute("INSERT INTO t VALUES (2)")
            async with asyncio.timeout(10):
                assert (await held).messages[0]["value"] == {"id": "2"}


@pytest.mark.parametrize(
    ("sql", "grants", "told"),
    [
        ("CREATE TABLE u (id int PRIMARY KEY)", "GRANT SELECT ON u TO ROLE", "ADD TABLE ONLY"),
        ("ALTER TABLE t REPLICA IDENTITY DEFAULT", "GRANT SELECT ON t TO ROLE", "REPLICA IDENTITY FULL"),
        ("SELECT", "SELECT", "grant it SELECT"),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "GRANT SELECT ON t TO ROLE", "BYPASSRLS"),
    ],
)
async def test_what_is_missing_is_told_as_something_to_do(
    sql: str, grants: str, told: str, database_url: str
) -> None:
    async with connected(database_url) as database:
        await database.execute(PUBLISHED + sql)
        async with follower_of(database_url, grants) as url, open_caller(url) as caller:
            got = await caller.get({"table": "u" if "CREATE TABLE u" in sql else "t", **OFFSET})
            assert got.status == 500
            assert told in json.loads(got.text)["message"]


async def test_an_owner_publishes_on_demand_and_writers_before_that_are_not_lost(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        connected(database_url) as writer,
        open_caller(database_url) as caller,
    ):
        await database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        open_ = writer.transaction()
        await open_.start()
        await writer.execute("INSERT INTO t VALUES (1)")
        asking = asyncio.create_task(caller.get({"table": "t", **OFFSET}))
        blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
        async with asyncio.timeout(10):
            while not await database.fetchval(blocked):
                pass
        await open_.commit()
        got = await asking
        assert [message.get("key") for message in got.messages] == ['"public"."t"/"1"', None]
        published = await database.fetchval(
            "SELECT relreplident = 'f' FROM pg_class WHERE oid = 't'::regclass"
        )
        assert published is True


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (
            {"table": "t", "columns": "v"},
            "The list of columns must include all primary key columns, missing: id",
        ),
        ({"table": "t", "columns": "id,nope"}, "The following columns are not found on the table: nope"),
        (
            {"table": "t", "columns": "id,v", "queryable_columns": "id"},
            "The following columns are not queryable: v",
        ),
        (
            {"table": "t"},
            "The following columns are generated and cannot be included in the shape: g. You can exclude "
            "them from the shape by explicitly listing which columns to fetch in the 'columns' query param",
        ),
    ],
)
async def test_columns_are_checked_against_the_table(
    query: dict[str, str], problem: str, database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(
            "CREATE TABLE t (id int PRIMARY KEY, v text, g int GENERATED ALWAYS AS (id * 2) STORED)"
        )
        got = await caller.get({**query, **OFFSET})
        assert json.loads(got.text)["errors"] == {"columns": [problem]}


async def test_a_generated_column_may_be_left_out(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(
            "CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, v text)"
        )
        first = await caller.get({"table": "t", "columns": "id,v", **OFFSET})
        held = await caller.held(
            {"table": "t", "columns": "id,v", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        )
        await database.execute("INSERT INTO t VALUES (1, DEFAULT, 'x')")
        assert (await held).messages[0]["value"] == {"id": "1", "v": "x"}


async def test_S_07_updates_beside_a_generated_column_that_is_published_are_followed(
    database_url: str,
) -> None:
    """Postgres 18 refuses the update as long as the publication leaves the column out."""
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(
            "CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, v text)"
        )
        await database.execute("INSERT INTO t VALUES (1, DEFAULT, 'x')")
        await database.execute("ALTER TABLE t REPLICA IDENTITY FULL")
        await database.execute("ALTER PUBLICATION electric_publication_default ADD TABLE t")
        await database.execute(
            "ALTER PUBLICATION electric_publication_default SET (publish_generated_columns = stored)"
        )
        first = await caller.get({"table": "t", "columns": "id,v", **OFFSET})
        held = await caller.held(
            {"table": "t", "columns": "id,v", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        )
        await database.execute("UPDATE t SET v = 'y'")
        assert (await held).messages[0]["value"] == {"id": "1", "v": "y"}


async def test_a_table_without_any_partition_yet_is_an_empty_shape(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY) PARTITION BY LIST (id)")
        got = await caller.get({"table": "t", **OFFSET})
        assert (got.status, len(got.messages)) == (200, 1)


async def test_a_changed_primary_key_alone_is_noticed(database_url: str) -> None:
    settings = ElectricSettings(table_check_seconds=0.0)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute("CREATE TABLE t (id int PRIMARY KEY, other int NOT NULL UNIQUE)")
        first = await caller.get({"table": "t", **OFFSET})
        held = await caller.held(
            {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        )
        await database.execute("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (other, id)")
        async with asyncio.timeout(10):
            assert (await held).status == 409


async def test_a_table_with_a_quoted_name_in_a_quoted_schema_is_followed(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(
            """
            CREATE SCHEMA "My ""Schema";
            CREATE TABLE "My ""Schema"."T.1" ("Key A" int PRIMARY KEY, "v,w" text);
            INSERT INTO "My ""Schema"."T.1" VALUES (1, 'one');
            """
        )
        query = {"table": '"My ""Schema"."T.1"', "columns": '"v,w","Key A"', "where": '"Key A" < 3'}
        first = await caller.get({**query, **OFFSET})
        assert first.messages[0] == {
            "key": '"My "Schema"."T.1"/"1"',
            "value": {"Key A": "1", "v,w": "one"},
            "headers": {"relation": ['My "Schema', "T.1"], "operation": "insert"},
        }
        held = await caller.held({**query, "offset": "0_inf", "handle": first.headers["electric-handle"]})
        await database.execute("""INSERT INTO "My ""Schema"."T.1" VALUES (3, 'three'), (2, NULL)""")
        async with asyncio.timeout(10):
            change, _ = (await held).messages
        assert change["key"] == '"My "Schema"."T.1"/"2"'
        assert change["value"] == {"Key A": "2", "v,w": None}
