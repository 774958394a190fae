"""Changed passwords end logins: those of the user, in every organization, and of nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shapegate_harness.issuer import TokenIssuer, UnknownUser
from tests.harness.issuer.builders import PASSWORD
from tests.harness.issuer.observed import hold_user, organization_id, reasons, refused, waiters

if TYPE_CHECKING:
    from tests.harness.issuer.caller import Caller
    from tests.harness.issuer.conftest import Database

NEW = "an entirely new password"


async def test_a_password_can_be_given_and_changed(caller: Caller, issuer: TokenIssuer) -> None:
    await issuer.set_password("Hugo@Globex.example", "first password")
    assert (await caller.login("hugo@globex.example", "first password")).status == 200
    await issuer.set_password("hugo@globex.example", "second password")
    assert (await caller.login("hugo@globex.example", "first password")).status == 401
    assert (await caller.login("hugo@globex.example", "second password")).status == 200


async def test_a_password_for_nobody_is_an_error_that_names_the_address(issuer: TokenIssuer) -> None:
    with pytest.raises(UnknownUser, match=r"'nobody@acme\.example'") as caught:
        await issuer.set_password("nobody@acme.example", "a secret password")
    assert "a secret password" not in str(caught.value)


async def test_another_password_set_ends_every_login_of_the_user_and_of_nobody_else(
    caller: Caller, issuer: TokenIssuer, database: Database
) -> None:
    ada, ben = await caller.login(), await caller.login("ben@acme.example")
    globex = await caller.switch(ada.text("access_token"), await organization_id(database, "globex"))
    await issuer.set_password("ada@acme.example", NEW)
    for reply in (ada, globex):
        assert refused(await caller.me(reply.text("access_token")), 401, "invalid_token")
        assert refused(await caller.refresh(reply.text("refresh_token")), 401, "invalid_refresh_token")
    assert (await caller.refresh(ben.text("refresh_token"))).status == 200


async def test_the_same_password_set_again_ends_nothing(
    caller: Caller, issuer: TokenIssuer, database: Database
) -> None:
    login = await caller.login()
    await issuer.set_password("ada@acme.example", PASSWORD)
    assert await reasons(database) == [None]
    assert (await caller.refresh(login.text("refresh_token"))).status == 200


async def test_a_user_who_changes_the_password_stays_logged_in_here_and_nowhere_else(
    caller: Caller, database: Database
) -> None:
    here, there = await caller.login(), await caller.login()
    switched = await caller.switch(there.text("access_token"), await organization_id(database, "globex"))
    reply = await caller.password(here.text("access_token"), PASSWORD, NEW)
    assert (reply.status, reply.raw) == (204, b"")
    for ended in (there, switched):
        assert refused(await caller.me(ended.text("access_token")), 401, "invalid_token")
        assert refused(await caller.refresh(ended.text("refresh_token")), 401, "invalid_refresh_token")
    assert (await caller.me(here.text("access_token"))).status == 200
    assert (await caller.refresh(here.text("refresh_token"))).status == 200
    assert (await caller.login(password=PASSWORD)).status == 401
    assert (await caller.login(password=NEW)).status == 200


async def test_whoever_holds_a_token_but_not_the_password_changes_nothing(caller: Caller) -> None:
    login = await caller.login()
    assert refused(await caller.password(login.text("access_token"), "wrong", NEW), 403, "wrong_password")
    assert (await caller.login(password=NEW)).status == 401
    assert refused(await caller.password("a.b.c", PASSWORD, NEW), 401, "invalid_token")


async def test_a_password_cannot_be_guessed_with_a_token_either(caller: Caller) -> None:
    token = (await caller.login()).text("access_token")
    replies = [await caller.password(token, "wrong", NEW) for _ in range(11)]
    assert [reply.status for reply in replies] == [403] * 10 + [429]
    assert (await caller.password(token, PASSWORD, NEW)).status == 429


async def test_a_login_that_checked_the_former_password_gets_no_token(
    caller: Caller, issuer: TokenIssuer, database: Database
) -> None:
    ada = await database.owner.fetchval("SELECT id FROM users WHERE email = 'ada@acme.example'")
    async with database.owner.transaction():
        await hold_user(database.owner, ada)
        late = asyncio.create_task(caller.login(password=PASSWORD))
        await waiters(database.owner, 1)  # it has checked the password, and begins a session
        # In place of set_password, whose own lock would wait for this one.
        await database.owner.execute(
            "UPDATE shapegate_auth.credentials SET password_hash = 'changed' WHERE user_id = $1", ada
        )
    assert refused(await late, 401, "invalid_credentials")
    assert await reasons(database) == []


async def test_a_refresh_under_way_is_ended_by_the_change_that_waits_for_it(
    caller: Caller, issuer: TokenIssuer, database: Database
) -> None:
    login = await caller.login()
    ada = await database.owner.fetchval("SELECT id FROM users WHERE email = 'ada@acme.example'")
    async with database.owner.transaction():
        await hold_user(database.owner, ada)
        refreshing = asyncio.create_task(caller.refresh(login.text("refresh_token")))
        await waiters(database.owner, 1)
        changing = asyncio.create_task(issuer.set_password("ada@acme.example", NEW))
        await waiters(database.owner, 2)
    refreshed = await refreshing
    await changing
    assert refreshed.status == 200
    assert await reasons(database) == ["password_changed", "password_changed"]
    assert refused(await caller.me(refreshed.text("access_token")), 401, "invalid_token")
    again = await caller.refresh(refreshed.text("refresh_token"))
    assert refused(again, 401, "invalid_refresh_token")
