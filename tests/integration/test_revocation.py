"""From outside: what ends a session at the issuer or in the database ends its requests at the gate."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest
from yarl import URL

from tests.integration.test_isolation import receive, token_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_harness.stack import Stack

ACME = "(SELECT id FROM organizations WHERE slug = 'acme')"
SUSPEND = "UPDATE {} SET status = 'suspended' WHERE {} = " + ACME
RESUME = SUSPEND.replace("'suspended'", "'active'")
LEAVE = (
    "DELETE FROM memberships WHERE user_id = (SELECT id FROM users WHERE email = 'ben@acme.example') "
    "AND organization_id = (SELECT id FROM organizations WHERE slug = 'globex')"
)
WEIGH = "UPDATE provider_networks SET path_weight = $1 WHERE organization_id = " + ACME


@pytest.fixture
async def owner(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.addresses.database_url)
    yield connection
    await connection.close()


async def live_url(stack: Stack, http: aiohttp.ClientSession, token: str, **modes: str) -> URL:
    """The URL of a live request at the end of a shape."""
    start = await receive(stack, http, token, "provider_networks")
    query = {"table": "provider_networks", "offset": start.offset, "handle": start.handle, "live": "true"}
    return (URL(stack.addresses.proxy_url) / "v1/shape").with_query(query | modes)


async def held_request(
    stack: Stack, http: aiohttp.ClientSession, token: str
) -> asyncio.Task[tuple[int, str]]:
    """Start a live request at the end of a shape, and return it when Electric holds it."""
    url = await live_url(stack, http, token)

    async def ask() -> tuple[int, str]:
        async with http.get(url, headers={"authorization": f"Bearer {token}"}) as answer:
            return answer.status, (await answer.json(content_type=None))["code"]

    task = asyncio.create_task(ask())
    await asyncio.wait([task], timeout=0.2)
    assert not task.done()
    return task


@dataclass
class Stream:
    """An event stream under way, and what came of it."""

    status: int
    received: bytes = b""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, marker: bytes) -> None:
        """Wait until the marker has come."""
        async with asyncio.timeout(10):
            while marker not in self.received:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def event_stream(
    stack: Stack, http: aiohttp.ClientSession, token: str
) -> AsyncIterator[tuple[Stream, asyncio.Task[None]]]:
    """Follow a shape by events; the task ends with the stream."""
    url = await live_url(stack, http, token, live_sse="true")
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    async with http.get(url, headers=headers) as answer:
        stream = Stream(answer.status)

        async def follow() -> None:
            with suppress(aiohttp.ClientError):  # as a cut stream ends
                async for chunk in answer.content.iter_any():
                    stream.received += chunk
                    stream.news.set()

        following = asyncio.create_task(follow())
        yield stream, following
        following.cancel()
        await asyncio.wait([following])


async def log_out(stack: Stack, http: aiohttp.ClientSession, token: str) -> None:
    url = f"{stack.addresses.issuer_url}/api/auth/logout"
    async with http.post(url, headers={"authorization": f"Bearer {token}"}, json={}) as out:
        assert out.status == 204


async def test_I_21_J_15_a_logout_at_the_issuer_ends_a_held_request_within_a_second(stack: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        token = await token_of(stack, http, "acme")
        held = await held_request(stack, http, token)
        await log_out(stack, http, token)
        assert await asyncio.wait_for(held, 1) == (401, "invalid_token")
        url = URL(stack.addresses.proxy_url) / "v1/shape"
        headers = {"authorization": f"Bearer {token}"}
        async with http.get(url, params={"table": "controls", "offset": "-1"}, headers=headers) as answer:
            assert answer.status == 401


async def test_I_21_a_logout_breaks_an_event_stream_off_and_no_row_follows(
    stack: Stack, owner: asyncpg.Connection
) -> None:
    weights = await owner.fetch("SELECT id, path_weight FROM provider_networks")
    try:
        async with aiohttp.ClientSession() as http:
            token, other = await token_of(stack, http, "acme"), await token_of(stack, http, "acme")
            async with (
                event_stream(stack, http, token) as (stream, following),
                event_stream(stack, http, other) as (witness, _),
            ):
                assert (stream.status, witness.status) == (200, 200)
                await owner.execute(WEIGH, 4711)
                await asyncio.gather(stream.until(b"4711"), witness.until(b"4711"))
                await log_out(stack, http, token)
                await asyncio.wait_for(following, 1)
                assert stream.received.endswith(b"\n\n")  # no half event
                await owner.execute(WEIGH, 4712)
                await witness.until(b"4712")  # whose session goes on
                assert b"4712" not in stream.received
    finally:
        restore = "UPDATE provider_networks SET path_weight = $2 WHERE id = $1"
        await owner.executemany(restore, [tuple(row) for row in weights])


@pytest.mark.parametrize(("table", "column"), [("memberships", "organization_id"), ("organizations", "id")])
async def test_I_21_a_suspension_cuts_off_at_once_and_its_end_lets_in_again(
    stack: Stack, owner: asyncpg.Connection, table: str, column: str
) -> None:
    try:
        async with aiohttp.ClientSession() as http:
            token, theirs = await token_of(stack, http, "acme"), await token_of(stack, http, "globex")
            held = await held_request(stack, http, token)
            other = await held_request(stack, http, theirs)
            await owner.execute(SUSPEND.format(table, column))
            assert await asyncio.wait_for(held, 1) == (401, "invalid_token")
            assert not other.done()
            await owner.execute(RESUME.format(table, column))
            assert (await receive(stack, http, token, "controls")).rows
            other.cancel()
            await asyncio.wait([other])
    finally:
        await owner.execute(RESUME.format(table, column))


async def test_T_09_a_member_who_is_removed_is_cut_off_within_a_second_and_gets_nothing_more(
    stack: Stack, owner: asyncpg.Connection
) -> None:
    join = (
        "INSERT INTO memberships (user_id, organization_id, role) "
        "SELECT users.id, organizations.id, 'viewer' FROM users, organizations "
        "WHERE email = 'ben@acme.example' AND slug = 'globex' RETURNING organization_id::text"
    )
    globex = await owner.fetchval(join)
    url = URL(stack.addresses.proxy_url) / "v1/shape"
    switch = f"{stack.addresses.issuer_url}/api/auth/switch"
    try:
        async with aiohttp.ClientSession() as http:
            own = {"authorization": f"Bearer {await token_of(stack, http, 'acme')}"}
            async with http.post(switch, headers=own, json={"organization_id": globex}) as answer:
                token = (await answer.json())["access_token"]
            held = await held_request(stack, http, token)
            async with event_stream(stack, http, token) as (_, following):
                await owner.execute(LEAVE)
                assert await asyncio.wait_for(held, 1) == (401, "invalid_token")
                await asyncio.wait_for(following, 1)
            params = {"table": "controls", "offset": "-1"}
            headers = {"authorization": f"Bearer {token}"}
            async with http.get(url, params=params, headers=headers) as answer:
                assert answer.status == 401
    finally:
        await owner.execute(LEAVE)
