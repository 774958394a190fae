from __future__ import annotations

import asyncio
import json

import pytest

from shapegate_harness.electric.catalogue import look_up
from shapegate_harness.electric.condition import compile_condition
from shapegate_harness.electric.errors import Rejected
from shapegate_harness.electric.filter import parse_filter
from shapegate_wire.identifier import TableName
from tests.harness.electric.builders import Caller, connected, open_caller

TABLE = """
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE t (
        id int8 PRIMARY KEY, u uuid, v text, b bool, n numeric(12, 3), ch char(5), tags text[], e mood,
        at timestamptz, doc jsonb, raw bytea, "Mixed ""Case" text, "$1" text
    );
    INSERT INTO t VALUES (
        1, '00000000-0000-0000-0000-00000000000a', 'it''s; -- a "text" \\', true, 1.5, 'ab', '{a,"b,c",NULL}',
        'ok', '2026-01-02 03:04:05+02', '{"k": [1, null]}', '\\x00ff', 'mc', 'dollar'
    );
"""


async def answer(caller: Caller, where: str, *params: str) -> tuple[int, str]:
    given = {f"params[{number}]": value for number, value in enumerate(params, start=1)}
    got = await caller.get({"table": "t", "columns": "id", "offset": "-1", "where": where, **given})
    if got.status == 200:
        return 200, str(len(got.messages) - 1)
    errors = json.loads(got.text)["errors"]
    return got.status, next(iter(errors.values()))[0]


MATCHING: list[tuple[str, ...]] = [
    ("id = 1",),
    ("id = $1", "1"),
    ("u = $1", "00000000-0000-0000-0000-00000000000A"),
    ("v = $1", 'it\'s; -- a "text" \\'),
    ("v = 'it''s; -- a \"text\" \\'",),
    (r"""v = E'it\'s; -- a "text" \\'""",),
    ('v = $x$it\'s; -- a "text" \\$x$',),
    ("b AND NOT (n > $1)", "2"),
    ("b = $1", "t"),
    ("ch = 'ab'",),
    ("tags @> $1", '{"b,c"}'),
    ("'a' = ANY(tags) AND id IN (1, 2) AND id BETWEEN 1 AND 2",),
    ("e::text = 'ok' AND e::text = $1", "ok"),
    ("at = $1", "2026-01-02 01:04:05Z"),
    ("doc IS NOT NULL AND raw IS NOT NULL",),
    ('"Mixed ""Case" = $1 AND "$1" = $2', "mc", "dollar"),
    ("$1 = v OR $2 = id", "no", "1"),
    ("true",),
    ("id = 1 -- ) OR true",),
]


@pytest.mark.parametrize("where_and_params", MATCHING)
async def test_snapshot_and_changes_agree_on_a_filter(
    where_and_params: tuple[str, ...], database_url: str
) -> None:
    where, *params = where_and_params
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        assert await answer(caller, where, *params) == (200, "1")
        given = {f"params[{number}]": value for number, value in enumerate(params, start=1)}
        query = {"table": "t", "columns": "id", "where": where, **given}
        first = await caller.get({**query, "offset": "-1"})
        held = await caller.held({**query, "offset": "0_inf", "handle": first.headers["electric-handle"]})
        if where == "true":
            await database.execute("INSERT INTO t (id) VALUES (77)")
        else:
            await database.execute("DELETE FROM t")
        async with asyncio.timeout(10):
            got = await held
        assert got.status == 200
        headers = got.messages[0]["headers"]
        assert isinstance(headers, dict)
        assert headers["operation"] == ("insert" if where == "true" else "delete")


@pytest.mark.parametrize(
    ("where", "params", "problem"),
    [
        # As recorded of a real Electric.
        ("id = = 1", (), 'At location 20: syntax error at or near "="'),
        ("nope = 1", (), "At location 0: unknown reference nope"),
        ("id = 'abc'", (), "At location 5: invalid syntax for type int8: abc"),
        ("id + 1", (), "WHERE clause must return a boolean"),
        ("v = $1 OR id = $2", ("a",), "At location 15: parameter $2 was not provided"),
        ("id = $1", ("abc",), "At location 5: invalid syntax for type int8: abc"),
        ("t IS NOT NULL", (), "At location 0: unknown reference t"),
        ("ctid IS NOT NULL", (), "At location 0: unknown reference ctid"),
        ("v = id", (), "At location 2: Could not select an operator overload"),
        ("e = 'ok'", (), "At location 4: invalid syntax for type enum mood: ok"),
        ("doc->>'k' = '1'", (), 'At location 3: unknown binary operator "->>"'),
        ("raw = '\\xdeadbeef'", (), "At location 4: Could not select an operator overload"),
        ("at > '2020-01-01'", (), "At location 5: invalid syntax for type timestamptz: 2020-01-01"),
        ("id % 2 = 0", (), 'At location 3: unknown binary operator "%"'),
        ("e = $1", ("odd",), "At location 4: invalid syntax for type enum mood: odd"),
        (
            "u = $1",
            ("x'; DROP TABLE t; --",),
            "At location 4: invalid syntax for type uuid: x'; DROP TABLE t; --",
        ),
    ],
)
async def test_what_postgres_refuses_is_told_in_electrics_words(
    where: str, params: tuple[str, ...], problem: str, database_url: str
) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        assert await answer(caller, where, *params) == (400, problem)


@pytest.mark.parametrize(
    "where",
    [
        "id = 1) OR (true",
        "false) UNION SELECT 1 FROM t WHERE (true",
        "false /* */) OR (true /* ",
        "false\n) OR (true",
        "v = '\\') OR (true) --'",
        "v = $$x$$) OR (true",
        "pg_sleep(10) IS NULL",
        "set_config('role', 'postgres', false) = ''",
        "nextval('s') > 0",
        "lo_create(1) > 0",
    ],
)
async def test_no_filter_leaves_its_parentheses_or_acts(where: str, database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        status, text = await answer(caller, where)
        # A text that only looks like an escape is a filter that no row passes.
        assert (status, text) == (200, "0") or status == 400


async def test_a_surplus_param_is_ignored(database_url: str) -> None:
    async with connected(database_url) as database, open_caller(database_url) as caller:
        await database.execute(TABLE)
        assert await answer(caller, "id = $2", "unused", "1") == (200, "1")


async def compiled(database_url: str, where: str, *params: str, columns: frozenset[str]) -> str:
    async with connected(database_url) as database:
        await database.execute(TABLE)
        relation = await look_up(database, TableName("public", "t"))
        found = await compile_condition(
            database, relation, parse_filter(where), params, columns=columns, subset=True
        )
        matching = await database.fetchval(f"SELECT count(*) FROM t WHERE {found.sql}", *found.values)
        return str(matching)


async def test_a_subset_speaks_of_the_columns_that_a_gate_allows(database_url: str) -> None:
    with pytest.raises(Rejected, match="unknown reference v"):
        await compiled(database_url, "id = 1 AND v = 'x'", columns=frozenset({"id"}))


async def test_a_subset_may_compare_enums(database_url: str) -> None:
    columns = frozenset({"id", "e"})
    assert (
        await compiled(database_url, "id = $2 AND e = $1 AND e <> 'sad'", "ok", "1", columns=columns) == "1"
    )


async def test_a_subset_has_no_subqueries(database_url: str) -> None:
    with pytest.raises(Rejected, match="Subqueries are not allowed in subsets"):
        await compiled(database_url, "id IN (SELECT id FROM t)", columns=frozenset({"id"}))
