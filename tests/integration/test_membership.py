"""From end to end: who is no member any more has no rows left on the own disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from shapegate_client import IssuerCredentials, OfflineSince, Session, ShapeDefinition, Stopped
from shapegate_client.errors import MembershipEnded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shapegate_harness.stack import Stack

ONE_LIVE_CYCLE = 20.0
ADA_IN_GLOBEX = (
    "UPDATE memberships SET status = $1 "
    "WHERE user_id = (SELECT id FROM users WHERE email = 'ada@acme.example') "
    "AND organization_id = (SELECT id FROM organizations WHERE slug = 'globex')"
)


@pytest.fixture
async def owner(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.addresses.database_url)
    try:
        yield connection
    finally:
        await connection.execute(ADA_IN_GLOBEX, "active")
        await connection.close()


async def in_globex(stack: Stack, credentials: IssuerCredentials, home: Path) -> Session:
    """Ada's session in Globex, up to date; her own org is Acme."""
    principal = await credentials.login("ada@acme.example", stack.addresses.logins[0].password)
    (globex,) = (each.id for each in principal.organizations if each.slug == "globex")
    session = await Session.start(stack.addresses.proxy_url, credentials, home=home)
    await session.subscribe(ShapeDefinition(table="controls"))
    await session.up_to_date()
    await session.switch(globex)
    await session.up_to_date()
    return session


def stores_in(home: Path) -> int:
    return len(list(home.glob("stores/*/*.sqlite3")))


async def test_T_09_a_suspended_member_loses_the_rows_within_one_live_cycle(
    stack: Stack, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    async with IssuerCredentials(stack.addresses.issuer_url, home=tmp_path) as credentials:
        session = await in_globex(stack, credentials, tmp_path)
        try:
            assert stores_in(tmp_path) == 2
            await owner.execute(ADA_IN_GLOBEX, "suspended")
            assert await session.reached(Stopped, timeout=ONE_LIVE_CYCLE)
            with pytest.raises(MembershipEnded):
                await session.up_to_date()
        finally:
            await session.close()
        assert stores_in(tmp_path) == 1  # Acme's


async def test_T_09_an_offline_client_loses_the_rows_at_its_next_sync_and_may_come_back(
    stack: Stack, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    async with IssuerCredentials(stack.addresses.issuer_url, home=tmp_path) as credentials:
        await (await in_globex(stack, credentials, tmp_path)).close()
        await owner.execute(ADA_IN_GLOBEX, "suspended")
        async with Session.open("http://127.0.0.1:9", credentials, home=tmp_path) as session:
            await session.subscribe(ShapeDefinition(table="controls"))
            assert await session.reached(OfflineSince, timeout=ONE_LIVE_CYCLE)
            assert session.principal.organization.slug == "globex"
            assert stores_in(tmp_path) == 2
        async with Session.open(stack.addresses.proxy_url, credentials, home=tmp_path) as session:
            await session.subscribe(ShapeDefinition(table="controls"))
            with pytest.raises(MembershipEnded):
                await session.up_to_date(timeout=ONE_LIVE_CYCLE)
        assert stores_in(tmp_path) == 1
        await owner.execute(ADA_IN_GLOBEX, "active")
        async with Session.open(stack.addresses.proxy_url, credentials, home=tmp_path) as session:
            await session.subscribe(ShapeDefinition(table="controls"))
            await session.up_to_date(timeout=ONE_LIVE_CYCLE)
            assert session.db["controls"].count > 0
