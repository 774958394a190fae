"""From outside, over HTTP: for every synced table and each org, no row of the other org arrives (I_01)."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
from yarl import URL

from shapegate_proxy.policy_file import parse_policy
from shapegate_schema.domains import policy_file

if TYPE_CHECKING:
    from shapegate_harness.scenario import Recorder
    from shapegate_harness.stack import Stack

POLICY = parse_policy(policy_file("controls").read_text(encoding="utf-8"))
TABLES = sorted(POLICY.tables)
USERS = {"acme": "ben@acme.example", "globex": "grace@globex.example"}
OTHER = {"acme": "globex", "globex": "acme"}


@dataclass(frozen=True)
class Received:
    """Everything that came of one shape, up to its end."""

    rows: dict[str, dict[str, Any]]
    bytes: bytes
    handle: str
    offset: str


async def token_of(stack: Stack, http: aiohttp.ClientSession, org: str) -> str:
    login = next(login for login in stack.addresses.logins if login.email == USERS[org])
    body = {"email": login.email, "password": login.password}
    async with http.post(f"{stack.addresses.issuer_url}/api/auth/login", json=body) as answer:
        return str((await answer.json())["access_token"])


async def receive(stack: Stack, http: aiohttp.ClientSession, token: str, table: str) -> Received:
    """Read a whole shape as any client of Electric does, as it is now and not as it was a moment ago."""
    url = URL(stack.addresses.proxy_url) / "v1/shape"
    query = {"table": table, "offset": "-1"}
    rows: dict[str, dict[str, Any]] = {}
    seen = b""
    for _ in range(20):
        headers = {"authorization": f"Bearer {token}"}
        fresh = query | {"cache-buster": secrets.token_hex(8)}
        async with http.get(url, params=fresh, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            seen += await answer.read() + str(answer.headers).encode()
            for message in await answer.json(content_type=None):
                if "key" in message:
                    rows[message["key"]] = message["value"]
            handle, offset = answer.headers["electric-handle"], answer.headers["electric-offset"]
            if "electric-up-to-date" in answer.headers:
                return Received(rows, seen, handle, offset)
            query = {"table": table, "offset": offset, "handle": handle}
    raise AssertionError("the shape did not come to an end within 20 answers")


async def ids_in_postgres(stack: Stack, table: str, column: str, org: str) -> set[str]:
    connection = await asyncpg.connect(stack.addresses.database_url)
    try:
        query = (
            f"SELECT id::text FROM {table} WHERE {column} = (SELECT id FROM organizations WHERE slug = $1)"
        )
        return {row["id"] for row in await connection.fetch(query, org)}
    finally:
        await connection.close()


@pytest.mark.parametrize("org", ["acme", "globex"])
@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_I_01_exactly_the_rows_of_the_own_org_arrive(stack: Stack, table: Any, org: str) -> None:
    column = str(POLICY.tables[table].scope.org_column)
    async with aiohttp.ClientSession() as http:
        received = await receive(stack, http, await token_of(stack, http, org), str(table))
    ids = {row["id"] for row in received.rows.values()}
    assert ids == await ids_in_postgres(stack, str(table), column, org)
    assert ids
    assert ids & await ids_in_postgres(stack, str(table), column, OTHER[org]) == set()
    other = next(
        login.organization_id for login in stack.addresses.logins if login.email == USERS[OTHER[org]]
    )
    assert other.encode() not in received.bytes


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_P_48_a_handle_of_the_other_org_leads_to_a_refetch_and_to_no_row(
    stack: Stack, table: Any, live: bool
) -> None:
    async with aiohttp.ClientSession() as http:
        theirs = await receive(stack, http, await token_of(stack, http, "globex"), str(table))
        query = {"table": str(table), "offset": theirs.offset, "handle": theirs.handle}
        if live:
            query["live"] = "true"
        headers = {"authorization": f"Bearer {await token_of(stack, http, 'acme')}"}
        url = URL(stack.addresses.proxy_url) / "v1/shape"
        async with http.get(url, params=query, headers=headers) as answer:
            assert answer.status == 409
            assert await answer.json(content_type=None) == [{"headers": {"control": "must-refetch"}}]
            assert answer.headers["electric-handle"] != theirs.handle


async def test_I_01_a_live_change_reaches_its_own_org_only(stack: Stack, recorder: Recorder) -> None:
    async with aiohttp.ClientSession() as http:
        held = []
        for org in ("acme", "globex"):
            token = await token_of(stack, http, org)
            start = await receive(stack, http, token, "controls")
            query = {"table": "controls", "offset": start.offset, "handle": start.handle, "live": "true"}
            url = (URL(stack.addresses.proxy_url) / "v1/shape").with_query(query)
            held.append(asyncio.create_task(read_live(http, url, token)))
        connection = await asyncpg.connect(stack.addresses.database_url)
        try:
            for org in ("acme", "globex"):
                await connection.execute(
                    "UPDATE controls SET description = $1 WHERE organization_id = "
                    "(SELECT id FROM organizations WHERE slug = $2)",
                    f"marker of {org}",
                    org,
                )
        finally:
            await connection.close()
        ours, theirs = (body.decode() for body in await asyncio.wait_for(asyncio.gather(*held), 15))
    assert "marker of acme" in ours
    assert "marker of globex" not in ours
    assert "marker of globex" in theirs
    assert "marker of acme" not in theirs


async def read_live(http: aiohttp.ClientSession, url: URL, token: str) -> bytes:
    async with http.get(url, headers={"authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200
        return await answer.read()
