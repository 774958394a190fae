from __future__ import annotations

import json

import asyncpg
import pytest

from shapegate_harness.electric import ElectricSettings
from shapegate_harness.electric.subset_rows import renumbered
from tests.harness.electric.builders import Caller, Got, connected, open_caller

TABLE = """
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, secret text, m mood);
    INSERT INTO t SELECT i, 'v' || i, CASE WHEN i % 2 = 0 THEN i END, 's', 'glad'
        FROM generate_series(1, 5) i;
    CREATE TABLE u (id int)
"""
START = {"table": "t", "offset": "-1"}


def ids(got: Got) -> list[str]:
    assert got.status == 200, got.text
    return [row["value"]["id"] for row in json.loads(got.text)["data"]]


def problems(got: Got) -> object:
    assert got.status == 400, got.text
    return json.loads(got.text)["errors"]


async def test_a_subset_has_its_rows_its_place_and_no_cache(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = {"table": "t", "columns": "id,v", "log": "changes_only"}
        first = await caller.get({**query, "offset": "-1"})
        handle = first.headers["electric-handle"]
        got = await caller.get({**query, "offset": "0_inf", "handle": handle, "subset__where": "id = 2"})
        loaded = json.loads(got.text)
        mark = loaded["metadata"]["snapshot_mark"]
        assert loaded["data"] == [
            {
                "key": '"public"."t"/"2"',
                "value": {"id": "2", "v": "v2"},
                "headers": {"relation": ["public", "t"], "operation": "insert", "snapshot_mark": mark},
            }
        ]
        assert loaded["metadata"].keys() == {"snapshot_mark", "database_lsn", "xip_list", "xmax", "xmin"}
        assert loaded["metadata"]["xip_list"] == []
        assert int(loaded["metadata"]["xmin"]) <= int(loaded["metadata"]["xmax"])
        shown = {name: got.headers.get(name) for name in HEADERS}
        assert shown == {
            **{"cache-control": "no-cache", "electric-snapshot": "true", "electric-handle": handle},
            **{"electric-offset": "0_inf", "electric-schema": first.headers["electric-schema"]},
            **{"transfer-encoding": "chunked", "content-type": "application/json; charset=utf-8"},
            **dict.fromkeys(("etag", "electric-has-data", "electric-up-to-date", "electric-cursor")),
        }


HEADERS = (
    *("cache-control", "electric-snapshot", "electric-handle", "electric-offset", "electric-schema"),
    *("transfer-encoding", "content-type"),
    *("etag", "electric-has-data", "electric-up-to-date", "electric-cursor"),
)


async def test_the_offset_is_the_one_that_the_log_would_have_given(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        first = await caller.get(START)
        position = {"table": "t", "offset": "0_inf", "handle": first.headers["electric-handle"]}
        held = await caller.held(position)
        await database.execute("UPDATE t SET v = 'w' WHERE id = 1")
        end = (await held).headers["electric-offset"]
        assert end != "0_inf"
        for offset, expected in (("-1", "0_0"), ("now", end), ("0_0", end), (end, end)):
            got = await caller.get({**position, "offset": offset, "subset[where]": "id = 1"})
            assert (ids(got), got.headers["electric-offset"]) == (["1"], expected)
        live = await caller.get({**position, "live": "true", "subset__where": "id = 1"})
        assert "electric-schema" not in live.headers


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"subset__order_by": "id DESC", "subset__limit": "2"}, ["5", "4"]),
        ({"subset__order_by": "id", "subset__limit": "2", "subset__offset": "1"}, ["2", "3"]),
        ({"subset__order_by": "n DESC NULLS LAST, id DESC"}, ["4", "2", "5", "3", "1"]),
        ({"subset__order_by": "n NULLS FIRST, id"}, ["1", "3", "5", "2", "4"]),
        ({"subset__order_by": "1 desc"}, ["5", "4", "3", "2", "1"]),
        ({"subset__where": "v = $1", "subset__params": '{"1": "v3"}'}, ["3"]),
        (
            {"subset__where": "v = $1 OR id = $2", "subset__params[1]": "v3", "subset__params[2]": "5"},
            ["3", "5"],
        ),
        ({"subset[where]": "id < $1", "subset[params][1]": "3"}, ["1", "2"]),
        ({"subset__where": "m = 'glad' AND id = 1"}, ["1"]),
        ({"subset__where": ""}, ["1", "2", "3", "4", "5"]),
        ({"where": "id > $1", "params[1]": "2", "subset__where": "id < $1", "subset__params[1]": "4"}, ["3"]),
        ({"where": "v <> '$1'", "subset__where": "v = $1", "subset__params[1]": "v4"}, ["4"]),
        ({"where": "(id = 1 OR id = 2) AND true", "subset__where": "id = 2"}, ["2"]),
    ],
)
async def test_rows_are_filtered_ordered_and_limited(
    query: dict[str, str], expected: list[str], database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        assert ids(await caller.get({**START, **query})) == expected


async def test_p_13_a_subset_binds_to_the_last_arm_of_an_or_as_electrics_does(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        got = await caller.get({**START, "where": "(id = 1 OR id = 2)", "subset__where": "id = 2 OR id = 3"})
        assert ids(got) == ["1", "2"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"subset__limit": "2"}, {"order_by": ["order_by is required when limit or offset is present"]}),
        ({"subset__order_by": "nope"}, {"order_by": ["At location 18: unknown reference nope"]}),
        ({"subset__where": "nope = 1"}, {"where": ["At location 0: unknown reference nope"]}),
        ({"subset__where": "id = $1"}, {"where": ["At location 5: parameter $1 was not provided"]}),
        ({"subset__where": "id"}, {"where": ["WHERE clause must return a boolean"]}),
        ({"subset__where": "id IN (SELECT id FROM u)"}, {"where": ["Subqueries are not allowed in subsets"]}),
        ({"subset__where": "m = 'no mood'"}, {"where": ['invalid input value for enum mood: "no mood"']}),
        ({"subset__order_by": "2"}, {"where": "ORDER BY position 2 is not in select list"}),
        ({"subset__where": "id / 0 = 1"}, {"where": "division by zero"}),
    ],
)
async def test_faults_are_listed_below_subset(
    query: dict[str, str], expected: object, database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        assert problems(await caller.get({**START, **query})) == {"subset": expected}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            {"subset__where": "secret = 's'"},
            {"subset": {"where": ["At location 0: unknown reference secret"]}},
        ),
        (
            {"subset__order_by": "v, secret"},
            {"subset": {"order_by": ["At location 21: unknown reference secret"]}},
        ),
        ({"columns": "id,secret"}, {"columns": ["The following columns are not queryable: secret"]}),
        (
            {"queryable_columns": "v"},
            {"queryable_columns": ["The list of columns must include all primary key columns, missing: id"]},
        ),
    ],
)
async def test_p_11_nothing_but_queryable_columns_is_spoken_of(
    query: dict[str, str], expected: object, database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        # The shape exists already: what is queryable is checked at every request, not once per shape.
        for columns in ("id,secret", "id,v"):
            assert (await caller.get({**START, "columns": columns})).status == 200
        got = await caller.get({**START, "queryable_columns": "id,v", **query})
        assert problems(got) == expected


async def test_queryable_columns_leave_the_main_filter_alone_and_are_the_default(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        query = {**START, "queryable_columns": "id,v", "where": "secret = 's'", "subset__where": "v = 'v1'"}
        got = await caller.get(query)
        assert ids(got) == ["1"]
        assert json.loads(got.headers["electric-schema"]).keys() == {"id", "v"}


async def test_a_post_asks_for_a_subset_in_its_body(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        for body, expected in (
            ('{"where": "id = $1", "params": {"1": "1"}}', ["1"]),
            ('{"subset": {"order_by": "id DESC", "limit": 1}}', ["5"]),
            ('{"subset": {}}', ["1", "2", "3", "4", "5"]),
            ('{"where": "id = 1", "table": "u", "columns": "nope"}', ["1"]),
        ):
            got = await post(caller, START, body)
            assert ids(got) == expected
            assert got.headers["cache-control"] == "no-cache"
        plain = await post(caller, START, "")
        assert [message.get("key") is None for message in plain.messages] == [False] * 5 + [True]


async def test_a_posted_subset_that_is_wrong_is_400_without_a_cache(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        got = await post(caller, START, '{"limit": 1}')
        assert problems(got) == {
            "subset": {"order_by": ["order_by is required when limit or offset is present"]}
        }
        assert got.headers["cache-control"] == "no-cache"
        assert "surrogate-control" not in got.headers
        without = await post(caller, {"table": "t"}, '{"offset": "-1", "where": "id = 1"}')
        assert problems(without) == {"offset": ["can't be blank"]}


async def test_a_subset_of_an_unknown_handle_is_409(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        first = await caller.get(START)
        got = await caller.get({"table": "t", "offset": "0_0", "handle": "1-2", "subset__where": "id = 1"})
        assert (got.status, got.headers["electric-handle"]) == (409, first.headers["electric-handle"])


async def test_a_subset_of_a_table_that_changed_rotates_its_shape(database_url: str) -> None:
    settings = ElectricSettings(table_check_seconds=60)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)
        first = await caller.get(START)
        await database.execute("ALTER TABLE t ALTER COLUMN v TYPE varchar(9)")
        got = await caller.get({**START, "subset__where": "id = 1"})
        assert got.status == 409
        again = await caller.get({**START, "subset__where": "id = 1"})
        assert ids(again) == ["1"]
        assert again.headers["electric-handle"] != first.headers["electric-handle"]


async def test_a_subset_that_is_too_large_is_refused(database_url: str) -> None:
    settings = ElectricSettings(subset_bytes_max=500)
    async with connected(database_url) as database, open_caller(database_url, settings) as caller:
        await database.execute(TABLE)
        assert ids(await caller.get({**START, "columns": "id", "subset__where": "id = 1"})) == ["1"]
        got = await caller.get({**START, "subset__where": ""})
        assert problems(got) == {"subset": {"limit": ["more than 500 bytes match: ask for fewer rows"]}}


async def test_c_47_the_metadata_tells_what_a_running_transaction_hides(database_url: str) -> None:
    async with (
        connected(database_url) as database,
        connected(database_url) as other,
        open_caller(database_url) as caller,
    ):
        await database.execute(TABLE)
        assert (await caller.get(START)).status == 200
        transaction = other.transaction()
        await transaction.start()
        await other.execute("INSERT INTO t VALUES (9, 'hidden')")
        xid = str(await other.fetchval("SELECT pg_current_xact_id()::text"))
        await database.execute("INSERT INTO t VALUES (8, 'shown')")
        got = await caller.get({**START, "subset__where": "id > 7"})
        await transaction.rollback()
        assert ids(got) == ["8"]
        assert json.loads(got.text)["metadata"]["xip_list"] == [xid]
        lsn = await database.fetchval("SELECT (pg_current_wal_flush_lsn() - '0/0')::int8")
        assert 0 < int(json.loads(got.text)["metadata"]["database_lsn"]) <= lsn + 10_000


async def post(caller: Caller, query: dict[str, str], body: str) -> Got:
    return await caller.get(query, method="POST", body=body)


@pytest.mark.parametrize(
    ("sql", "by", "expected"),
    [
        ("$1 = $2", 2, "$3 = $4"),
        ("a = '$1' AND b = $1", 1, "a = '$1' AND b = $2"),
        ("""a = 'it''s $1' AND "$1" = $1""", 3, """a = 'it''s $1' AND "$1" = $4"""),
        ('"a""$1" = $12', 1, '"a""$1" = $13'),
    ],
)
def test_numbers_move_and_what_looks_like_one_stays(sql: str, by: int, expected: str) -> None:
    assert renumbered(sql, by) == expected


async def test_what_was_renumbered_is_what_postgres_reads(database_url: str) -> None:
    connection: asyncpg.Connection = await asyncpg.connect(database_url)
    try:
        sql = renumbered("$1::text || '$1'", 1)
        assert await connection.fetchval(f"SELECT $1::text || {sql}", "a", "b") == "ab$1"
    finally:
        await connection.close()


async def test_a_subset_of_a_shape_with_a_subquery_is_within_it_and_has_its_tags(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE + "; INSERT INTO u VALUES (1), (2)")
        query = {**START, "where": "id IN (SELECT id FROM u WHERE id < $1)", "params[1]": "9"}
        whole = await caller.get(query)
        tags = {message["key"]: message["headers"]["tags"] for message in whole.messages[:-1]}  # type: ignore[index]  # decoded JSON
        assert len(tags) == 2
        got = await caller.get({**query, "subset__where": "id > $1", "subset__params": '{"1": "1"}'})
        assert ids(got) == ["2"]
        (row,) = json.loads(got.text)["data"]
        assert row["headers"]["tags"] == tags[row["key"]]


async def test_a_subset_of_a_partitioned_table_reads_its_partitions(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(
            "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY LIST (id);"
            "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1, 2); CREATE TABLE t2 PARTITION OF t DEFAULT;"
            "INSERT INTO t SELECT generate_series(1, 4)"
        )
        got = await caller.get({**START, "subset__order_by": "id desc", "subset__limit": "3"})
        assert ids(got) == ["4", "3", "2"]
