"""Every kind of scope on a real Postgres and through the development Electric: rows of the scope, never more.

What belongs to a scope is computed here from the rows themselves, not by the SQL that is put to the test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from yarl import URL

from shapegate_proxy.errors import FilterNotAccepted
from shapegate_proxy.policy import confine
from shapegate_proxy.policy_file import parse_policy
from shapegate_proxy.upstream import build
from shapegate_wire.offset import BEFORE_ALL, parse_offset
from shapegate_wire.request import ShapeRequest
from shapegate_wire.shape import ShapeDefinition
from shapegate_wire.subset import SubsetRequest
from tests.harness.electric.builders import open_caller
from tests.proxy.builders import principal
from tests.proxy.scopes import KINDS, PARENT_COLUMNS
from tests.wire.filter.hostile import MUTATED, NOISE
from tests.wire.filter.legal import FILTERS
from tests.wire.filter.table import COLUMNS, ORGS, ddl, rows, with_values
from tests.wire.filter.test_postgres import examples, selected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shapegate_proxy.policy import ConfinedRequest, Policy
    from shapegate_proxy.principal import Principal
    from tests.conftest import CreateDatabase

ME = principal(org=ORGS[0], user=ORGS[0], named={"client": "abc", "vendor": "b"})
NOBODY = principal(org=ORGS[1], user=ORGS[1], named={"client": "none' OR 'a'='a", "vendor": "TV-0"})
OTHER = principal(org=ORGS[1], user=ORGS[0], named={"client": "ABC", "vendor": "NULL"})
PARENTS = [
    ("abc", "abc", "x"),
    ("", "ABC", "x"),
    ("a\nb", "x", "b"),
    ("ABC", "x", "NULL"),
    ("abc", None, None),
]

Row = dict[str, Any]


def policy(kind: str) -> Policy:
    """The policy of the table with one kind of scope."""
    columns = "\n".join(f"{json.dumps(name)} = {json.dumps(type_)}" for name, type_ in COLUMNS.items())
    parents = "\n".join(f"{name} = {json.dumps(type_)}" for name, type_ in PARENT_COLUMNS.items())
    return parse_policy(
        f"version = 1\n[tables.things]\nscope = {json.dumps(KINDS[kind])}\n"
        f"[tables.things.columns]\n{columns}\n[lookups.parents]\n{parents}\n"
    )


def confined(
    kind: str,
    who: Principal,
    *,
    subset: SubsetRequest | None = None,
    handle: str | None = None,
    live: bool = False,
    **asked: Any,
) -> ConfinedRequest:
    """A request for the start of a log, or behind the snapshot of a handle."""
    request = ShapeRequest(
        definition=ShapeDefinition(table="things", **asked),
        offset=BEFORE_ALL if handle is None else parse_offset("0_inf"),
        handle=handle,
        live=live,
        subset=subset,
    )
    return confine(who, request, policy(kind))


def in_scope(kind: str, who: Principal, row: Row) -> bool:
    """Say of one row whether the principal may see it."""
    client, vendor = who.claims["client"], who.claims["vendor"]
    t: str | None = row["t"]
    v: str | None = row["v"]
    match kind:
        case "org":
            return str(row["org"]) == who.org
        case "id":
            return str(row["u"]) == who.org
        case "two-sided":
            return client == t or vendor == v
        case "user-or-null":
            return str(row["org"]) == who.org and (row["u"] is None or str(row["u"]) == who.user)
        case "child":
            keys = {
                key for key, its_client, its_vendor in PARENTS if its_client == client or its_vendor == vendor
            }
            return t in keys
    raise AssertionError(kind)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(create_session_database: CreateDatabase) -> str:
    """A database with the table of every type, and the parents of its rows."""
    url = await create_session_database()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(ddl())
        await connection.execute("ALTER TABLE things ADD PRIMARY KEY (id)")
        await connection.execute("CREATE TABLE parents (key text, client text, vendor varchar(20), org uuid)")
        for statement in rows():
            await connection.execute(statement)
        await connection.executemany("INSERT INTO parents VALUES ($1, $2, $3)", PARENTS)
    finally:
        await connection.close()
    return url


@pytest_asyncio.fixture(loop_scope="session")
async def things(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def electric(database: str) -> AsyncIterator[str]:
    """The URL of a development Electric before the database."""
    async with open_caller(database) as caller:
        yield caller.electric.url


async def scoped(connection: asyncpg.Connection, kind: str, who: Principal) -> set[int]:
    found = await connection.fetch("SELECT id, org, u, t, v FROM things")
    return {row["id"] for row in found if in_scope(kind, who, dict(row))}


async def granted(connection: asyncpg.Connection, asked: ConfinedRequest) -> set[int]:
    """The rows that Postgres selects by what is sent to Electric."""
    return await selected(connection, with_values(asked.where, asked.params))


CALLERS = pytest.mark.parametrize("who", [ME, OTHER, NOBODY], ids=["me", "other", "nobody"])
EACH_KIND = pytest.mark.parametrize("kind", KINDS)


@EACH_KIND
@CALLERS
async def test_I_01_without_a_filter_exactly_the_rows_of_the_scope_are_selected(
    things: asyncpg.Connection, kind: str, who: Principal
) -> None:
    assert await granted(things, confined(kind, who)) == await scoped(things, kind, who)


@EACH_KIND
async def test_the_rows_tell_the_scopes_apart(things: asyncpg.Connection, kind: str) -> None:
    everything = await selected(things, "true")
    mine, others = await scoped(things, kind, ME), await scoped(things, kind, OTHER)
    assert mine
    assert mine < everything
    assert mine != others


@EACH_KIND
async def test_I_01_I_02_a_legal_filter_selects_within_the_scope(
    things: asyncpg.Connection, kind: str
) -> None:
    scope = await scoped(things, kind, ME)
    for asked in examples(FILTERS, 60):
        theirs = await selected(things, with_values(asked.text, asked.params))
        ours = await granted(things, confined(kind, ME, where=asked.text, params=asked.params))
        assert ours == scope & theirs, asked


@EACH_KIND
async def test_I_01_I_02_a_hostile_filter_is_refused_or_selects_within_the_scope(
    things: asyncpg.Connection, kind: str
) -> None:
    scope = await scoped(things, kind, ME)
    accepted = 0
    for asked in [*examples(MUTATED, 100), *examples(NOISE, 100)]:
        try:
            request = confined(kind, ME, where=asked.text if asked.text.strip() else "(", params=asked.params)
        except FilterNotAccepted:
            continue
        accepted += 1
        assert await granted(things, request) <= scope, asked
    assert accepted


async def test_P_09_a_claim_that_looks_like_sql_is_a_value(things: asyncpg.Connection) -> None:
    asked = confined("two-sided", NOBODY)
    found = await things.fetch(f"SELECT id FROM things WHERE {asked.where}", *asked.params)
    assert found == []


# --- through the development Electric


async def ask(electric_url: str, asked: ConfinedRequest) -> tuple[int, Mapping[str, str], Any]:
    """Send what the gate would send."""
    built = build(asked, electric_url=URL(electric_url), secret=None)
    async with (
        aiohttp.ClientSession() as http,
        http.request(built.method, built.url, headers=built.headers, data=built.body) as answer,
    ):
        return answer.status, answer.headers, await answer.json(content_type=None)


def ids(messages: list[Row]) -> set[int]:
    return {int(message["value"]["id"]) for message in messages if "key" in message}


SHOWN = ("id", "org", "u", "t", "v")


@EACH_KIND
@CALLERS
@pytest.mark.parametrize("where", [None, "s = 1 OR t IS NULL OR n > 0"])
async def test_I_01_electric_serves_the_rows_of_each_kind_of_scope(
    electric: str, things: asyncpg.Connection, kind: str, who: Principal, where: str | None
) -> None:
    asked = confined(kind, who, where=where, columns=SHOWN)
    status, _, messages = await ask(electric, asked)
    theirs = await selected(things, where or "true")
    assert status == 200
    assert ids(messages) == await scoped(things, kind, who) & theirs


@EACH_KIND
@pytest.mark.parametrize("where", [None, "id > 1 OR id = 1"])
async def test_I_11_a_subset_is_scope_and_filter_and_subset(
    electric: str, things: asyncpg.Connection, kind: str, where: str | None
) -> None:
    for text in ("id = 1 OR id = 2", "s = 1", "true"):
        asked = confined(kind, ME, where=where, columns=SHOWN, subset=SubsetRequest(where=text))
        status, _, answer = await ask(electric, asked)
        theirs = await selected(things, text)
        assert status == 200
        assert ids(answer["data"]) == await scoped(things, kind, ME) & theirs


@EACH_KIND
async def test_P_48_other_claims_with_an_old_handle_lead_to_another_shape(electric: str, kind: str) -> None:
    _, before, _ = await ask(electric, confined(kind, OTHER, columns=SHOWN))
    handle = before["electric-handle"]
    status, after, answer = await ask(electric, confined(kind, ME, columns=SHOWN, handle=handle))
    assert status == 409
    assert answer == [{"headers": {"control": "must-refetch"}}]
    assert after["electric-handle"] != handle


@EACH_KIND
async def test_P_14_P_15_equal_rights_are_one_shape(electric: str, kind: str) -> None:
    again = principal(
        org=ME.org, user=ME.user, role="viewer", named={"vendor": "b", "tenant": "TNT-1", "client": "abc"}
    )
    handles = set()
    for who, columns in ((ME, SHOWN), (again, tuple(reversed(SHOWN)))):
        _, headers, _ = await ask(electric, confined(kind, who, columns=columns))
        handles.add(headers["electric-handle"])
    assert len(handles) == 1


@EACH_KIND
async def test_I_01_a_live_change_outside_of_the_scope_does_not_arrive(
    database: str, things: asyncpg.Connection, kind: str
) -> None:
    insert = "INSERT INTO things (id, org, u, t, v) VALUES ($1, $2, $2, $3, $4)"
    async with open_caller(database) as caller:
        _, start, _ = await ask(caller.electric.url, confined(kind, ME, columns=SHOWN))
        try:
            await things.execute(insert, 100, ORGS[1], "theirs", "theirs")
            await things.execute(insert, 101, ORGS[0], "abc", "b")
            asked = confined(kind, ME, columns=SHOWN, handle=start["electric-handle"], live=True)
            status, _, messages = await ask(caller.electric.url, asked)
        finally:
            await things.execute("DELETE FROM things WHERE id >= 100")
    assert (status, ids(messages)) == (200, {101})
