"""The statements under the issuer's own role, and what becomes of a database that is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest

from shapegate_harness.issuer import TokenIssuer
from shapegate_harness.issuer.errors import InternalFault, Unavailable
from shapegate_harness.issuer.store import CONNECTIONS_MAX, Store
from tests.harness.issuer.builders import NOW, session, settings
from tests.harness.issuer.caller import Caller
from tests.harness.issuer.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.issuer.conftest import Database


async def issuer_connections(database: Database) -> int:
    count = await database.owner.fetchval(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = 'shapegate-issuer' AND datname = current_database()"
    )
    assert isinstance(count, int)
    return count


async def test_what_leaves_the_block_with_an_exception_is_rolled_back(database: Database) -> None:
    async with Store.open(database.issuer_url, seconds=5) as store:
        with contextlib.suppress(LookupError):
            async with store.transaction() as records:
                await records.begin_session(session(), token_hash=b"h", refresh_until=NOW)
                raise LookupError
    assert await database.owner.fetchval("SELECT count(*) FROM shapegate_auth.sessions") == 0


async def test_a_cancelled_transaction_is_rolled_back_and_gives_its_connection_back(
    database: Database,
) -> None:
    async with Store.open(database.issuer_url, seconds=5) as store:
        for _ in range(CONNECTIONS_MAX + 1):
            begun = asyncio.Event()

            async def hang(begun: asyncio.Event) -> None:
                async with store.transaction() as records:
                    await records.begin_session(session(), token_hash=b"h", refresh_until=NOW)
                    begun.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(hang(begun))
            await asyncio.wait_for(begun.wait(), 10)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with store.transaction() as records:
            assert await records.session(session().jti) is None


async def test_a_session_is_found_as_it_was_recorded(database: Database) -> None:
    ada = await database.owner.fetchval("SELECT id FROM users WHERE email = 'ada@acme.example'")
    async with Store.open(database.issuer_url, seconds=5) as store, store.transaction() as records:
        found = await records.credentials("ada@acme.example")
        assert found is not None
        assert found.user.id == ada
        assert await records.session(uuid4()) is None
        assert await records.lock_refresh_token(b"unknown") is None
        assert await records.organizations(uuid4()) == ()


async def test_revoking_again_keeps_the_first_reason(database: Database) -> None:
    family = session().family_id
    async with Store.open(database.issuer_url, seconds=5) as store, store.transaction() as records:
        await records.begin_session(session(), token_hash=b"h", refresh_until=NOW)
        await records.revoke_family(family, reason="logout", now=NOW)
        await records.revoke_family(family, reason="refresh_reuse", now=NOW)
    assert await database.owner.fetchval("SELECT reason FROM shapegate_auth.sessions") == "logout"


async def test_the_issuers_role_can_do_no_more_than_it_needs(database: Database) -> None:
    connection = await asyncpg.connect(database.issuer_url)
    try:
        for statement in (
            "SELECT * FROM controls",
            "UPDATE users SET email = 'x'",
            "INSERT INTO memberships DEFAULT VALUES",
            "DELETE FROM organizations",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_missing_right_is_a_fault_and_not_an_outage(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.without_credentials(), Store.open(database.issuer_url, seconds=5) as store:
        with caplog.at_level(logging.ERROR), pytest.raises(InternalFault) as caught:
            async with store.transaction() as records:
                await records.credentials("ada@acme.example")
    assert caught.value.__cause__ is None
    assert "InsufficientPrivilegeError, sqlstate 42501" in caplog.text
    assert "ada@acme.example" not in caplog.text


async def test_a_statement_that_takes_too_long_is_given_up(database: Database) -> None:
    async with Store.open(database.issuer_url, seconds=0.3) as store, database.owner.transaction():
        await database.owner.execute("LOCK TABLE shapegate_auth.sessions")
        with pytest.raises(Unavailable):
            async with store.transaction() as records:
                await records.session(UUID(int=1))


async def test_no_connection_is_left_behind(database: Database) -> None:
    async with Store.open(database.issuer_url, seconds=5) as store, store.transaction() as records:
        await records.organizations(uuid4())
        assert await issuer_connections(database) >= 1
    deadline = time.monotonic() + 10
    while await issuer_connections(database):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("silent", [False, True], ids=["cut", "silent"])
async def test_a_database_that_is_away_is_a_503_without_detail_until_it_is_back(
    database: Database, key_file: Path, silent: bool
) -> None:
    seconds = 0.5 if silent else 5.0
    async with (
        Relay.open(database.issuer_url) as (relay, url),
        TokenIssuer.open(database_url=url, settings=settings(key_file, database_seconds=seconds)) as issuer,
        aiohttp.ClientSession() as http,
    ):
        caller = Caller(http, issuer.url)
        login = await caller.login()
        if silent:
            relay.silence()
        else:
            await relay.cut()
        replies = [
            await caller.login(),
            await caller.refresh(login.text("refresh_token")),
            await caller.me(login.text("access_token")),
        ]
        for reply in replies:
            assert (reply.status, reply.body["code"]) == (503, "unavailable")
            assert int(reply.headers["Retry-After"]) > 0
            assert b"postgres" not in reply.raw.lower()
        # What needs no database goes on.
        assert (await caller.send("GET", "/health")).status == 200
        assert (await caller.me("forged.token.here")).status == 401
        relay.restore()
        assert (await caller.me(login.text("access_token"))).status == 200
