from __future__ import annotations

import asyncio

from tests.harness.electric.builders import connected, open_caller

TYPES = r"""
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN posint AS int CHECK (value > 0);
    CREATE TYPE comp AS (a int, b text);
    CREATE TABLE src (
        id uuid PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, t text,
        vc varchar(10), c char(5), ba bytea, d date, ttz timetz, ts3 timestamp(3), tz timestamptz,
        iv interval, j json, jb jsonb, e mood, dom posint, co comp, ia int[], ta text[], flags bool[],
        inet inet, cidr cidr, bit bit(3), pt point, r int4range, tsv tsvector, mny money,
        "Mixed Case" text, "q""uote\" text
    );
    SET timezone = 'America/New_York'; SET datestyle = 'German'; SET bytea_output = 'escape';
    INSERT INTO src VALUES (
        '00000000-0000-0000-0000-000000000001', true, 1, 9223372036854775807, 1.1, 1e300,
        '12345678901234567890.123456789', E'uni \u00e9 \n\t "quote" \\ \x01',
        'v', 'c', '\xdeadbeef', '2026-01-02', '03:04:05+02', '2026-01-02 03:04:05.678901',
        '2026-01-02 03:04:05.678901+00', '1 year 2 mons 3 days 04:05:06', '{"a":  1}', '{"a":  1}', 'ok', 5,
        row(NULL, NULL), '{1,NULL,3}', '{"a b",NULL,"NULL","q\"x"}', '{t,f}',
        '10.0.0.1', '10.0.0.0/24', '101', '(1,2)', '[1,5)', 'fat cat', '$1.50', 'mc', 'q'
    );
    INSERT INTO src (id) VALUES ('00000000-0000-0000-0000-000000000002');
    CREATE TABLE t (LIKE src INCLUDING ALL);
    INSERT INTO t SELECT * FROM src;
"""


async def test_a_value_has_the_same_text_in_snapshot_and_log_but_for_booleans(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TYPES)
        snapshot = await caller.get({"table": "t", "offset": "-1"})
        held = await caller.held(
            {"table": "t", "offset": "0_inf", "handle": snapshot.headers["electric-handle"]}
        )
        await database.execute("DELETE FROM t; INSERT INTO t SELECT * FROM src")
        async with asyncio.timeout(10):
            log = await held
        rows = {message["key"]: message["value"] for message in snapshot.messages[:-1]}
        deleted, inserted = log.messages[:2], log.messages[2:4]
        assert {message["key"] for message in deleted} == set(rows)
        for message in inserted:
            value = message["value"]
            assert isinstance(value, dict)
            again = {**value, "b": {"t": "true", "f": "false", None: None}[value["b"]]}
            assert again == rows[message["key"]]
        full = rows['"public"."t"/"00000000-0000-0000-0000-000000000001"']
        assert isinstance(full, dict)
        # As recorded of a real Electric.
        expected = {
            "b": "true",
            "c": "c    ",
            "ba": "\\xdeadbeef",
            "iv": "P1Y2M3DT4H5M6S",
            "tz": "2026-01-02 03:04:05.678901+00",
            "ts3": "2026-01-02 03:04:05.679",
            "f8": "1e+300",
            "n": "12345678901234567890.123456789",
            "j": '{"a":  1}',
            "jb": '{"a": 1}',
            "ta": '{"a b",NULL,"NULL","q\\"x"}',
            "inet": "10.0.0.1",
            "co": "(,)",
        }
        assert {name: full[name] for name in expected} == expected


async def test_keys_agree_between_snapshot_and_log_for_every_kind_of_key(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(
            """
            CREATE TABLE "a ""b/c" (b bool, c char(5), t text, i inet, f bool);
            INSERT INTO "a ""b/c" VALUES (true, 'x', 'a/b"c', '10.0.0.1', NULL), (false, '', '', NULL, true);
            """
        )
        query = {"table": '"a ""b/c"'}
        snapshot = await caller.get({**query, "offset": "-1"})
        held = await caller.held({**query, "offset": "0_inf", "handle": snapshot.headers["electric-handle"]})
        await database.execute('DELETE FROM "a ""b/c"')
        async with asyncio.timeout(10):
            log = await held
        keys = {message.get("key") for message in snapshot.messages[:-1]}
        assert keys == {message.get("key") for message in log.messages[:-1]}
        assert '"public"."a "b/c"/"t"/"x    "/"a//b"c"/"10.0.0.1"/_' in keys


async def test_a_table_of_many_columns_is_read(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        columns = ", ".join(f"c{number} text DEFAULT '{number}'" for number in range(300))
        await database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns}); INSERT INTO t VALUES (1)")
        got = await caller.get({"table": "t", "offset": "-1"})
        value = got.messages[0]["value"]
        assert isinstance(value, dict)
        assert (len(value), value["c299"]) == (301, "299")
