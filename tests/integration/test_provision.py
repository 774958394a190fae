"""An org from its making to its end on a running stack: what an operator does is seen at the gate at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import aiohttp
import jwt
import pytest
from yarl import URL

from shapegate_harness.issuer.administration import (
    end_all_of_organization,
    end_all_of_user,
    end_session,
)
from shapegate_harness.issuer.store import Store
from shapegate_schema.provision import delete, resume, suspend
from tests.integration.test_isolation import receive, token_of
from tests.integration.test_revocation import held_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shapegate_harness.stack import Stack, StackLogin


@pytest.fixture
async def login(stack: Stack) -> AsyncIterator[StackLogin]:
    made = await stack.admit(slug="initech", name="Initech", owner_email="ivy@initech.example")
    yield made
    await delete(stack.addresses.database_url, "initech", with_data=True)


async def token_for(stack: Stack, http: aiohttp.ClientSession, login: StackLogin) -> str:
    body = {"email": login.email, "password": login.password}
    async with http.post(f"{stack.addresses.issuer_url}/api/auth/login", json=body) as answer:
        return str((await answer.json())["access_token"])


async def status_of(stack: Stack, http: aiohttp.ClientSession, token: str) -> int:
    url = URL(stack.addresses.proxy_url) / "v1/shape"
    params = {"table": "controls", "offset": "-1"}
    async with http.get(url, params=params, headers={"authorization": f"Bearer {token}"}) as answer:
        return answer.status


async def test_a_new_org_sees_itself_and_no_row_of_anybody(stack: Stack, login: StackLogin) -> None:
    async with aiohttp.ClientSession() as http:
        token = await token_for(stack, http, login)
        orgs = (await receive(stack, http, token, "organizations")).rows
        assert [row["id"] for row in orgs.values()] == [login.organization_id]
        assert (await receive(stack, http, token, "controls")).rows == {}


async def test_I_21_a_suspended_org_is_cut_off_at_once_and_let_in_again(
    stack: Stack, login: StackLogin
) -> None:
    url = stack.addresses.database_url
    async with aiohttp.ClientSession() as http:
        token = await token_for(stack, http, login)
        held = await held_request(stack, http, token)
        await suspend(url, "initech")
        assert await asyncio.wait_for(held, 1) == (401, "invalid_token")
        assert await status_of(stack, http, token) == 401
        await resume(url, "initech")
        assert await status_of(stack, http, token) == 200


@pytest.mark.parametrize("whose", ["a session", "a user", "an organization"])
async def test_I_21_J_14_logins_that_an_operator_ends_are_cut_off_within_a_second(
    stack: Stack, login: StackLogin, whose: str
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        Store.open(stack.addresses.database_url, seconds=10) as store,
    ):
        token, theirs = await token_for(stack, http, login), await token_of(stack, http, "globex")
        held, other = await held_request(stack, http, token), await held_request(stack, http, theirs)
        now = datetime.now(UTC)
        if whose == "a session":
            claims = jwt.decode(token, options={"verify_signature": False})
            await end_session(store, jti=UUID(claims["jti"]), now=now)
        elif whose == "a user":
            await end_all_of_user(store, email=login.email, now=now)
        else:
            await end_all_of_organization(store, slug="initech", now=now)
        assert await asyncio.wait_for(held, 1) == (401, "invalid_token")
        assert not other.done()
        other.cancel()
        await asyncio.wait([other])
        assert await status_of(stack, http, await token_for(stack, http, login)) == 200


async def test_T_09_a_deleted_org_is_cut_off_at_once(stack: Stack) -> None:
    login = await stack.admit(slug="short-lived", name="Short", owner_email="sam@short.example")
    async with aiohttp.ClientSession() as http:
        token = await token_for(stack, http, login)
        held = await held_request(stack, http, token)
        await delete(stack.addresses.database_url, "short-lived", with_data=False)
        assert await asyncio.wait_for(held, 1) == (401, "invalid_token")
        assert await status_of(stack, http, token) == 401
