"""From outside: what ends a session at the issuer or in the database ends its requests at the gate (I_21)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import pytest
from yarl import URL

from tests.integration.test_isolation import receive, token_of

if TYPE_CHECKING:
    from shapegate_harness.stack import Stack

SUSPEND = "UPDATE {} SET status = 'suspended' WHERE {} = (SELECT id FROM organizations WHERE slug = 'acme')"
RESUME = SUSPEND.replace("'suspended'", "'active'")


async def held_request(
    stack: Stack, http: aiohttp.ClientSession, token: str
) -> asyncio.Task[tuple[int, str]]:
    """Start a live request at the end of a shape, and return it when Electric holds it."""
    start = await receive(stack, http, token, "provider_networks")
    query = {"table": "provider_networks", "offset": start.offset, "handle": start.handle, "live": "true"}
    url = (URL(stack.addresses.proxy_url) / "v1/shape").with_query(query)

    async def ask() -> tuple[int, str]:
        async with http.get(url, headers={"authorization": f"Bearer {token}"}) as answer:
            return answer.status, (await answer.json(content_type=None))["code"]

    task = asyncio.create_task(ask())
    await asyncio.wait([task], timeout=0.2)
    assert not task.done()
    return task


async def test_I_21_a_logout_at_the_issuer_ends_a_held_request_within_a_second(stack: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        token = await token_of(stack, http, "acme")
        headers = {"authorization": f"Bearer {token}"}
        held = await held_request(stack, http, token)
        async with http.post(
            f"{stack.addresses.issuer_url}/api/auth/logout", headers=headers, json={}
        ) as out:
            assert out.status == 204
        assert await asyncio.wait_for(held, 1) == (401, "invalid_token")
        url = URL(stack.addresses.proxy_url) / "v1/shape"
        async with http.get(url, params={"table": "controls", "offset": "-1"}, headers=headers) as answer:
            assert answer.status == 401


@pytest.mark.parametrize(("table", "column"), [("memberships", "organization_id"), ("organizations", "id")])
async def test_I_21_a_suspension_cuts_off_at_once_and_its_end_lets_in_again(
    stack: Stack, table: str, column: str
) -> None:
    owner = await asyncpg.connect(stack.addresses.database_url)
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
        await owner.close()
