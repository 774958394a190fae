"""Against a real Postgres: what a filter is printed as selects what the client's own text selects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings

from shapegate_wire.filter import FilterRefused, parse_filter, print_filter
from tests.wire.filter.hostile import MUTATED
from tests.wire.filter.legal import FILTERS, Written
from tests.wire.filter.table import COLUMNS, ORGS, ddl, literal, rows, with_values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hypothesis.strategies import SearchStrategy

    from tests.conftest import CreateDatabase

SCOPE = f"org = {literal(ORGS[0])}"
TYPES_DIFFER = (asyncpg.UndefinedFunctionError, asyncpg.DatatypeMismatchError, asyncpg.CannotCoerceError)
"""What Postgres says, before it looks at a row, where the grammar gives a constant the column's type."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def things(create_session_database: CreateDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database with the table of every type, filled."""
    connection = await asyncpg.connect(await create_session_database())
    try:
        await connection.execute(ddl())
        for statement in rows():
            await connection.execute(statement)
        yield connection
    finally:
        await connection.close()


def examples(strategy: SearchStrategy[Written], count: int) -> list[Written]:
    """Draw values first: hypothesis does not wait for a database."""
    found: list[Written] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value: Written) -> None:
        found.append(value)

    draw()
    return found


async def selected(connection: asyncpg.Connection, where: str) -> set[int]:
    """The ids of the rows for which a condition holds, evaluated on every row."""
    found = await connection.fetch(f"SELECT id, ({where}) AS holds FROM things")
    return {row["id"] for row in found if row["holds"]}


async def both_answers(connection: asyncpg.Connection, asked: Written) -> tuple[set[int], set[int]]:
    """What the client's text and the printed form select, the types of `$n` inferred in both."""
    parsed = parse_filter(asked.text, params=asked.params, columns=COLUMNS)
    printed = print_filter(parsed, first_param=2)
    ours = await selected(connection, with_values(printed.sql, printed.params, first=2))
    return await selected(connection, with_values(asked.text, asked.params)), ours


async def test_P_10_the_printed_form_selects_what_the_clients_text_selects(
    things: asyncpg.Connection,
) -> None:
    for asked in examples(FILTERS, 100):
        theirs, ours = await both_answers(things, asked)
        assert ours == theirs, asked


async def test_I_01_a_scope_and_a_filter_select_rows_of_the_scope_only(things: asyncpg.Connection) -> None:
    scope = await selected(things, SCOPE)
    for asked in examples(FILTERS, 100):
        printed = print_filter(parse_filter(asked.text, params=asked.params, columns=COLUMNS), first_param=1)
        joined = with_values(f"{SCOPE} AND {printed.sql}", printed.params)
        both = await selected(things, joined)
        filtered = await selected(things, with_values(printed.sql, printed.params))
        assert both == scope & filtered, asked


async def test_I_06_a_mutated_filter_is_refused_or_means_what_postgres_reads(
    things: asyncpg.Connection,
) -> None:
    accepted = 0
    for asked in examples(MUTATED, 100):
        try:
            parsed = parse_filter(asked.text, params=asked.params, columns=COLUMNS)
        except FilterRefused:
            continue
        accepted += 1
        printed = print_filter(parsed, first_param=1)
        ours = await selected(things, with_values(printed.sql, printed.params))
        try:
            theirs = await selected(things, with_values(asked.text, asked.params))
        except TYPES_DIFFER:
            continue
        assert ours == theirs, asked
    assert accepted


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("n IN (5, NULL)", ()),
        ("NOT n IN (5, NULL)", ()),
        ("n NOT IN (5, NULL) OR n = -5", ()),
        ("n IN (NULL)", ()),
        ("NOT n = ANY ('{}')", ()),
        ("NOT n <> ALL ($1)", ("{}",)),
        ("n = ANY ('{NULL}') IS UNKNOWN", ()),
        ("n < ANY ('{5,NULL}') IS UNKNOWN", ()),
        ("n >= ALL ('{-5,NULL}') IS FALSE", ()),
        ("n = NULL OR b", ()),
        ("n IS NOT DISTINCT FROM NULL", ()),
        ("n = ANY (NULL) IS NULL", ()),
        ("b = true IS NULL", ()),
        ("NOT b IS NULL", ()),
        ("n IS NOT NULL IS TRUE", ()),
        ("b IS TRUE IS NULL OR NOT b IS TRUE", ()),
        ("n = 5 IS NULL IS NOT TRUE AND n = 5 IS NOT TRUE", ()),
        ("n IN (5) IS TRUE OR n BETWEEN -9 AND 1 IS TRUE OR t LIKE 'A%' IS TRUE", ()),
        ("NULL IS NULL AND NOT (NULL IS NOT NULL) AND true IS NOT NULL", ()),
        ("NOT NOT b AND NOT (NOT c)", ()),
        ("NOT n = 5 AND b OR c", ()),
        ("b OR c AND NOT b", ()),
        ("n BETWEEN SYMMETRIC 5 AND -5 AND b", ()),
        ("n NOT BETWEEN SYMMETRIC 5 AND NULL", ()),
        ("5 BETWEEN n AND l", ()),
        ("n IS DISTINCT FROM 5 AND b IS TRUE", ()),
        ("f = 0.5 OR f = '0.1' OR f = 0.1::real", ()),
        ("f > 16777216", ()),
        ("num = 1e5 OR num > .5 OR num < -.25", ()),
        ("n = - - 5", ()),
        ("n = (-5)::int8", ()),
        ("t LIKE '100\\%%' OR v ILIKE '%k'", ()),
        ("t = 'a''b' OR \"user\" = 'ada'", ()),
        ("ts >= '2026-01-31' AND tm < '01:03'", ()),
        ("tz = '2026-01-31 03:02:03+02'", ()),
        ("tags && ARRAY['a', 'NULL'] OR 'a' = ANY (tags)", ()),
        ("ns <@ '{1,2,3}' OR 5 <> ALL (ns)", ()),
        ("us @> $1::uuid[]", ("{" + ORGS[0] + "}",)),
        ("e::text IN ('ok', 'no mood') OR u::text LIKE '0000%'", ()),
        ('"we""ird $1" = 1 OR größe = 2', ()),
        ("coalesce(t, '') = '' AND lower(v) <> upper(v)", ()),
    ],
)
async def test_a_filter_means_what_postgres_means_by_it(
    things: asyncpg.Connection, text: str, params: tuple[str, ...]
) -> None:
    theirs, ours = await both_answers(things, Written(text, params))
    assert ours == theirs


async def test_a_printed_filter_is_typed_by_its_context_when_it_is_prepared(
    things: asyncpg.Connection,
) -> None:
    ids = ",".join(ORGS)
    text = f"u = ANY ('{{{ids}}}') AND n < 5 AND tags @> '{{a}}' AND lower(t) LIKE '%' AND tz > $1"
    printed = print_filter(parse_filter(text, params=("2026-01-31 00:00Z",), columns=COLUMNS), first_param=1)
    prepared = await things.prepare(f"SELECT id FROM things WHERE {printed.sql}")
    types = [found.name for found in prepared.get_parameters()]
    assert types == ["uuid[]", "int4", "text[]", "text", "timestamptz"]


@pytest.mark.parametrize("name", COLUMNS)
async def test_I_06_every_constant_that_is_accepted_is_one_that_postgres_reads(
    things: asyncpg.Connection, name: str
) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    for value in EDGES:
        try:
            parsed = parse_filter(f"{quoted} = $1", params=(value,), columns=COLUMNS)
        except FilterRefused:
            continue
        printed = print_filter(parsed, first_param=1)
        ours = await selected(things, with_values(printed.sql, printed.params))
        theirs = await selected(things, with_values(f"{quoted} = $1", (value,)))
        assert ours == theirs, value


EDGES = [
    *("", " ", "0", "-0", "+5", "05", " 5", "5 ", "1_000", "0x1F", "1e5", "1E-5", ".5", "5.", "1.50", "NaN"),
    *(
        "Infinity",
        "-inf",
        "1e400",
        "1e-400",
        "1e37",
        "9" * 400,
        "32768",
        "-32768",
        "2147483648",
        "-2147483648",
    ),
    *(
        "9223372036854775808",
        "0.1",
        "16777217",
        "123456789012345",
        "1234567890123456",
        "t",
        "TRUE",
        "yes",
        "1",
    ),
    *(
        "2026-02-29",
        "2024-02-29",
        "0000-01-01",
        "9999-12-31",
        "10000-01-01",
        "now",
        "today",
        "infinity",
        "epoch",
    ),
    *(
        "2026-1-1",
        "20260101",
        "01/02/2026",
        "J2451187",
        "24:00",
        "24:00:00",
        "23:59:60",
        "12:00 PM",
        "12:00:00.1234567",
    ),
    *(
        "2026-01-01 25:00",
        "2026-01-01T01:02",
        "2026-01-01 01:02:03+25",
        "2026-01-01 01:02:03+14:59",
        "2026-01-01 01:02+1",
    ),
    *(
        "0001-01-01 00:00+14",
        "9999-12-31 23:59-14",
        "2026-01-01 01:02:03 Europe/Paris",
        "2026-01-01 01:02:03z",
    ),
    *(
        ORGS[0],
        ORGS[0].upper(),
        "{" + ORGS[0] + "}",
        ORGS[0].replace("-", ""),
        "0" * 36,
        "ok",
        "sad",
        "unknown",
    ),
    *(
        "{}",
        "{a}",
        "{NULL}",
        "{1,2}",
        "{1,,2}",
        "{{1}}",
        "[1:1]={1}",
        "{1",
        "{ 1 , 2 }",
        '{"a b",c}',
        '{"a}',
        "{a b}",
    ),
    *("\u0661", "\uff15", "\u212a", "e\u0301", "x" * 300, "\\", "\\x00", "%"),
]


def test_every_edge_is_refused_by_a_type_at_least() -> None:
    assert len(EDGES) == len(set(EDGES))
    assert re.search("[^\x00-\x7f]", "".join(EDGES))
